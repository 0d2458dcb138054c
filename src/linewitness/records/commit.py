"""The records of one transaction: chained as they are added, signed when the last of them is known."""

import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from linewitness.base.clock import Stamp
from linewitness.evidence.format.raw import SALT_BYTES
from linewitness.evidence.format.record import Event
from linewitness.evidence.format.signed_run import LONGEST_RUN
from linewitness.evidence.format.value_changes import ValueChanges
from linewitness.evidence.verify.chain import KEY_RECORDS
from linewitness.records.builder import EventKey, RecordBuilder
from linewitness.records.drafts import Drafts

#: One signature vouches for at most so many bytes of records, so that these fit into one message.
RUN_BYTES: Final = 64 * 1024


class NamedRaw(NamedTuple):
    """The device's own bytes of one record, and the salt of their hash there."""

    sequence_no: int
    salt: bytes
    data: bytes


class CommittedRecords(NamedTuple):
    """The records of a commit, from number `first` on.

    `alone` maps the positions of those that are stored by themselves to the unit that they are found by; it
    is None for a record of keys, which is never pruned. `signed` are the positions of those with a signature.
    """

    first: int
    data: list[bytes]
    alone: dict[int, str | None]
    signed: list[int]


class Commit:
    """The records that one transaction appends to the chain."""

    def __init__(self, builder: RecordBuilder, *, size: int, record_hash: str, key: EventKey) -> None:
        """Begin after a stream of `size` records, the last of which has this hash."""
        self._builder = builder
        #: The key that signs what is added from now on; it changes after a record of keys only.
        self.key = key
        self._drafts = Drafts(record_hash)
        self._rows = CommittedRecords(size, [], {}, [])
        #: The devices' own bytes of these records.
        self.raws: list[NamedRaw] = []

    @property
    def size(self) -> int:
        """The number of records of the stream with those of this commit."""
        return self._rows.first + len(self._drafts)

    @property
    def record_hash(self) -> str:
        """The hash of the newest record."""
        return self._drafts.last_hash.decode()

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
        unit, of_keys = event.resource.unit, event.kind in KEY_RECORDS
        if unit is not None or of_keys:
            self._rows.alone[len(self._drafts)] = unit
        self._drafts.add(draft)
        if of_keys:
            self._sign()

    def add_changes(self, changes: ValueChanges, stamp: Stamp) -> None:
        """Append the records of a group of values."""
        self._builder.build_changes(changes, self._drafts, sequence_no=self.size, key=self.key, stamp=stamp)

    def rows(self) -> CommittedRecords:
        """Return the records. The last is signed; one signature vouches for no more than `RUN_BYTES`."""
        self._sign()
        return self._rows

    def _sign(self) -> None:
        """Sign what was added since the last signature: the last of it bears one."""
        data, drafts = self._rows.data, self._drafts
        first = len(data)
        data += drafts.data[first:]
        for position in _to_sign(drafts.sizes(first)):
            draft = drafts.draft(first + position)
            data[first + position] = draft.data(self.key.sign(draft.message))
            self._rows.signed.append(first + position)


def _to_sign(sizes: list[int]) -> Iterator[int]:
    """Yield which of records of these sizes bear a signature."""
    waiting = waiting_bytes = 0
    for position, size in enumerate(sizes):
        if waiting == LONGEST_RUN or (waiting and waiting_bytes + size > RUN_BYTES):
            yield position - 1
            waiting = waiting_bytes = 0
        waiting, waiting_bytes = waiting + 1, waiting_bytes + size
    if waiting:
        yield len(sizes) - 1
