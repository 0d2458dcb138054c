"""Check a stream's records one after the other, as they come: the rules 2 to 7 of docs/format.md, section 12.

The verifier is pure and resumable: a `ChainHead` is all that it remembers, so that a store can go on after
a restart from the head that it saved with the last record. It does not know the events before its
head: that an `event_id` is unique is for the caller to check (an index, or `verify`).
"""

from dataclasses import dataclass
from typing import Any, Final

from linewitness.base.errors import EvidenceError
from linewitness.evidence.format import keys, record
from linewitness.evidence.format.columns import RecordColumns
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.reading import ReadRecord, read
from linewitness.evidence.format.record import RecordFields
from linewitness.evidence.format.signed_run import LONGEST_RUN

CREATED: Final = "stream.created"
ROTATED: Final = "key.rotated"
#: Records that say more about the chain than their links.
KEY_RECORDS: Final = frozenset((CREATED, ROTATED))
_NONE: Final[dict[str, Any]] = {}


class Broken(EvidenceError):
    """A record is not the one that the chain allows at its place."""

    def __init__(self, index: int, reason: str) -> None:
        """Name the record by its position in the stream and say what is wrong with it."""
        super().__init__(f"BROKEN at record {index}: {reason}")
        self.index = index
        self.reason = reason

    def __reduce__(self) -> tuple[type["Broken"], tuple[int, str]]:
        """Let the exception travel between processes."""
        return type(self), (self.index, self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainHead:
    """Where a verified chain stands: everything that the next record is checked against.

    `size` is the number of records accepted; `last_hash` the record_hash of the last one; `event_key`
    and `log_key` are vkeys as text. The last `unsigned` records wait for a signature after them.
    """

    stream: str
    tenant: str
    size: int
    last_hash: str
    event_key: str
    log_key: str
    unsigned: int = 0


def broken_behind(unsigned: int, index: int, reason: str) -> Broken:
    """Return what breaks a stream at a record, the last `unsigned` before which nothing vouches for.

    They are named: the altered one can be among them (docs/format.md, section 5.2).
    """
    if unsigned:
        first = index - unsigned
        which = f"record {first} bears" if unsigned == 1 else f"records {first} to {index - 1} bear"
        reason += f"; {which} no signature, so that the altered one can be among them"
    return Broken(index, reason)


def unsigned_end(size: int, unsigned: int) -> Broken:
    """Return what breaks a stream of `size` records, the last `unsigned` of which bear no signature."""
    reason = "it is the last record and bears no signature: the rest of its commit is missing"
    return broken_behind(unsigned - 1, size - 1, reason)


class ChainVerifier:
    """Accept a stream's records in order, or raise `Broken` at the first that does not follow."""

    def __init__(self, *, stream: str, tenant: str | None = None, head: ChainHead | None = None) -> None:
        """Begin before record 0 of `stream`, or at a head that was verified earlier.

        Without `tenant` the one of record 0 is taken.
        """
        self._stream = stream
        self._tenant = head.tenant if head else tenant
        self._size = head.size if head else 0
        self._last_hash = head.last_hash if head else record.ZERO_HASH
        self._event_key = Vkey.parse(head.event_key) if head else None
        self._log_key = Vkey.parse(head.log_key) if head else None
        self._unsigned = head.unsigned if head else 0
        #: The record_hash of the last record that bears a signature, where one was accepted here.
        self._signed_hash = self._last_hash
        if head and head.stream != stream:
            raise ValueError(f"a head of {head.stream} cannot continue {stream}")

    @property
    def size(self) -> int:
        """The number of records accepted, which is the position of the next."""
        return self._size

    @property
    def last_hash(self) -> str:
        """The record_hash of the last accepted record (zeros before record 0)."""
        return self._last_hash

    @property
    def head(self) -> ChainHead:
        """What to save in order to go on later; not there before record 0 (ValueError)."""
        if self._event_key is None or self._log_key is None or self._tenant is None:
            raise ValueError("a chain has no head before record 0")
        return ChainHead(
            stream=self._stream,
            tenant=self._tenant,
            size=self._size,
            last_hash=self._last_hash,
            event_key=str(self._event_key),
            log_key=str(self._log_key),
            unsigned=self._unsigned,
        )

    @property
    def unsigned(self) -> int:
        """How many of the last records wait for a signature."""
        return self._unsigned

    def drop_unsigned(self) -> None:
        """Go back to the last record with a signature: what was accepted after it waits for one."""
        self._size -= self._unsigned
        self._last_hash, self._unsigned = self._signed_hash, 0

    def stand(self, *, before: int, last_hash: str, event_key: Vkey) -> None:
        """Go on before another record of the stream, in a state for which the caller answers."""
        self._size, self._last_hash, self._event_key, self._unsigned = before, last_hash, event_key, 0

    def accept(self, data: bytes) -> ReadRecord:
        """Check the next record's exact bytes and return it; `Broken` leaves the verifier as it was."""
        try:
            found = read(data)
        except EvidenceError as error:
            raise self._broken(error.what) from None
        self.follow(found)
        return found

    def follow(self, found: ReadRecord) -> None:
        """Check the next record, which was read already; `Broken` leaves the verifier as it was."""
        fields = found.fields
        try:
            self._follow(fields, found.members if fields.kind in KEY_RECORDS else _NONE)
        except Broken:
            raise
        except EvidenceError as error:
            raise self._broken(error.what) from None

    def follow_together(self, records: RecordColumns) -> bool:
        """Check the next records, none of which changes a key or breaks a rule.

        False where one of them asks for a look of its own; then none was accepted.
        """
        signer = self._event_key
        if signer is None or not KEY_RECORDS.isdisjoint(records.kinds):
            return False
        hashes = [record.sha256(message) for message in records.messages]
        expected = range(self._size, self._size + len(hashes))
        good = (
            hashes == records.hashes
            and records.prev_hashes == [self._last_hash, *hashes[:-1]]
            and records.numbers == list(expected)
            and set(records.streams) == {self._stream}
            and set(records.tenants) == {self._tenant}
            and set(records.key_ids) == {signer.key_id}
        )
        if not good:
            return False
        unsigned, signed_hash = self._unsigned, self._signed_hash
        for message, signature, own in zip(records.messages, records.signatures, hashes, strict=True):
            if signature is None:
                unsigned += 1
                if unsigned == LONGEST_RUN:
                    return False
            elif signer.verify(message, signature):
                unsigned, signed_hash = 0, own
            else:
                return False
        self._size, self._last_hash = expected.stop, hashes[-1]
        self._unsigned, self._signed_hash = unsigned, signed_hash
        return True

    def _follow(self, fields: RecordFields, members: dict[str, Any]) -> None:
        self._check_place(fields)
        record_hash = record.sha256(fields.message)
        if record_hash != fields.record_hash:
            raise self._broken(f"its content hashes to {record_hash}, not to the record_hash it carries")
        first = keys.read_creation(members) if self._size == 0 else None
        signer = first.event if first else self._event_key
        if signer is None or fields.key_id != signer.key_id:
            wanted = signer.key_id if signer else "none"
            raise self._broken(f"signed by the key {fields.key_id}, but the active key is {wanted}")
        unsigned = self._check_signature(fields, signer)
        if fields.kind == ROTATED:
            self._event_key = self._rotated(members, signer)
        elif first:
            self._log_key, self._event_key = first
            self._tenant = fields.tenant_id
        self._size += 1
        self._last_hash = record_hash
        self._unsigned = unsigned
        if not unsigned:
            self._signed_hash = record_hash

    def _check_signature(self, fields: RecordFields, signer: Vkey) -> int:
        """Return how many records wait for a signature with this one, which needs none of its own."""
        if fields.signature is not None:
            if not signer.verify(fields.message, fields.signature):
                raise self._broken(f"the signature is not one of the active key {signer.key_id}")
            return 0
        if fields.kind in KEY_RECORDS:
            raise self._broken(f"{fields.kind} bears no signature")
        if self._unsigned + 1 == LONGEST_RUN:
            raise self._broken(f"{LONGEST_RUN} records one after the other bear no signature")
        return self._unsigned + 1

    def _check_place(self, fields: RecordFields) -> None:
        if fields.stream != self._stream:
            raise self._broken(f"it belongs to the stream {fields.stream!r}, not to {self._stream!r}")
        if self._tenant is not None and fields.tenant_id != self._tenant:
            raise self._broken(f"it belongs to the tenant {fields.tenant_id!r}, not to {self._tenant!r}")
        if fields.sequence_no != self._size:
            raise self._broken(f"its sequence_no is {fields.sequence_no}")
        if fields.prev_hash != self._last_hash:
            raise self._broken(f"its prev_hash is not the hash of the record before, {self._last_hash}")
        if (fields.kind == CREATED) != (self._size == 0):
            raise self._broken(f"{fields.kind} stands at the wrong place: {CREATED} is record 0 and no other")

    def _rotated(self, members: dict[str, Any], signer: Vkey) -> Vkey:
        rotation = keys.read_rotation(members)
        if rotation.old != signer:
            raise self._broken(
                f"it retires the key {rotation.old.key_id}, but the active key is {signer.key_id}"
            )
        if rotation.new.public == signer.public:
            raise self._broken("the new event key is the old one")
        if self._log_key is not None and rotation.new.public == self._log_key.public:
            raise self._broken("the new event key is the log key")
        if not keys.proves_possession(members, rotation):
            raise self._broken(f"the new key {rotation.new.key_id} does not prove its possession")
        return rotation.new

    def _broken(self, reason: str) -> Broken:
        return broken_behind(self._unsigned, self._size, reason)
