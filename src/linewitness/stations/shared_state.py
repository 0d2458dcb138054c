"""What all stations of a line share: the last values of all points, and who is signed on where."""

from collections.abc import Mapping
from typing import Self

from linewitness.stations.changes import PREFIX, LastValue
from linewitness.stations.lists.book import NO_LISTS, ListBook
from linewitness.stations.operators import Badges


class SharedState:
    """State of the whole line: devices may change their station, and one badge at two stations is found."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.badges = Badges()
        self.last: dict[str, LastValue] = {}
        #: What the owners of lists say; replaced as a whole when a list is taken over.
        self.lists: ListBook = NO_LISTS

    @classmethod
    def load(cls, state: Mapping[str, str]) -> Self:
        """Begin with the state as last committed."""
        shared = cls()
        shared.last = {key: LastValue.load(text) for key, text in state.items() if key.startswith(PREFIX)}
        return shared
