"""Records that one signature vouches for: those without one, and the next that bears it.

docs/format.md, section 5.2.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from linewitness.base.errors import EvidenceError
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.record import fields_of, is_signed, parse, sha256

#: At most so many records from one signature to the next.
LONGEST_RUN: Final = 256


def first_run(records: Iterable[bytes]) -> list[bytes]:
    """Return the first records up to the one that bears a signature; none where that is missing."""
    run: list[bytes] = []
    for data in records:
        run.append(data)
        if is_signed(data):
            return run
        if len(run) == LONGEST_RUN:
            break
    return []


def vouched_for(run: Sequence[bytes], *, stream: str, event_key: Vkey) -> bool:
    """Say whether a run is evidence: well-formed and chained, and the last is signed by this key."""
    before, position = "", -1
    try:
        for number, data in enumerate(run):
            fields = fields_of(data, parse(data))
            follows = not number or (fields.prev_hash, fields.sequence_no) == (before, position + 1)
            ours = (fields.stream, fields.key_id) == (stream, event_key.key_id)
            if not (follows and ours and sha256(fields.message) == fields.record_hash):
                return False
            before, position = fields.record_hash, fields.sequence_no
            if fields.signature is not None:
                return data is run[-1] and event_key.verify(fields.message, fields.signature)
    except EvidenceError:
        return False
    return False
