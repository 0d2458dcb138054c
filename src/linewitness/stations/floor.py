"""What all stations of a line share: the last values of all points, and who is signed on where."""

from collections.abc import Mapping
from typing import Self

from linewitness.stations.changes import PREFIX, LastValue
from linewitness.stations.operators import Badges


class Floor:
    """The line as a whole, so that a device may move to another station, and one badge at two is seen."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.badges = Badges()
        self.last: dict[str, LastValue] = {}

    @classmethod
    def load(cls, state: Mapping[str, str]) -> Self:
        """Begin with the state as last committed."""
        floor = cls()
        floor.last = {key: LastValue.load(text) for key, text in state.items() if key.startswith(PREFIX)}
        return floor
