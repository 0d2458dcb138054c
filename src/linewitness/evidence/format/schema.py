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

# Canonical text as regular expressions. A text without escapes is the same in JSON and out of it; fifteen
# digits are always within 2^53-1.
_PLAIN: Final = r'[^"\\\x00-\x1f]*+'
_ESCAPE: Final = r'\\(?:["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))'
_TEXT: Final = rf'"{_PLAIN}(?:{_ESCAPE}{_PLAIN})*+"'
_COUNT: Final = r"(?:0|[1-9][0-9]{0,14}+)"
_WHOLE: Final = r"(?:0|-?[1-9][0-9]{0,14}+)"


class MalformedRecord(EvidenceError):
    """The bytes are canonical JSON but not a record of this format."""


class Content(NamedTuple):
    """What a member may hold: `fits` checks the value, `text` is a pattern of its canonical text.

    The pattern matches nothing that does not fit, and need not match all that does. `group` is one that has
    the value as a group. `members` are those of an object, or of each object in a list.
    """

    fits: Callable[[object], bool]
    text: str = ""
    group: str = ""
    members: "Members | None" = None
    is_list: bool = False


class Members(NamedTuple):
    """What an object may hold. `known` remembers the checks for sets of names that were found good."""

    required: dict[str, Content]
    optional: dict[str, Content]
    known: dict[tuple[str, ...], tuple[Callable[[object], bool], ...]]

    def content_of(self, name: str) -> Content:
        """Return what a known member may hold."""
        return self.required.get(name) or self.optional[name]


def _members(required: dict[str, Content], optional: dict[str, Content]) -> Members:
    return Members(required, optional, {})


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= canonical.MAX_INTEGER


def _is_whole(value: object) -> bool:
    return type(value) is int and -canonical.MAX_INTEGER <= value <= canonical.MAX_INTEGER


def _is_scalar(value: object) -> bool:
    return value is None or type(value) in _TEXT_OR_FLAG or _is_whole(value)


def _is_object(value: object) -> bool:
    return type(value) is dict


def _is_list(value: object) -> bool:
    return type(value) is list


def _one_of(*words: str) -> Content:
    return Content(lambda value: type(value) is str and value in words, f'"(?:{"|".join(words)})"')


def _like(pattern: str) -> Content:
    """Return the content of texts of a form, in which nothing is escaped."""
    compiled = re.compile(pattern)
    return Content(
        lambda value: type(value) is str and compiled.fullmatch(value) is not None,
        f'"(?:{pattern})"',
        f'"({pattern})"',
    )


def _object(members: Members) -> Content:
    return Content(_is_object, members=members)


def _objects(members: Members) -> Content:
    return Content(_is_list, members=members, is_list=True)


_ANY_TEXT: Final = Content(_is_text, _TEXT, f'"({_PLAIN})"')
_A_COUNT: Final = Content(_is_count, _COUNT, f"({_COUNT})")
_AN_INTEGER: Final = Content(_is_whole, _WHOLE, f"({_WHOLE})")
_A_SCALAR: Final = Content(_is_scalar, rf"(?:{_TEXT}|null|{_WHOLE}|true|false)")
_A_HASH: Final = _like("sha256:[0-9a-f]{64}")
_A_TIME: Final = _like(TIME.pattern)
#: 64 bytes in base64, of which the last character carries two bits; see `record.signature_bytes`.
_SIGNATURE: Final = Content(
    _is_text, '"ed25519:[A-Za-z0-9+/]{85}[AQgw]=="', '"ed25519:([A-Za-z0-9+/]{85}[AQgw]==)"'
)


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
        members.known[tuple(value)] = tuple(members.content_of(name).fits for name in value)


def check_within(where: str, value: dict[str, Any], members: Members) -> None:
    """Do the same with the objects in a checked object, and with those in them; `where` ends with a dot."""
    for name, content in (*members.required.items(), *members.optional.items()):
        if content.members is None or name not in value:
            continue
        inner, path = value[name], f"{where}{name}"
        parts = (
            [(f"{path}[{at}]", each) for at, each in enumerate(inner)] if content.is_list else [(path, inner)]
        )
        for place, part in parts:
            check(place, part, content.members)
            check_within(f"{place}.", part, content.members)


def _check_each(where: str, value: dict[str, Any], members: Members) -> None:
    for name, content in value.items():
        allowed = members.required.get(name) or members.optional.get(name)
        if allowed is None:
            raise MalformedRecord(f"{where} has the unknown member {name!r}")
        if not allowed.fits(content):
            raise MalformedRecord(f"{where}.{name} has a value that the format does not allow")
    missing = members.required.keys() - value.keys()
    if missing:
        raise MalformedRecord(f"{where} lacks {', '.join(sorted(missing))}")


ACTOR: Final = _members(
    {"type": _one_of("user", "service", "device", "system"), "id": _ANY_TEXT},
    {"display_name": _ANY_TEXT, "auth_method": _ANY_TEXT, "source_ip": _ANY_TEXT},
)
PARENT: Final = _members({"type": _ANY_TEXT, "id": _ANY_TEXT}, {})
RESOURCE: Final = _members({"type": _ANY_TEXT, "id": _ANY_TEXT}, {"parent": _object(PARENT)})
CHANGE: Final = _members(
    {"field": _ANY_TEXT, "before": _A_SCALAR, "after": _A_SCALAR},
    {"unit": _ANY_TEXT, "low": _ANY_TEXT, "high": _ANY_TEXT, "status": _one_of("ok", "low", "high", "nok")},
)
CONTEXT: Final = _members(
    {},
    {
        "plant_id": _ANY_TEXT,
        "line_id": _ANY_TEXT,
        "station_id": _ANY_TEXT,
        "device_id": _ANY_TEXT,
        "session_id": _ANY_TEXT,
        "correlation_id": _ANY_TEXT,
        "request_id": _ANY_TEXT,
        "raw_hmac_sha256": _like("[0-9a-f]{64}"),
        "raw_sha256": _ANY_TEXT,
    },
)
CLOCK: Final = _members(
    {
        "sync": _one_of("locked", "holdover", "unsynced"),
        "step": _A_COUNT,
        "boot_id": _ANY_TEXT,
        "boottime_us": _A_COUNT,
        "occurred_from": _one_of("device", "server", "poll", "gateway"),
    },
    {
        "bound_us": _A_COUNT,
        "occurred_unc_ms": _A_COUNT,
        "device_time": _ANY_TEXT,
        "device_offset_ms": _AN_INTEGER,
    },
)
INTEGRITY: Final = _members(
    {
        "v": Content(lambda value: type(value) is int and value == VERSION, str(VERSION)),
        "stream": _ANY_TEXT,
        "key_id": _like("[0-9a-f]{8}"),
        "prev_hash": _A_HASH,
        "record_hash": _A_HASH,
    },
    {"signature": _SIGNATURE},
)
RECORD: Final = _members(
    {
        "event_id": _like("[0-7][0-9A-HJKMNP-TV-Z]{25}"),
        "tenant_id": _ANY_TEXT,
        "sequence_no": _A_COUNT,
        "kind": _ANY_TEXT,
        "action": _one_of("create", "read", "update", "delete", "execute"),
        "occurred_at": _A_TIME,
        "ingested_at": _A_TIME,
        "actor": _object(ACTOR),
        "resource": _object(RESOURCE),
        "changes": _objects(CHANGE),
        "reason": _ANY_TEXT,
        "context": _object(CONTEXT),
        "clock": _object(CLOCK),
        "integrity": _object(INTEGRITY),
    },
    {},
)
