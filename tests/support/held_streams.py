"""A stream of the tests as somebody who holds it, from whom packages are asked."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linewitness.evidence.format.record import unit_of
from linewitness.evidence.package.query import RecordQuery
from linewitness.evidence.package.request import PackageRequest
from support.chain_builder import Stream
from support.packages import receipt, subtree_of


def key_records(stream: Stream) -> list[tuple[int, bytes]]:
    """Return record 0 and the rotations."""
    return [(at, data) for at, data in enumerate(stream.records) if at == 0 or b'"key.rotated"' in data]


class HeldStream:
    """All records of a stream, of which a receipt covers `attested`."""

    def __init__(self, stream: Stream, *, attested: int | None = None) -> None:
        self.origin = stream.origin
        self.size = len(stream.records)
        self.first = 0
        self.subtree = subtree_of(stream)
        self._stream = stream
        self._attested = attested

    def records(self) -> Iterator[tuple[int, bytes]]:
        return enumerate(self._stream.records)

    def between(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        return iter(list(enumerate(self._stream.records))[first:last])

    def of_unit(self, unit: Any) -> Any:
        return ((at, data) for at, data in self.records() if unit_of(json.loads(data)) == unit)

    def key_records(self) -> Iterator[tuple[int, bytes]]:
        return iter(key_records(self._stream))

    def notes(self) -> list[str]:
        return [receipt(self._stream, self._attested)]

    def stamps(self) -> list[Any]:
        return []


def packed_units(stream: Stream, path: Path, *units: str) -> Path:
    """Write the package of units as `linewitness export` does."""
    query = RecordQuery(units=units)
    job = PackageRequest(holdings=HeldStream(stream), query=query, created_at="2026-03-02T00:00:00.000Z")
    with path.open("wb") as file:
        job.write(file)
    return path
