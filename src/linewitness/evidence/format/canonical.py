"""The one byte form of a JSON value: JCS (RFC 8785) under the narrow profile of the record format.

The profile (docs/format.md, section 2) has no floating point, only keys of `[a-z0-9_]+`, integers up
to 2^53-1 and at most eight levels. Under it, JCS is plain JSON with sorted keys, no blanks and the
shortest escapes, which Python's encoder writes.
"""

import json
import re
from typing import Final

from linewitness.base.errors import EvidenceError

MAX_BYTES: Final = 65_535
MAX_DEPTH: Final = 8
MAX_INTEGER: Final = 2**53 - 1

Json = str | int | bool | None | list["Json"] | dict[str, "Json"]

_KEY: Final = re.compile(r"[a-z0-9_]+")
_PLAIN: Final = frozenset((str, bool))
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
    value = load(data)
    check_profile(value)
    require_form(value, data)
    return value


def load(data: bytes) -> Json:
    """Return the value of JSON bytes without floats. The caller checks the profile, then `require_form`."""
    if len(data) > MAX_BYTES:
        raise NotCanonical(f"{len(data)} bytes are more than the {MAX_BYTES} allowed")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotCanonical(f"not UTF-8 at byte {error.start}") from None
    return _loads(text, _decoder)


def require_form(value: Json, data: bytes) -> None:
    """Raise NotCanonical unless `data` is the canonical form of the value that `load` made of it."""
    if encode(value) != data:
        # A key that was there twice is gone from the value, so it always ends here.
        _loads(data.decode(), _naming_decoder)
        raise NotCanonical("not in canonical form (order of keys, blanks or escapes)")


def check_profile(value: object, depth: int = 1) -> None:
    """Raise NotCanonical unless the value has only what the profile allows."""
    if value is None or type(value) in _PLAIN:
        return
    if isinstance(value, int) and type(value) is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise NotCanonical(f"the integer {value} is beyond 2^53-1")
    elif depth > MAX_DEPTH:
        raise NotCanonical(f"deeper than {MAX_DEPTH} levels")
    elif isinstance(value, dict):
        for key, member in value.items():
            if not (isinstance(key, str) and _KEY.fullmatch(key)):
                raise NotCanonical(f"the key {key!r} is not of the form [a-z0-9_]+")
            check_profile(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            check_profile(member, depth + 1)
    else:
        raise NotCanonical(f"a value of type {type(value).__name__} is not allowed")


def _loads(text: str, decoder: json.JSONDecoder) -> Json:
    try:
        value: Json = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise NotCanonical(f"not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise NotCanonical(f"deeper than {MAX_DEPTH} levels") from None
    except ValueError:  # the interpreter's own limit on the digits of an integer
        raise NotCanonical("an integer is beyond 2^53-1") from None
    return value


def _unique_keys(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members: dict[str, Json] = {}
    for key, member in pairs:
        if key in members:
            raise NotCanonical(f"the key {key!r} is there twice")
        members[key] = member
    return members


def _no_float(text: str) -> Json:
    raise NotCanonical(f"the number {text} is not an integer")


_decoder: Final = json.JSONDecoder(parse_float=_no_float, parse_constant=_no_float)
_naming_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_float=_no_float, parse_constant=_no_float
)
