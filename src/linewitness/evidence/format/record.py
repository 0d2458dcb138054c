"""An event, and the record that it becomes: one canonical JSON object that never changes again.

docs/format.md, sections 2 to 5.
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from linewitness.evidence.format import canonical, schema
from linewitness.evidence.format.kinds import KINDS, Action
from linewitness.evidence.format.schema import VERSION, MalformedRecord

PAYLOAD_TYPE: Final = "application/vnd.linewitness.record.v1+json"
ZERO_HASH: Final = "sha256:" + "0" * 64

#: The type of resource that a serialized unit has.
UNIT: Final = "unit"

Scalar = str | int | bool | None
ActorType = Literal["user", "service", "device", "system"]

_SIGNATURE_BYTES: Final = 64
_SIGNATURE_MEMBER: Final = b',"signature":"'
#: How many bytes a signature takes with the member's name, and record_hash with it.
SIGNATURE_MEMBER_BYTES: Final = len(',"signature":"ed25519:"') + 88
_PROOF_BYTES: Final = len(f',"record_hash":"{ZERO_HASH}",') + SIGNATURE_MEMBER_BYTES


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it."""

    type: ActorType
    id: str
    display_name: str | None = None
    auth_method: str | None = None
    source_ip: str | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """What it was done to; for a result the parent is the serialized unit."""

    type: str
    id: str
    parent: tuple[str, str] | None = None

    @property
    def unit(self) -> str | None:
        """The serialized unit that it is about (docs/format.md, 2.2): the parent, or else it itself."""
        kind, name = self.parent or (self.type, self.id)
        return name if kind == UNIT else None


class Change(NamedTuple):
    """One field with its value before and after; limits and status only for measured values."""

    field: str
    before: Scalar
    after: Scalar
    unit: str | None = None
    low: str | None = None
    high: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What we say happened, before it has a place in the chain.

    `occurred_ns` is Unix time in nanoseconds; `context` holds the members of the format's `context`
    that the event knows (the journal adds plant and line); `event_id` is minted by the journal where
    it is None. `clock_setting_ns` is CLOCK_REALTIME minus CLOCK_BOOTTIME as it was when `occurred_ns` was
    taken; where it is None, that was when the event was submitted. `raw` are the device's own bytes, which
    the record names by a keyed hash only (`evidence.format.raw`).
    """

    kind: str
    occurred_ns: int
    occurred_from: str
    actor: Actor
    resource: Resource
    reason: str
    action: Action | None = None
    changes: tuple[Change, ...] = ()
    context: Mapping[str, str] = field(default_factory=dict)
    occurred_unc_ms: int | None = None
    device_time: str | None = None
    device_offset_ms: int | None = None
    event_id: str | None = None
    clock_setting_ns: int | None = None
    raw: bytes | None = None


def pae(payload_type: str, body: bytes) -> bytes:
    """Return DSSE v1's pre-authentication encoding: what is hashed and signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def sha256(data: bytes) -> str:
    """Return `sha256:` and the lowercase hex digest."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Draft(NamedTuple):
    """A record but for its signature: `message` is what a signature covers, and `record_hash` its hash."""

    head: bytes
    rest: bytes
    message: bytes
    record_hash: str

    @classmethod
    def of(cls, head: bytes, rest: bytes, record_hash: str) -> "Draft":
        """Return a record whose hash is known."""
        return cls(head, rest, _message(head, rest), record_hash)

    @property
    def size(self) -> int:
        """How many bytes the record has with a signature."""
        return len(self.head) + len(self.rest) + _PROOF_BYTES

    def data(self, signature: bytes | None = None) -> bytes:
        """Return the record's exact bytes, with 64 bytes of signature or without."""
        own = f',"record_hash":"{self.record_hash}"'.encode()
        if signature is None:
            return b"".join((self.head, own, b",", self.rest))
        proof = b64encode(signature)
        return b"".join((self.head, own, b',"signature":"ed25519:', proof, b'",', self.rest))


def draft(members: dict[str, Any], *, stream: str, key_id: str, prev_hash: str) -> Draft:
    """Return the record with these members, which have no `integrity`, at its place in the chain.

    The body is encoded once; hash and signature are set into its canonical text where they belong.
    """
    before = {name: value for name, value in members.items() if name < "integrity"}
    after = {name: value for name, value in members.items() if name > "integrity"}
    head, tail = canonical.encode(before)[:-1], canonical.encode(after)[1:]
    return draft_of(head, tail, stream=stream, key_id=key_id, prev_hash=prev_hash)


def draft_of(head: bytes, tail: bytes, *, stream: str, key_id: str, prev_hash: str) -> Draft:
    """Return the same from canonical text: all members before `integrity`, and all after it."""
    # A key id and a hash are plain ASCII: they stand in canonical text as they are.
    head = b'%b,"integrity":{"key_id":"%b","prev_hash":"%b"' % (head, key_id.encode(), prev_hash.encode())
    rest = b"%b,%b" % (rest_of_integrity(stream), tail)
    message = _message(head, rest)
    return Draft(head, rest, message, sha256(message))


def _message(head: bytes, rest: bytes) -> bytes:
    return pae(PAYLOAD_TYPE, b"%b,%b" % (head, rest))


@lru_cache(maxsize=8)
def rest_of_integrity(stream: str) -> bytes:
    """Return the end of `integrity`, after record_hash and signature."""
    return canonical.encode({"stream": stream, "v": VERSION})[1:]


def message_of(data: bytes, integrity: dict[str, Any]) -> bytes:
    """Return what hash and signature cover, of a parsed record's exact bytes (docs/format.md, section 5)."""
    return pae(PAYLOAD_TYPE, body_of(data, integrity))


def body_of(data: bytes, integrity: dict[str, Any]) -> bytes:
    """Return a parsed record's exact bytes without record_hash and signature.

    The bytes are canonical, so the two members stand side by side; and their quotes are not escaped, so
    that the cut cannot be inside a string.
    """
    cut = f',"record_hash":"{integrity["record_hash"]}"'
    if "signature" in integrity:
        cut += f',"signature":"{integrity["signature"]}"'
    body = data.replace(cut.encode(), b"", 1)
    if len(body) + len(cut) != len(data):
        raise MalformedRecord("record_hash and signature are not where the canonical form has them")
    return body


class RecordFields(NamedTuple):
    """What a chain's rules are about: `message` is what hash and signature (64 bytes, or None) cover."""

    sequence_no: int
    kind: str
    tenant_id: str
    event_id: str
    ingested_at: str
    boot_id: str
    boottime_us: int
    step: int
    stream: str
    key_id: str
    prev_hash: str
    record_hash: str
    signature: bytes | None
    message: bytes


def fields_of(data: bytes, members: dict[str, Any]) -> RecordFields:
    """Return the fields of a parsed record; MalformedRecord if hash and signature are not side by side."""
    integrity, clock = members["integrity"], members["clock"]
    return RecordFields(
        members["sequence_no"],
        members["kind"],
        members["tenant_id"],
        members["event_id"],
        members["ingested_at"],
        clock["boot_id"],
        clock["boottime_us"],
        clock["step"],
        integrity["stream"],
        integrity["key_id"],
        integrity["prev_hash"],
        integrity["record_hash"],
        signature_bytes(integrity["signature"]) if "signature" in integrity else None,
        message_of(data, integrity),
    )


def unit_of(members: Mapping[str, Any]) -> str | None:
    """Return the serialized unit that a parsed record is about, or None."""
    resource = members["resource"]
    parent = resource.get("parent")
    about = Resource(resource["type"], resource["id"], (parent["type"], parent["id"]) if parent else None)
    return about.unit


def signature_bytes(text: str) -> bytes:
    """Return the 64 bytes of `ed25519:<base64>`; MalformedRecord for anything else."""
    prefix, _, encoded = text.partition(":")
    try:
        raw = b64decode(encoded, validate=True)
    except ValueError:
        raise MalformedRecord("the signature is not base64") from None
    if prefix != "ed25519" or len(raw) != _SIGNATURE_BYTES or b64encode(raw).decode() != encoded:
        raise MalformedRecord("the signature is not ed25519: and the base64 of 64 bytes")
    return raw


def parse(data: bytes) -> dict[str, Any]:
    """Return a record's members; NotCanonical or MalformedRecord names what is wrong with the bytes."""
    value = canonical.load(data)
    if not isinstance(value, dict):
        raise MalformedRecord("not a JSON object")
    record: dict[str, Any] = value
    # The members below leave no room for anything that the profile forbids, so it is not checked again.
    schema.check("record", record, schema.RECORD)
    if record["kind"] not in KINDS:
        raise MalformedRecord(f"the kind {record['kind']!r} is not in the list of the format")
    schema.check_within("", record, schema.RECORD)
    if "signature" in record["integrity"]:
        signature_bytes(record["integrity"]["signature"])
    canonical.require_form(value, data)
    return record


def is_signed(data: bytes) -> bool:
    """Say whether a record's canonical bytes hold a signature; nothing about it is verified.

    In canonical form, quotes that are not escaped stand in no text, and no other member has this name.
    """
    return _SIGNATURE_MEMBER in data
