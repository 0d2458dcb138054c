"""Read what the rules ask of a record straight off its canonical bytes; all its members only where needed.

One regular expression, made from the tables of `schema`, spells out canonical form and members together. It
matches nothing that `record.parse` refuses. What it does not match is parsed: that changes how quickly a
record is read, and never the result.
"""

import json
import re
from binascii import a2b_base64
from typing import Any, Final

from linewitness.evidence.format import record, schema
from linewitness.evidence.format.canonical import MAX_BYTES
from linewitness.evidence.format.kinds import KINDS
from linewitness.evidence.format.record import UNIT, RecordFields, fields_of, unit_of
from linewitness.evidence.format.schema import Content, Members
from linewitness.evidence.format.times import unix_us

#: What the rules ask, in the order of the canonical text. A text is matched only where it has no escape.
_ASKED: Final = frozenset(
    (
        *("clock.boot_id", "clock.boottime_us", "clock.bound_us", "clock.step", "event_id", "ingested_at"),
        *("integrity.key_id", "integrity.prev_hash", "integrity.record_hash", "integrity.signature"),
        *("integrity.stream", "kind", "occurred_at"),
        *("resource.id", "resource.parent.id", "resource.parent.type", "resource.type"),
        *("sequence_no", "tenant_id"),
    )
)
#: Lengths of the text around record_hash and signature, which hash and signature do not cover.
_BEFORE_HASH: Final = len(',"record_hash":"')
_AFTER: Final = len('"')


def _object(members: Members, within: str = "") -> str:
    """Return the pattern of an object's canonical text, with a group around each value that is asked for."""
    names = sorted((*members.required, *members.optional))
    last = max(members.required, default="")
    parts = []
    for name in names:
        member = f'"{name}":{_content(members.content_of(name), within + name)}'
        if not last:  # a comma is followed by the next name, the last member by the brace
            parts.append(rf'(?:{member}(?:,(?=")|(?=\}})))?+')
        elif name in members.required:
            parts.append(f"{member}," if name < last else member)
        else:
            parts.append(f"(?:{member},)?+" if name < last else f"(?:,{member})?+")
    return r"\{" + "".join(parts) + r"\}"


def _content(content: Content, path: str) -> str:
    if content.members is None:
        return content.group if path in _ASKED else content.text
    inner = _object(content.members, f"{path}.")
    return rf"\[(?:{inner}(?:,{inner})*+)?+\]" if content.is_list else inner


_RECORD: Final = re.compile(_object(schema.RECORD))
#: The groups of record_hash and signature.
_HASH, _SIGNATURE = 9, 10
#: The pre-authentication encoding of a record up to its length.
_BEFORE: Final = b"DSSEv1 %d %b " % (len(record.PAYLOAD_TYPE), record.PAYLOAD_TYPE.encode())


class ReadRecord:
    """A well-formed record: its exact bytes, and what the rules ask; `bound_us` is None where unknown."""

    __slots__ = ("_ingested_us", "_members", "bound_us", "data", "fields", "occurred_at", "unit")

    def __init__(
        self,
        data: bytes,
        fields: RecordFields,
        *,
        occurred_at: str,
        unit: str | None,
        bound_us: int | None,
        members: dict[str, Any] | None = None,
    ) -> None:
        """Take what was read; `members` are parsed when they are asked for."""
        self.data = data
        self.fields = fields
        self.occurred_at = occurred_at
        self.unit = unit
        self.bound_us = bound_us
        self._members = members
        self._ingested_us: int | None = None

    @property
    def ingested_us(self) -> int:
        """`ingested_at` in Unix microseconds; ValueError if it is no date of the calendar."""
        if self._ingested_us is None:
            self._ingested_us = unix_us(self.fields.ingested_at)
        return self._ingested_us

    @property
    def members(self) -> dict[str, Any]:
        """All members, as `record.parse` returns them."""
        members = self._members
        if members is None:
            members = self._members = json.loads(self.data)
        return members


def read(data: bytes) -> ReadRecord:
    """Return a record; NotCanonical or MalformedRecord names what is wrong with the bytes."""
    return _read_quickly(data) or _parsed(data)


def _parsed(data: bytes) -> ReadRecord:
    members = record.parse(data)
    return ReadRecord(
        data,
        fields_of(data, members),
        occurred_at=members["occurred_at"],
        unit=unit_of(members),
        bound_us=members["clock"].get("bound_us"),
        members=members,
    )


def _read_quickly(data: bytes) -> ReadRecord | None:
    found = match(data)
    if found is None:
        return None
    (
        at, kind, tenant, event, ingested, boot, uptime, step, stream, key, before, own, signature, message,
        occurred, unit, bound,
    ) = found  # fmt: skip
    fields = RecordFields(
        int(at), kind, tenant, event, ingested, boot, int(uptime), int(step),
        stream, key, before, own, None if signature is None else a2b_base64(signature), message,
    )  # fmt: skip
    return ReadRecord(
        data,
        fields,
        occurred_at=occurred,
        unit=unit,
        bound_us=None if bound is None else int(bound),
    )


def match(data: bytes) -> tuple[Any, ...] | None:
    """Return what the rules ask of a record that the pattern matches, in the order of `RecordColumns`.

    Numbers are text, and so is the signature.
    """
    if len(data) > MAX_BYTES:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    found = _RECORD.fullmatch(text)
    if found is None:
        return None
    (
        boot, uptime, bound, step, event, ingested, key, before, own, signature, stream, kind,
        occurred, name, parent_name, parent_type, own_type, at, tenant,
    ) = found.groups()  # fmt: skip
    if kind not in KINDS:
        return None
    start = found.start(_HASH) - _BEFORE_HASH
    end = found.end(_HASH if signature is None else _SIGNATURE) + _AFTER
    if len(text) != len(data):
        # Places in the text are none in the bytes.
        start, end = len(text[:start].encode()), len(text[:end].encode())
    length = b"%d " % (len(data) - end + start)
    message = b"".join((_BEFORE, length, data[:start], data[end:]))  # formatting would grow a buffer
    about, unit = (own_type, name) if parent_type is None else (parent_type, parent_name)
    return (
        at, kind, tenant, event, ingested, boot, uptime, step, stream, key, before, own, signature, message,
        occurred, unit if about == UNIT else None, bound,
    )  # fmt: skip
