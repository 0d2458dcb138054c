"""The times that `linewitness verify --times` prints beside each record."""

from collections.abc import Iterable, Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, Final

import orjson

from linewitness.evidence.format.record import parse
from linewitness.evidence.verify.time_bounds import Outside, bounds_of

if TYPE_CHECKING:
    from linewitness.evidence.policy.policy import Policy
    from linewitness.evidence.verify.statements import Statement
    from linewitness.evidence.verify.time_bounds import TimeStamp
    from linewitness.evidence.verify.verdict import Remark

_UNKNOWN: Final = "nobody says"
#: More than this goes to a file: a stream may have millions of records.
_IN_MEMORY: Final = 1 << 20


class Times:
    """The time bounds of a stream's records, or of the records of one unit."""

    def __init__(self, unit: str | None) -> None:
        """Start empty; `unit` selects the records to show, while all are compared."""
        self._unit = unit
        self._rows: SpooledTemporaryFile[bytes] | None = None
        self.remarks: tuple[Remark, ...] = ()

    def read(
        self,
        records: Iterable[bytes],
        statements: "Sequence[Statement]",
        policy: "Policy | None",
        stamps: "Sequence[TimeStamp]" = (),
    ) -> None:
        """Read the exact bytes of a verified stream from record 0 on."""
        outside = Outside()
        self._rows = rows = SpooledTemporaryFile[bytes](_IN_MEMORY)
        for one in bounds_of((parse(data) for data in records), statements, policy=policy, stamps=stamps):
            outside.take(one)
            if self._unit is None or one.unit == self._unit:
                rows.write(orjson.dumps(one.to_json()) + b"\n")
        self.remarks = outside.remarks()

    def to_json(self) -> list[dict[str, Any]]:
        """Return the rows as JSON values; like `lines`, it can be called once."""
        return list(self._shown())

    def lines(self) -> Iterator[str]:
        """Yield one line for each record, then the clocks that the bounds come from."""
        whose: dict[str, None] = {}
        for number, row in enumerate(self._shown()):
            if number == 0:
                titles = ("the gateway says", "wrong by", "not before", "not after")
                yield "{:>8}  {:24}  {:>10}  {:24}  {:24}  kind".format("record", *titles)
            yield (
                f"{row['sequence_no']:>8}  {row['ingested_at']:24}  {_within(row['bound_us']):>10}"
                f"  {_time(row['not_before']):24}  {_time(row['not_after']):24}  {row['kind']}{_mark(row)}"
            )
            whose |= {limit["who"]: None for limit in (row["not_before"], row["not_after"]) if limit}
        yield from (f"  clock: {who}" for who in whose)

    def _shown(self) -> Iterator[dict[str, Any]]:
        if self._rows is None:
            return
        with self._rows as rows:
            rows.seek(0)
            for line in rows:
                yield orjson.loads(line)


def _within(bound_us: int | None) -> str:
    return "unknown" if bound_us is None else f"{bound_us / 1_000_000:.3f} s"


def _time(limit: dict[str, Any] | None) -> str:
    if limit is None:
        return _UNKNOWN
    second: str = limit["time"].partition(".")[0]
    return f"{second}Z" if limit["proven"] else f"{second}Z (noted)"


def _mark(row: dict[str, Any]) -> str:
    if row["early_ms"]:
        return "  TOO EARLY"
    return "  TOO LATE" if row["late_ms"] else ""
