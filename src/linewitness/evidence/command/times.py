"""The times that `verify --times` prints beside each record."""

import json
from collections.abc import Iterable, Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import Any, Final

from linewitness.evidence.format.record import parse
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.timestamps.algorithms import Verifies
from linewitness.evidence.timestamps.der import BadDer
from linewitness.evidence.timestamps.timestamp import Authorities
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.time_bounds import TimeStamp, bounds_of

_UNKNOWN: Final = "nobody says"
#: More than this goes to a file: a stream may have millions of records.
_IN_MEMORY: Final = 1 << 20


class TimesTable:
    """The time bounds of a stream's records, or of the records of one unit."""

    def __init__(self, unit: str | None) -> None:
        """Start empty; `unit` selects the records to show."""
        self._unit = unit
        self._rows: SpooledTemporaryFile[bytes] | None = None

    def read(
        self,
        records: Iterable[bytes],
        statements: Sequence[Statement],
        policy: Policy | None,
        stamps: Sequence[TimeStamp] = (),
    ) -> None:
        """Take the exact bytes of a verified stream from record 0 on."""
        self._rows = rows = SpooledTemporaryFile[bytes](_IN_MEMORY)
        for one in bounds_of((parse(data) for data in records), statements, policy=policy, stamps=stamps):
            if self._unit is None or one.unit == self._unit:
                rows.write(json.dumps(one.to_json()).encode() + b"\n")

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
                yield json.loads(line)


def verified_stamps(
    statements: Iterable[Statement], roots: Sequence[bytes], verifies: Verifies
) -> list[TimeStamp]:
    """Return the tokens that authorities with these roots (DER) signed."""
    authorities = Authorities(tuple(roots), verifies)
    found: list[TimeStamp] = []
    for one in statements if roots else ():
        if one.token is None:
            continue
        try:
            stamp = authorities.open(one.token.data, one.text.encode())
        except BadDer:
            continue  # the verdict's remarks say why
        found.append(TimeStamp(one.text, one.token.data, stamp.time_s, stamp.name))
    return found


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
