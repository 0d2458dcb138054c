"""An event, and the record that it becomes: one canonical JSON object that never changes again.

docs/format.md, sections 2 to 5.
"""

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from linewitness.errors import EvidenceError
from linewitness.evidence import canonical
from linewitness.evidence.kinds import KINDS, Action

PAYLOAD_TYPE: Final = "application/vnd.linewitness.record.v1+json"
VERSION: Final = 1
ZERO_HASH: Final = "sha256:" + "0" * 64

Scalar = str | int | bool | None
ActorType = Literal["user", "service", "device", "system"]

_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_SIGNATURE_BYTES: Final = 64
_TEXT_OR_FLAG: Final = frozenset((str, bool))
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}")
_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_TIME: Final = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
)
#: So many different sets of members are remembered for each object of a record.
_SHAPES: Final = 64
_NO_CONTEXT: Final[Mapping[str, str]] = MappingProxyType({})


class MalformedRecord(EvidenceError):
    """The bytes are canonical JSON but not a record of this format."""


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
    it is None.
    """

    kind: str
    occurred_ns: int
    occurred_from: str
    actor: Actor
    resource: Resource
    reason: str
    action: Action | None = None
    changes: tuple[Change, ...] = ()
    context: Mapping[str, str] = field(default_factory=lambda: _NO_CONTEXT)
    occurred_unc_ms: int | None = None
    device_time: str | None = None
    device_offset_ms: int | None = None
    event_id: str | None = None


def pae(payload_type: str, body: bytes) -> bytes:
    """Return DSSE v1's pre-authentication encoding: what is hashed and signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def sha256(data: bytes) -> str:
    """Return `sha256:` and the lowercase hex digest."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sealed(
    members: dict[str, Any], *, stream: str, key_id: str, prev_hash: str, sign: Callable[[bytes], bytes]
) -> tuple[bytes, str]:
    """Return the record's exact bytes and its record_hash, for members without `integrity`.

    The body is encoded once; hash and signature are set into its canonical text where they belong.
    """
    before = {name: value for name, value in members.items() if name < "integrity"}
    after = {name: value for name, value in members.items() if name > "integrity"}
    head = canonical.encode(before)[:-1] + b',"integrity":'
    tail = b"," + canonical.encode(after)[1:]
    # A key id and a hash are plain ASCII: they stand in canonical text as they are.
    link = f'{{"key_id":"{key_id}","prev_hash":"{prev_hash}"'.encode()
    rest = _rest_of_integrity(stream)
    message = pae(PAYLOAD_TYPE, b"".join((head, link, b",", rest, tail)))
    record_hash = sha256(message)
    signature = b64encode(sign(message)).decode()
    proof = f',"record_hash":"{record_hash}","signature":"ed25519:{signature}",'.encode()
    return b"".join((head, link, proof, rest, tail)), record_hash


@lru_cache(maxsize=8)
def _rest_of_integrity(stream: str) -> bytes:
    return canonical.encode({"stream": stream, "v": VERSION})[1:]


def signed_message(record: dict[str, Any]) -> bytes:
    """Return what a parsed record's hash and signature cover (docs/format.md, section 5)."""
    integrity = {
        name: value for name, value in record["integrity"].items() if name not in ("record_hash", "signature")
    }
    return pae(PAYLOAD_TYPE, canonical.encode({**record, "integrity": integrity}))


def message_of(data: bytes, integrity: dict[str, Any]) -> bytes:
    """Return the same as `signed_message` from a parsed record's exact bytes, without encoding it again.

    The bytes are canonical, so the two members stand side by side; and their quotes are not escaped, so
    that the cut cannot be inside a string.
    """
    cut = f',"record_hash":"{integrity["record_hash"]}","signature":"{integrity["signature"]}"'.encode()
    body = data.replace(cut, b"", 1)
    if len(body) + len(cut) != len(data):
        raise MalformedRecord("record_hash and signature are not where the canonical form has them")
    return pae(PAYLOAD_TYPE, body)


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
    _check_members("record", record, _RECORD)
    if record["kind"] not in KINDS:
        raise MalformedRecord(f"the kind {record['kind']!r} is not in the list of the format")
    _check_members("actor", record["actor"], _ACTOR)
    _check_members("resource", record["resource"], _RESOURCE)
    if "parent" in record["resource"]:
        _check_members("resource.parent", record["resource"]["parent"], _PARENT)
    for position, change in enumerate(record["changes"]):
        _check_members(f"changes[{position}]", change, _CHANGE)
    _check_members("context", record["context"], _CONTEXT)
    _check_members("clock", record["clock"], _CLOCK)
    _check_members("integrity", record["integrity"], _INTEGRITY)
    signature_bytes(record["integrity"]["signature"])
    canonical.require_form(value, data)
    return record


def _text(value: object) -> bool:
    return type(value) is str


def _count(value: object) -> bool:
    return type(value) is int and 0 <= value <= canonical.MAX_INTEGER


def _whole(value: object) -> bool:
    return type(value) is int and -canonical.MAX_INTEGER <= value <= canonical.MAX_INTEGER


def _scalar(value: object) -> bool:
    return value is None or type(value) in _TEXT_OR_FLAG or _whole(value)


def _object(value: object) -> bool:
    return type(value) is dict


def _list(value: object) -> bool:
    return type(value) is list


def _one_of(*words: str) -> Callable[[object], bool]:
    return lambda value: type(value) is str and value in words


def _like(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: type(value) is str and pattern.fullmatch(value) is not None


class _Members(NamedTuple):
    """What an object may hold. `known` remembers the checks for sets of names that were found good."""

    required: dict[str, Callable[[object], bool]]
    optional: dict[str, Callable[[object], bool]]
    known: dict[tuple[str, ...], tuple[Callable[[object], bool], ...]]

    def check_of(self, name: str) -> Callable[[object], bool]:
        return self.required.get(name) or self.optional[name]


def _members(
    required: dict[str, Callable[[object], bool]], optional: dict[str, Callable[[object], bool]]
) -> _Members:
    return _Members(required, optional, {})


def _check_members(where: str, value: object, members: _Members) -> None:
    if not isinstance(value, dict):
        raise MalformedRecord(f"{where} is not an object")
    checks = members.known.get(tuple(value))
    if checks is not None:  # a loop, for `all` over a generator takes half as long again
        for fits, content in zip(checks, value.values(), strict=True):
            if not fits(content):
                break
        else:
            return
    _check_each(where, value, members)
    if len(members.known) < _SHAPES:
        members.known[tuple(value)] = tuple(members.check_of(name) for name in value)


def _check_each(where: str, value: dict[str, Any], members: _Members) -> None:
    for name, content in value.items():
        fits = members.required.get(name) or members.optional.get(name)
        if fits is None:
            raise MalformedRecord(f"{where} has the unknown member {name!r}")
        if not fits(content):
            raise MalformedRecord(f"{where}.{name} has a value that the format does not allow")
    missing = members.required.keys() - value.keys()
    if missing:
        raise MalformedRecord(f"{where} lacks {', '.join(sorted(missing))}")


_RECORD: Final = _members(
    {
        "event_id": _like(_ULID),
        "tenant_id": _text,
        "sequence_no": _count,
        "kind": _text,
        "action": _one_of("create", "read", "update", "delete", "execute"),
        "occurred_at": _like(_TIME),
        "ingested_at": _like(_TIME),
        "actor": _object,
        "resource": _object,
        "changes": _list,
        "reason": _text,
        "context": _object,
        "clock": _object,
        "integrity": _object,
    },
    {},
)
_ACTOR: Final = _members(
    {"type": _one_of("user", "service", "device", "system"), "id": _text},
    {"display_name": _text, "auth_method": _text, "source_ip": _text},
)
_RESOURCE: Final = _members({"type": _text, "id": _text}, {"parent": _object})
_PARENT: Final = _members({"type": _text, "id": _text}, {})
_CHANGE: Final = _members(
    {"field": _text, "before": _scalar, "after": _scalar},
    {"unit": _text, "low": _text, "high": _text, "status": _one_of("ok", "low", "high", "nok")},
)
_CONTEXT: Final = _members(
    {},
    {
        "plant_id": _text,
        "line_id": _text,
        "station_id": _text,
        "device_id": _text,
        "session_id": _text,
        "correlation_id": _text,
        "request_id": _text,
        "raw_sha256": _text,
    },
)
_CLOCK: Final = _members(
    {
        "sync": _one_of("locked", "holdover", "unsynced"),
        "step": _count,
        "boot_id": _text,
        "boottime_us": _count,
        "occurred_from": _one_of("device", "server", "poll", "gateway"),
    },
    {"bound_us": _count, "occurred_unc_ms": _count, "device_time": _text, "device_offset_ms": _whole},
)
_INTEGRITY: Final = _members(
    {
        "v": lambda value: type(value) is int and value == VERSION,
        "stream": _text,
        "key_id": _like(_KEY_ID),
        "prev_hash": _like(_HASH),
        "record_hash": _like(_HASH),
        "signature": _text,
    },
    {},
)
