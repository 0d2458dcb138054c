"""How fast the records that are on their way reach the store, and how long that takes."""

from dataclasses import dataclass
from typing import Final

from linewitness.base.clock import NS_PER_S, from_rfc3339
from linewitness.journal.reader import JournalReader

#: Receipts of the last minute are looked at, and no more than this number.
WINDOW_S: Final = 60
_MOST: Final = 200
#: Fewer records are always on their way where a line works.
UNDERWAY: Final = 50


@dataclass(frozen=True, slots=True)
class DrainRate:
    """Records that receipts cover a second, and seconds until all that is here now has one.

    Both are None where nothing is on its way, or no receipt came lately.
    """

    per_s: float | None = None
    left_s: int | None = None

    @property
    def text(self) -> str:
        """The rate in words, or nothing."""
        if self.per_s is None or self.left_s is None:
            return ""
        return f"at {self.per_s:,.0f} a second, about {self.left_s:,} s"


def drain_rate(reader: JournalReader, *, pending: int, now_ns: int) -> DrainRate:
    """Return how fast the store's receipts move, from the receipts in the journal."""
    if pending <= UNDERWAY:
        return DrainRate()
    recent = [
        (size, at_ns)
        for size, at in reader.receipt_times(_MOST)
        if now_ns - (at_ns := from_rfc3339(at)) <= WINDOW_S * NS_PER_S
    ]
    if not recent:
        return DrainRate()
    (newest, last_ns), (oldest, first_ns) = recent[0], recent[-1]
    if newest == oldest or last_ns <= first_ns:
        return DrainRate()
    # Up to now, not up to the last receipt: where none comes any more, the rate falls.
    per_s = (newest - oldest) * NS_PER_S / max(1, now_ns - first_ns)
    return DrainRate(per_s, round(pending / per_s))
