"""The ids of the records before, so that one that is named can be looked for among them."""

from bisect import bisect_left
from typing import Final

_ID_CHARS: Final = 26


class SeenIds:
    """Ids of records: they begin with the time and so nearly always rise, which makes 26 bytes of each."""

    def __init__(self) -> None:
        """Begin with none."""
        self._rising = bytearray()
        self._others: set[str] = set()

    def add(self, event_id: str) -> None:
        """Take the id of the next record."""
        data = event_id.encode()
        if data > self._rising[-_ID_CHARS:]:
            self._rising += data
        else:
            self._others.add(event_id)

    def __contains__(self, event_id: str) -> bool:
        """Return whether a record before had this id."""
        data, held = event_id.encode(), len(self._rising) // _ID_CHARS
        place = bisect_left(range(held), data, key=self._at)
        return (place < held and self._at(place) == data) or event_id in self._others

    def _at(self, place: int) -> bytes:
        return bytes(self._rising[place * _ID_CHARS : (place + 1) * _ID_CHARS])
