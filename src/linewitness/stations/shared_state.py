"""What all stations of a line share: last values, units, lists, and who is signed on where."""

from collections.abc import Callable, Mapping
from typing import Self

from linewitness.base.clock import Stamp
from linewitness.stations.checklist.progress import ClockMoment
from linewitness.stations.genealogy.known_units import KnownUnits
from linewitness.stations.lists.book import NO_LISTS, ListBook
from linewitness.stations.options import StationOptions
from linewitness.stations.people.operators import Badges
from linewitness.stations.values.changes import PREFIX, LastValue

#: Make the event id of a record that was concluded at a time (Unix, nanoseconds).
Mint = Callable[[int], str]


class SharedState:
    """State of the whole line: devices may change their station, and one badge at two stations is found."""

    def __init__(
        self, state: Mapping[str, str] | None = None, *, boot_id: str = "", mint: Mint | None = None
    ) -> None:
        """Begin with what was committed of the units, and nothing else known.

        `boot_id` is this boot of the machine. `mint` makes the ids by which records name each other; without
        it they do not.
        """
        self.badges = Badges()
        self.badges.recall(state or {})
        self.last: dict[str, LastValue] = {}
        self.units = KnownUnits(state or {})
        #: What others say of lots, tools, persons and routes; replaced where a list is taken over.
        self.lists: ListBook = NO_LISTS
        #: The settings of all stations: one may take out what another one built in.
        self.stations: dict[str, StationOptions] = {}
        self.mint = mint
        self._boot_id = boot_id

    def moment(self, stamp: Stamp) -> ClockMoment:
        """Return the moment of a stamp."""
        return ClockMoment.of(stamp, self._boot_id)

    @classmethod
    def load(cls, state: Mapping[str, str], *, boot_id: str = "", mint: Mint | None = None) -> Self:
        """Begin with the state as last committed."""
        shared = cls(state, boot_id=boot_id, mint=mint)
        shared.last = {key: LastValue.load(text) for key, text in state.items() if key.startswith(PREFIX)}
        return shared
