"""What the rules ask of consecutive records, each member as a column: checked together, they cost less.

Only records that the pattern of `reading` matches become columns straight off their bytes. Of all others, and
wherever a rule is broken, the records are read and checked one after the other.
"""

import json
from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from linewitness.evidence.format.reading import ReadRecord, match
from linewitness.evidence.format.times import unix_us


class RecordColumns(NamedTuple):
    """Well-formed records: their exact bytes, and what the rules ask; the lists are of one length.

    `bounds_us` and `signatures` are None where a record has none, `units` where it is about none.
    `ingested_us` is `ingested_at` in Unix microseconds.
    """

    data: Sequence[bytes]
    numbers: list[int]
    kinds: list[str]
    tenants: list[str]
    event_ids: list[str]
    ingested_us: list[int]
    boots: list[str]
    uptimes_us: list[int]
    steps: list[int]
    streams: list[str]
    key_ids: list[str]
    prev_hashes: list[str]
    hashes: list[str]
    signatures: list[bytes | None]
    messages: list[bytes]
    occurred_at: list[str]
    units: list[str | None]
    bounds_us: list[int | None]

    def part(self, first: int, last: int) -> "RecordColumns":
        """Return the records from `first` up to `last`, which is not included."""
        return RecordColumns._make(column[first:last] for column in self)

    def members(self, at: int) -> dict[str, Any]:
        """Return all members of one of the records, as `record.parse` returns them."""
        members: dict[str, Any] = json.loads(self.data[at])
        return members


def read_columns(records: Iterable[bytes]) -> Iterator[RecordColumns | bytes]:
    """Yield records in their order: in columns, or by itself one that has to be read to say what it is."""
    for matches, pairs in groupby(
        ((match(data), data) for data in records), lambda pair: pair[0] is not None
    ):
        rows, run = zip(*pairs, strict=True)
        columns = _columns(rows, run) if matches else None
        if columns is None:
            yield from run
        else:
            yield columns


def read_together(records: Sequence[bytes]) -> RecordColumns | None:
    """Return records in columns without `ingested_us`; None where one has to be read by itself."""
    rows = []
    for data in records:
        if (row := match(data)) is None:
            return None
        rows.append(row)
    return _columns(rows, records, timed=False) if rows else None


def _columns(rows: Sequence[Any], records: Sequence[bytes], *, timed: bool = True) -> RecordColumns | None:
    """Return what was matched in columns; None where a time is no date of the calendar."""
    (
        numbers, kinds, tenants, event_ids, ingested_at, boots, uptimes, steps, streams, key_ids, prev_hashes,
        hashes, signatures, messages, occurred_at, units, bounds,
    ) = map(list, zip(*rows, strict=True))  # fmt: skip
    try:
        ingested_us = list(map(unix_us, ingested_at)) if timed else []
    except ValueError:
        return None
    return RecordColumns(
        records,
        list(map(int, numbers)),
        kinds,
        tenants,
        event_ids,
        ingested_us,
        boots,
        list(map(int, uptimes)),
        list(map(int, steps)),
        streams,
        key_ids,
        prev_hashes,
        hashes,
        [None if signature is None else a2b_base64(signature) for signature in signatures],
        messages,
        occurred_at,
        units,
        [None if bound is None else int(bound) for bound in bounds],
    )


def columns_of(records: Sequence[ReadRecord]) -> RecordColumns:
    """Return in columns what was read one by one; ValueError where a time is no date of the calendar."""
    fields = [record.fields for record in records]
    return RecordColumns(
        [record.data for record in records],
        [each.sequence_no for each in fields],
        [each.kind for each in fields],
        [each.tenant_id for each in fields],
        [each.event_id for each in fields],
        [record.ingested_us for record in records],
        [each.boot_id for each in fields],
        [each.boottime_us for each in fields],
        [each.step for each in fields],
        [each.stream for each in fields],
        [each.key_id for each in fields],
        [each.prev_hash for each in fields],
        [each.record_hash for each in fields],
        [each.signature for each in fields],
        [each.message for each in fields],
        [record.occurred_at for record in records],
        [record.unit for record in records],
        [record.bound_us for record in records],
    )
