"""Which members a record may have and what may be in them (docs/format.md, section 2.2)."""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from linewitness.base.errors import EvidenceError
from linewitness.evidence.format import canonical
from linewitness.evidence.format.times import TIME

VERSION: Final = 1

#: So many different sets of members are remembered for each object of a record.
_SHAPES: Final = 64
_TEXT_OR_FLAG: Final = frozenset((str, bool))
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_HEX_HASH: Final = re.compile(r"[0-9a-f]{64}")
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}")
_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


class MalformedRecord(EvidenceError):
    """The bytes are canonical JSON but not a record of this format."""


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


class Members(NamedTuple):
    """What an object may hold. `known` remembers the checks for sets of names that were found good."""

    required: dict[str, Callable[[object], bool]]
    optional: dict[str, Callable[[object], bool]]
    known: dict[tuple[str, ...], tuple[Callable[[object], bool], ...]]

    def check_of(self, name: str) -> Callable[[object], bool]:
        """Return what the content of a known member must satisfy."""
        return self.required.get(name) or self.optional[name]


def _members(
    required: dict[str, Callable[[object], bool]], optional: dict[str, Callable[[object], bool]]
) -> Members:
    return Members(required, optional, {})


def check(where: str, value: object, members: Members) -> None:
    """Raise MalformedRecord unless an object has these members, with contents that fit."""
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


def _check_each(where: str, value: dict[str, Any], members: Members) -> None:
    for name, content in value.items():
        fits = members.required.get(name) or members.optional.get(name)
        if fits is None:
            raise MalformedRecord(f"{where} has the unknown member {name!r}")
        if not fits(content):
            raise MalformedRecord(f"{where}.{name} has a value that the format does not allow")
    missing = members.required.keys() - value.keys()
    if missing:
        raise MalformedRecord(f"{where} lacks {', '.join(sorted(missing))}")


RECORD: Final = _members(
    {
        "event_id": _like(_ULID),
        "tenant_id": _text,
        "sequence_no": _count,
        "kind": _text,
        "action": _one_of("create", "read", "update", "delete", "execute"),
        "occurred_at": _like(TIME),
        "ingested_at": _like(TIME),
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
ACTOR: Final = _members(
    {"type": _one_of("user", "service", "device", "system"), "id": _text},
    {"display_name": _text, "auth_method": _text, "source_ip": _text},
)
RESOURCE: Final = _members({"type": _text, "id": _text}, {"parent": _object})
PARENT: Final = _members({"type": _text, "id": _text}, {})
CHANGE: Final = _members(
    {"field": _text, "before": _scalar, "after": _scalar},
    {"unit": _text, "low": _text, "high": _text, "status": _one_of("ok", "low", "high", "nok")},
)
CONTEXT: Final = _members(
    {},
    {
        "plant_id": _text,
        "line_id": _text,
        "station_id": _text,
        "device_id": _text,
        "session_id": _text,
        "correlation_id": _text,
        "request_id": _text,
        "raw_hmac_sha256": _like(_HEX_HASH),
        "raw_sha256": _text,
    },
)
CLOCK: Final = _members(
    {
        "sync": _one_of("locked", "holdover", "unsynced"),
        "step": _count,
        "boot_id": _text,
        "boottime_us": _count,
        "occurred_from": _one_of("device", "server", "poll", "gateway"),
    },
    {"bound_us": _count, "occurred_unc_ms": _count, "device_time": _text, "device_offset_ms": _whole},
)
INTEGRITY: Final = _members(
    {
        "v": lambda value: type(value) is int and value == VERSION,
        "stream": _text,
        "key_id": _like(_KEY_ID),
        "prev_hash": _like(_HASH),
        "record_hash": _like(_HASH),
    },
    {"signature": _text},
)
