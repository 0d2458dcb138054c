"""The records of one transaction: chained as they are added, signed when the last of them is known."""

import os
from typing import Final, NamedTuple

from linewitness.base.clock import Stamp
from linewitness.evidence.format.raw import SALT_BYTES
from linewitness.evidence.format.record import Draft, Event
from linewitness.evidence.format.signed_run import LONGEST_RUN
from linewitness.evidence.format.value_changes import ValueChanges
from linewitness.evidence.verify.chain import KEY_RECORDS
from linewitness.records.builder import EventKey, RecordBuilder

#: One signature vouches for at most so many bytes of records, so that these fit into one message.
RUN_BYTES: Final = 64 * 1024


class NamedRaw(NamedTuple):
    """The device's own bytes of one record, and the salt of their hash there."""

    sequence_no: int
    salt: bytes
    data: bytes


class CommittedRecord(NamedTuple):
    """A record, the unit that it is found by, and whether it is a record of keys, which is never pruned."""

    sequence_no: int
    unit: str | None
    data: bytes
    of_keys: bool = False


class _Added(NamedTuple):
    unit: str | None
    draft: Draft
    key: EventKey
    needs_signature: bool


class Commit:
    """The records that one transaction appends to the chain."""

    def __init__(self, builder: RecordBuilder, *, size: int, record_hash: str, key: EventKey) -> None:
        """Begin after a stream of `size` records, the last of which has this hash."""
        self._builder = builder
        self._first = size
        self.record_hash = record_hash
        self.key = key
        self._added: list[_Added] = []
        #: The devices' own bytes of these records.
        self.raws: list[NamedRaw] = []

    @property
    def size(self) -> int:
        """The number of records of the stream with those of this commit."""
        return self._first + len(self._added)

    def take(self, events: Event | ValueChanges, stamp: Stamp) -> None:
        """Append the record of an event, or the records of a group."""
        if isinstance(events, ValueChanges):
            self.add_changes(events, stamp)
        else:
            self.add(events, stamp)

    def add(self, event: Event, stamp: Stamp) -> None:
        """Append the record of an event, with a salt of its own for the device's bytes."""
        salt = b""
        if event.raw is not None:
            salt = os.urandom(SALT_BYTES)
            self.raws.append(NamedRaw(self.size, salt, event.raw))
        draft = self._builder.build(
            event,
            sequence_no=self.size,
            prev_hash=self.record_hash,
            key=self.key,
            stamp=stamp,
            raw_salt=salt,
        )
        self._added.append(_Added(event.resource.unit, draft, self.key, event.kind in KEY_RECORDS))
        self.record_hash = draft.record_hash

    def add_changes(self, changes: ValueChanges, stamp: Stamp) -> None:
        """Append the records of a group of values."""
        drafts = self._builder.build_changes(
            changes, sequence_no=self.size, prev_hash=self.record_hash, key=self.key, stamp=stamp
        )
        for draft in drafts:
            self._added.append(_Added(None, draft, self.key, needs_signature=False))
            self.record_hash = draft.record_hash

    def rows(self) -> list[CommittedRecord]:
        """Return the records. The last is signed; one signature vouches for no more than `RUN_BYTES`."""
        rows: list[CommittedRecord] = []
        sizes = [one.draft.size for one in self._added]
        sizes.append(RUN_BYTES)
        waiting = waiting_bytes = 0
        for position, (unit, draft, key, needs_signature) in enumerate(self._added):
            waiting, waiting_bytes = waiting + 1, waiting_bytes + sizes[position]
            signature = None
            if needs_signature or waiting == LONGEST_RUN or waiting_bytes + sizes[position + 1] > RUN_BYTES:
                signature = key.sign(draft.message)
                waiting = waiting_bytes = 0
            rows.append(CommittedRecord(self._first + position, unit, draft.data(signature), needs_signature))
        return rows
