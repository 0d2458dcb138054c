"""The one byte form of a JSON value: JCS (RFC 8785) under the narrow profile of the record format.

The profile (docs/format.md, section 2) has no floating point, only keys of `[a-z0-9_]+`, integers up
to 2^53-1 and at most eight levels. Under it, JCS is plain JSON with sorted keys, no blanks and the
shortest escapes, which Python's encoder writes.
"""

import json
import re
from typing import Final

from linewitness.errors import EvidenceError

MAX_BYTES: Final = 65_535
MAX_DEPTH: Final = 8
MAX_INTEGER: Final = 2**53 - 1

Json = str | int | bool | None | list["Json"] | dict[str, "Json"]

_KEY: Final = re.compile(r"[a-z0-9_]+")
_encoder: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)


class NotCanonical(EvidenceError):
    """The bytes are not the canonical form of any value that the profile allows."""


def encode(value: Json) -> bytes:
    """Return the canonical bytes of a value that is known to fit the profile (see `check_profile`).

    Raises NotCanonical for a lone surrogate, the one thing that UTF-8 itself refuses.
    """
    try:
        return _encoder.encode(value).encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotCanonical(f"a string holds a lone surrogate at character {error.start}") from None


def decode(data: bytes) -> Json:
    """Return the value of canonical bytes; NotCanonical names the first rule that they break."""
    if len(data) > MAX_BYTES:
        raise NotCanonical(f"{len(data)} bytes are more than the {MAX_BYTES} allowed")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotCanonical(f"not UTF-8 at byte {error.start}") from None
    try:
        value: Json = json.loads(
            text, object_pairs_hook=_unique_keys, parse_float=_no_float, parse_constant=_no_float
        )
    except json.JSONDecodeError as error:
        raise NotCanonical(f"not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise NotCanonical(f"deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:  # the interpreter's own limit on the digits of an integer
        raise NotCanonical(str(error)) from None
    check_profile(value)
    if encode(value) != data:
        raise NotCanonical("not in canonical form (order of keys, blanks or escapes)")
    return value


def check_profile(value: object, depth: int = 1) -> None:
    """Raise NotCanonical unless the value has only what the profile allows."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return
    if kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:  # type: ignore[operator]
            raise NotCanonical(f"the integer {value} is beyond 2^53-1")
        return
    if depth > MAX_DEPTH:
        raise NotCanonical(f"deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        for key, member in value.items():
            if not (isinstance(key, str) and _KEY.fullmatch(key)):
                raise NotCanonical(f"the key {key!r} is not of the form [a-z0-9_]+")
            check_profile(member, depth + 1)
        return
    if isinstance(value, list):
        for member in value:
            check_profile(member, depth + 1)
        return
    raise NotCanonical(f"a value of type {kind.__name__} is not allowed")


def _unique_keys(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise NotCanonical(f"the key {twice!r} is there twice")
    return members


def _no_float(text: str) -> Json:
    raise NotCanonical(f"the number {text} is not an integer")
