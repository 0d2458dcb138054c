"""The times that `linewitness verify --times` prints beside each record."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from linewitness.clock import NS_PER_S, to_rfc3339
from linewitness.evidence.bounds import Bounds, Limit, Outside, bounds_of
from linewitness.evidence.record import parse

if TYPE_CHECKING:
    from linewitness.evidence.attest import Statement
    from linewitness.evidence.policy import Policy
    from linewitness.evidence.verdict import Remark

_UNKNOWN = "nobody says"


class Times:
    """The bounds of a stream's records, or of one unit's."""

    def __init__(self, unit: str | None) -> None:
        """Begin with none; `unit` chooses the records that are shown, all are compared."""
        self._unit = unit
        self._shown: list[Bounds] = []
        self.remarks: tuple[Remark, ...] = ()

    def read(
        self, records: Iterable[bytes], statements: "Sequence[Statement]", policy: "Policy | None"
    ) -> None:
        """Take the exact bytes of a verified stream from record 0 on."""
        outside = Outside()
        for one in bounds_of((parse(data) for data in records), statements, policy=policy):
            outside.take(one)
            if self._unit is None or one.unit == self._unit:
                self._shown.append(one)
        self.remarks = outside.remarks()

    def to_json(self) -> list[dict[str, Any]]:
        """Return what is shown as JSON values."""
        return [one.to_json() for one in self._shown]

    def lines(self) -> Iterator[str]:
        """Yield what is shown: a line a record, and whose clocks these are."""
        if not self._shown:
            return
        titles = ("the gateway says", "wrong by", "not before", "not after")
        yield "{:>8}  {:24}  {:>10}  {:24}  {:24}  kind".format("record", *titles)
        whose: dict[str, None] = {}
        for one in self._shown:
            yield (
                f"{one.sequence_no:>8}  {to_rfc3339(one.claimed_ns):24}  {_within(one.bound_ns):>10}"
                f"  {_time(one.not_before):24}  {_time(one.not_after, 1):24}  {one.kind}{_mark(one)}"
            )
            whose |= {limit.who: None for limit in (one.not_before, one.not_after) if limit}
        yield from (f"  clock: {who}" for who in whose)


def _within(bound_ns: int | None) -> str:
    return "unknown" if bound_ns is None else f"{bound_ns / NS_PER_S:.3f} s"


def _time(limit: Limit | None, more_s: int = 0) -> str:
    if limit is None:
        return _UNKNOWN
    return to_rfc3339((limit.time_s + more_s) * NS_PER_S)[:-5] + ("Z" if limit.proven else "Z (noted)")


def _mark(one: Bounds) -> str:
    if one.early_ns:
        return "  TOO EARLY"
    return "  TOO LATE" if one.late_ns else ""
