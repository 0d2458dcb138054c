"""Where a tenant stream stands: its last record, its event key, and the clock that its records have seen."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, func, select

from linewitness.base.clock import Clock, SharedClockState, Stamp, StepDetector, from_rfc3339
from linewitness.evidence.format.note import Vkey
from linewitness.records.builder import RecordBuilder, StreamIdentity
from linewitness.store.database import tables
from linewitness.store.database.enrolments import Enrolment
from linewitness.store.database.errors import StoreError
from linewitness.store.stream import Stream


class TenantHead:
    """A tenant stream as it stands in a transaction that has locked it."""

    def __init__(self, connection: Connection, enrolment: Enrolment) -> None:
        """Load it; StoreError where its last record is missing."""
        self.stream = Stream(connection, enrolment)
        self._connection = connection
        self.last = self._record(self.size - 1)

    @property
    def size(self) -> int:
        """How many records there are."""
        return self.stream.size

    @property
    def record_hash(self) -> str:
        """The hash of the last record."""
        return str(self.last["integrity"]["record_hash"])

    @property
    def root(self) -> bytes:
        """The Merkle root over all records."""
        return self.stream.root_at(self._connection, self.size)

    @property
    def event_key(self) -> Vkey:
        """The key that signs the next record; StoreError where it is not known."""
        vkey = self.stream.event_key_at(self._connection, self.size)
        if vkey is None:
            raise _damaged(f"no event key of {self.stream.enrolment.origin} is known")
        return vkey

    @property
    def key_since_ns(self) -> int:
        """When the event key took over."""
        keys = tables.event_keys
        mine = keys.c.stream_id == self.stream.enrolment.stream_id
        first = self._connection.execute(select(func.max(keys.c.first_seq)).where(mine)).scalar_one() or 0
        return from_rfc3339(self._record(max(0, first - 1))["ingested_at"])

    def has(self, size: int, record_hash: str) -> bool:
        """Return whether the record before `size` has this hash."""
        lines = self.stream.held(self._connection, size - 1, 1)
        return bool(lines) and _members(lines)["integrity"]["record_hash"] == record_hash

    def builder(self, identity: StreamIdentity, clock: Clock) -> RecordBuilder:
        """Return what builds the next records: a step of the clock since the last one is noticed."""
        told = self.last["clock"]
        seen = Stamp(from_rfc3339(self.last["ingested_at"]), told["boottime_us"] * 1000)
        same = told["boot_id"] == clock.boot_id
        steps = StepDetector(seen if same else None, count=told["step"])
        return RecordBuilder(identity, clock=clock, clock_state=SharedClockState(), steps=steps)

    def _record(self, seq: int) -> dict[str, Any]:
        lines = self.stream.held(self._connection, seq, 1)
        if not lines:
            raise _damaged(f"record {seq} of {self.stream.enrolment.origin} is missing")
        return _members(lines)


def _members(lines: Sequence[bytes]) -> dict[str, Any]:
    members: dict[str, Any] = orjson.loads(lines[0])
    return members


def _damaged(what: str) -> StoreError:
    return StoreError(
        what, hint="`linewitness store check` says what is damaged; restore the newest sound backup"
    )
