"""Assemble the records of values that changed together: what they have in common is encoded once.

A property test holds the result against the records of the same events one by one.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import orjson

from linewitness.evidence.format.record import PAYLOAD_TYPE
from linewitness.evidence.format.value_changes import EncodedFrame, Occurrence, PointFrame, ValueChange
from linewitness.records.drafts import Drafts
from linewitness.records.record_bytes import RecordBytes, RecordFacts, encode_frame, encode_value

_PAE: Final = b"DSSEv1 %d %b " % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode())


class ChangeBytes:
    """The records of one group of values, with one stamp and one key."""

    def __init__(
        self, record_bytes: RecordBytes, facts: RecordFacts, *, key_id: str, reason_of: Callable[[str], str]
    ) -> None:
        """Encode what all records say; `facts` are the group's, `reason_of` completes a reason."""
        self._bytes = record_bytes
        self._facts = facts
        self._reason_of = reason_of
        self._begin = record_bytes.begin(facts.event) + b'{"after":'
        self._ingested = b'",%b,"integrity":{"key_id":"%b","prev_hash":"' % (
            record_bytes.ingested(facts.stamp),
            key_id.encode(),
        )
        self._end = b",%b}" % record_bytes.tenant
        self._occurrence: Occurrence | None = None
        self._reason = ""
        self._clock = self._kind = b""

    def extend(
        self, drafts: Drafts, values: Sequence[ValueChange], ids: Sequence[bytes], sequence_no: int
    ) -> int:
        """Add the records of these values, up to one with a text that is not Unicode; return their number."""
        before = len(drafts)
        with suppress(TypeError, UnicodeEncodeError):
            self._extend(drafts, values, ids, sequence_no)
        return len(drafts) - before

    def _extend(
        self, drafts: Drafts, values: Sequence[ValueChange], ids: Sequence[bytes], sequence_no: int
    ) -> None:
        """Add records in one loop with few calls: it runs for each changed value."""
        join, dumps, sha256 = b"".join, orjson.dumps, hashlib.sha256
        add_data, add_hash = drafts.data.append, drafts.hashes.append
        begin, ingested, end = self._begin, self._ingested, self._end
        prev_hash = drafts.last_hash
        for number, (value, event_id) in enumerate(zip(values, ids, strict=True), sequence_no):
            frame, before, after, status, reason, occurrence = value
            if occurrence is not self._occurrence or reason is not self._reason:
                self._turn_to(occurrence, reason)
            field, resource = frame.encoded.get(status) or _encoded(frame, status)
            head = join(
                (
                    begin,
                    dumps(after) if type(after) is str else encode_value(after),
                    b',"before":',
                    dumps(before) if type(before) is str else encode_value(before),
                    field,
                    self._clock,
                    event_id,
                    ingested,
                    prev_hash,
                    b'"',
                )
            )
            rest = join((self._kind, resource, b'"sequence_no":%d' % number, end))
            message = join((_PAE, b"%d " % (len(head) + 1 + len(rest)), head, b",", rest))
            prev_hash = b"sha256:" + sha256(message).hexdigest().encode()
            add_data(join((head, b',"record_hash":"', prev_hash, b'",', rest)))
            add_hash(prev_hash)

    def _turn_to(self, occurrence: Occurrence, reason: str) -> None:
        """Encode what all values say that were given at one moment."""
        self._clock = b'],"clock":%b,"context":%b,"event_id":"' % (
            self._bytes.clock(occurrence, self._facts),
            self._bytes.context(self._facts),
        )
        self._kind = self._bytes.kind(self._facts.event.kind, occurrence.occurred_ns, self._reason_of(reason))
        self._occurrence, self._reason = occurrence, reason


def _encoded(frame: PointFrame, status: str | None) -> EncodedFrame:
    """Encode what the records of one point have in common, once."""
    field = encode_frame(frame.name, frame.high, frame.low, status, frame.unit)
    resource = orjson.dumps(
        {"id": frame.resource.id, "type": frame.resource.type}, option=orjson.OPT_SORT_KEYS
    )
    found = frame.encoded[status] = (field, resource + b",")
    return found
