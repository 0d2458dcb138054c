"""What a record of a tenant stream must say (docs/format.md, 3.3): actor, resource and changes."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")

_Test = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def is_count(value: Any) -> bool:
    """Return whether a value counts something."""
    return type(value) is int and value >= 0


def is_hash(value: Any) -> bool:
    """Return whether a value is `sha256:` and a hash in hex."""
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_term(value: Any) -> bool:
    """Return whether it is a number of days, or none at all."""
    return value is None or is_count(value)


def _is_hash_or_null(value: Any) -> bool:
    """Return whether it is a hash, or what stands for one that cannot be computed."""
    return value is None or is_hash(value)


class TenantRule(NamedTuple):
    """What the records of a kind have; an empty type of resource stands for any."""

    resource: str
    actors: frozenset[str]
    fields: Mapping[str, _Test]


_PERSON: Final = frozenset(("user",))
_STORE: Final = frozenset(("system",))
_EITHER: Final = _PERSON | _STORE
_ANYBODY: Final = _EITHER | {"service", "device"}
_CITED: Final[dict[str, _Test]] = {"stream": _is_text, "sequence_no": is_count, "record_hash": is_hash}
_HEAD: Final[dict[str, _Test]] = {"size": is_count, "root": is_hash}

CUSTODY: Final = "custody.taken"
#: One for each kind.
RULES: Final[Mapping[str, TenantRule]] = {
    CUSTODY: TenantRule("tenant", _STORE, {}),
    "stream.enrolled": TenantRule(
        "stream", _PERSON, {"gateway": _is_text, "log_key": _is_text, "record_0": is_hash}
    ),
    "stream.retired": TenantRule("stream", _PERSON, {"size": is_count}),
    "retention.changed": TenantRule("tenant", _PERSON, {"days": _is_term}),
    "pack.sealed": TenantRule(
        "pack", _STORE, {"first": is_count, "count": is_count, "node": is_hash, "digest": is_hash}
    ),
    "pack.locked": TenantRule("pack", _STORE, {"target": _is_text, "until": _is_text}),
    "pack.expired": TenantRule("pack", _EITHER, {"target": _is_text}),
    "worm.probed": TenantRule("target", _EITHER, {"held": _is_flag}),
    "integrity.checked": TenantRule(
        "stream",
        _EITHER,
        {"first": is_count, "size": is_count, "root": _is_hash_or_null, "verdict": _is_text},
    ),
    "finding.raised": TenantRule("", _EITHER, {"code": _is_text}),
    "finding.disposed": TenantRule("finding", _PERSON, {"disposition": _is_text}),
    "rule.changed": TenantRule("rule", _PERSON, {"rules": is_hash}),
    "review.signed": TenantRule(
        "review", _PERSON, {"stream": _is_text, **_HEAD, "rules": is_hash, "meaning": _is_text}
    ),
    "annotation.added": TenantRule("record", _PERSON, {**_CITED, "purpose": _is_text, "text": _is_text}),
    "evidence.read": TenantRule("", _PERSON, {"question": _is_text}),
    "evidence.exported": TenantRule("", _PERSON, {"form": _is_text, "records": is_count}),
    "account.changed": TenantRule("account", _EITHER, {}),
    "role.used": TenantRule("role", _PERSON, {}),
    "session.opened": TenantRule("session", _PERSON, {"account": _is_text}),
    "session.refused": TenantRule("session", _ANYBODY, {"account": _is_text}),
}


def broken_rule(members: Mapping[str, Any]) -> str | None:
    """Return which rule of its kind a parsed record breaks, None where it keeps all."""
    kind, rule = members["kind"], RULES[members["kind"]]
    resource, actor = members["resource"]["type"], members["actor"]["type"]
    if rule.resource and resource != rule.resource:
        return f"{kind} is about a {resource}, not about a {rule.resource}"
    if actor not in rule.actors:
        return f"the actor of {kind} is a {actor}"
    values = {change["field"]: change["after"] for change in members["changes"]}
    for field, test in rule.fields.items():
        if field not in values:
            return f"{kind} does not say {field}"
        if not test(values[field]):
            return f"{kind} says no good {field}"
    return None
