"""Read a record's fields straight off its bytes, where they are plainly well formed: the store is quicker so.

One regular expression spells out canonical form and members together, for records of every usual
shape. It accepts nothing that `record.parse` refuses; what it does not accept is parsed instead, so that
it changes how quickly a record is read and never the result. Verifiers do without it.
"""

import json
import re
from binascii import a2b_base64
from typing import Final, NamedTuple

from linewitness.evidence.format import record
from linewitness.evidence.format.canonical import MAX_BYTES
from linewitness.evidence.format.kinds import KINDS
from linewitness.evidence.format.record import UNIT, RecordFields
from linewitness.evidence.verify.chain import KEY_RECORDS

_ESCAPE: Final = r'\\(?:["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))'
_RUN: Final = r'[^"\\\x00-\x1f]*+'
_TEXT: Final = rf'"{_RUN}(?:{_ESCAPE}{_RUN})*+"'
#: Text that reads the same in JSON and out of it.
_PLAIN: Final = rf'"({_RUN})"'
#: Fifteen digits are always within 2^53-1; longer numbers are parsed.
_COUNT: Final = r"(?:0|[1-9][0-9]{0,14}+)"
_INTEGER: Final = r"(?:0|-?[1-9][0-9]{0,14}+)"
_SCALAR: Final = rf"(?:{_TEXT}|null|{_INTEGER}|true|false)"
_TIME: Final = (
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
)
_HASH: Final = r"sha256:[0-9a-f]{64}"
#: 64 bytes in base64, of which the last character carries two bits.
_SIGNATURE: Final = r"[A-Za-z0-9+/]{85}[AQgw]=="
_CONTEXT: Final = {
    "correlation_id": _TEXT,
    "device_id": _TEXT,
    "line_id": _TEXT,
    "plant_id": _TEXT,
    "raw_hmac_sha256": r'"[0-9a-f]{64}"',
    "raw_sha256": _TEXT,
    "request_id": _TEXT,
    "session_id": _TEXT,
    "station_id": _TEXT,
}


def _maybe(name: str, content: str) -> str:
    """Return the pattern of a member that may be there, before one that must."""
    return rf'(?:"{name}":{content},)?+'


_CHANGE: Final = (
    rf'\{{"after":{_SCALAR},"before":{_SCALAR},"field":{_TEXT}'
    rf'(?:,"high":{_TEXT})?+(?:,"low":{_TEXT})?+(?:,"status":"(?:ok|low|high|nok)")?+(?:,"unit":{_TEXT})?+\}}'
)
_RECORD: Final = re.compile(
    r'\{"action":"(?:create|read|update|delete|execute)","actor":\{'
    + _maybe("auth_method", _TEXT)
    + _maybe("display_name", _TEXT)
    + rf'"id":{_TEXT},'
    + _maybe("source_ip", _TEXT)
    + r'"type":"(?:user|service|device|system)"\}'
    + rf',"changes":\[(?:{_CHANGE}(?:,{_CHANGE})*+)?+\]'
    + rf',"clock":\{{"boot_id":{_PLAIN},"boottime_us":({_COUNT}),'
    + _maybe("bound_us", _COUNT)
    + _maybe("device_offset_ms", _INTEGER)
    + _maybe("device_time", _TEXT)
    + r'"occurred_from":"(?:device|server|poll|gateway)",'
    + _maybe("occurred_unc_ms", _COUNT)
    + rf'"step":({_COUNT}),"sync":"(?:locked|holdover|unsynced)"\}}'
    # A comma is followed by the next name, the last member by the brace.
    + r',"context":\{'
    + "".join(rf'(?:"{name}":{content}(?:,(?=")|(?=\}})))?+' for name, content in _CONTEXT.items())
    + rf'\}},"event_id":"([0-7][0-9A-HJKMNP-TV-Z]{{25}})","ingested_at":"({_TIME})"'
    + rf',"integrity":\{{"key_id":"([0-9a-f]{{8}})","prev_hash":"({_HASH})"'
    + rf'(,"record_hash":"({_HASH})"(?:,"signature":"ed25519:({_SIGNATURE})")?+),"stream":{_PLAIN},"v":1\}}'
    + rf',"kind":"([a-z.]++)","occurred_at":"({_TIME})","reason":{_TEXT}'
    + rf',"resource":\{{"id":({_TEXT}),'
    + _maybe("parent", rf'\{{"id":({_TEXT}),"type":({_TEXT})\}}')
    + rf'"type":({_TEXT})\}},"sequence_no":({_COUNT}),"tenant_id":{_PLAIN}\}}'
)

#: The group that hash and signature do not cover: they themselves.
_CUT: Final = 8
_UNIT: Final = f'"{UNIT}"'
#: The pre-authentication encoding of a record up to its length.
_BEFORE: Final = b"DSSEv1 %d %b " % (len(record.PAYLOAD_TYPE), record.PAYLOAD_TYPE.encode())


class FastRecord(NamedTuple):
    """What a store wants of a record: the chain's fields, and those by which it is found."""

    fields: RecordFields
    occurred_at: str
    unit: str | None


def read_fast(data: bytes) -> FastRecord | None:
    """Return what the bytes say if they are a well-formed record of a usual shape; None says nothing.

    The records that announce keys are never of a usual shape.
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
        boot, uptime, step, event, ingested, key, before, cut, own, proof, stream, kind,
        occurred, name, parent_name, parent_kind, resource_kind, at, tenant,
    ) = found.groups()  # fmt: skip
    if kind not in KINDS or kind in KEY_RECORDS:
        return None
    start, end = found.span(_CUT)
    if len(text) != len(data):
        # Places in the text are none in the bytes; but quotes that are not escaped stand in no text.
        cut_out = cut.encode()
        start = data.index(cut_out)
        end = start + len(cut_out)
    message = b"%b%d %b%b" % (_BEFORE, len(data) - end + start, data[:start], data[end:])
    fields = RecordFields(
        int(at), kind, tenant, event, ingested, boot, int(uptime), int(step),
        stream, key, before, own, None if proof is None else a2b_base64(proof), message,
    )  # fmt: skip
    # What `Resource.unit` says. No letter of this type is ever escaped.
    of_kind, of = (resource_kind, name) if parent_kind is None else (parent_kind, parent_name)
    return FastRecord(fields, occurred, _plain(of) if of_kind == _UNIT else None)


def _plain(literal: str) -> str:
    """Return the text of a JSON string."""
    return str(json.loads(literal)) if "\\" in literal else literal[1:-1]
