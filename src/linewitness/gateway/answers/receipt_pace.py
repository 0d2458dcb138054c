"""How often a receipt becomes a record, and which receipts the journal keeps.

A record of each receipt would be receipted itself, and so on without end.
"""

from typing import Final

from linewitness.base.clock import monotonic

#: A receipt becomes a record if it covers so many more records than the last one that did,
RECORDS: Final = 100
#: or so much later if it covers anything but that record itself.
PERIOD_S: Final = 60.0
#: Receipts that became no record are kept this far apart: they date the delays of events.
KEPT_S: Final = 1.0


class ReceiptPace:
    """What was told of receipts, and kept of them, since the start."""

    def __init__(self) -> None:
        """Begin with nothing told: the first receipt becomes a record."""
        self._told_size = 0
        self._told_at = self._kept_at = float("-inf")
        self._newest: int | None = None

    def tells(self, size: int) -> bool:
        """Return whether the receipt over `size` records becomes a record, and take it that it does."""
        covered, waited_s = size - self._told_size, monotonic() - self._told_at
        # Where only one is covered, that is the record of the receipt before.
        if covered < RECORDS and not (covered > 1 and waited_s >= PERIOD_S):
            return False
        self._told_size, self._told_at = size, monotonic()
        return True

    def replaces(self, size: int, *, told: bool) -> int | None:
        """Return the size of the earlier receipt that gives way to this one, which is the newest."""
        before, now = self._newest, monotonic()
        kept = told or now - self._kept_at >= KEPT_S
        if kept:
            self._kept_at = now
        self._newest = None if kept else size
        return before
