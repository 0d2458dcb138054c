"""What somebody with all keys of a gateway can rewrite of an outage: nothing before the last rotation.

While no receipt comes, the gateway replaces the event key each minute and destroys the old one. The victim
has 24 records, and keys were replaced by records 10 and 20; a receipt covers the first 5. The thief has the
log key and the key that signs from record 21 on.
"""

from typing import Any

import pytest
from nacl.signing import SigningKey

from support.chain_builder import Stream
from support.packages import Judge, receipt

OWN = SigningKey(b"t" * 32)


@pytest.fixture
def seen(stream: Stream) -> dict[str, Any]:
    """Return what others have seen: the first 5 records."""
    return {"statements": (("receipts/1.receipt", receipt(stream, 5)),)}


def cut(stream: Stream, size: int) -> Stream:
    """Return the stream up to a place, with the keys that the thief has."""
    other = Stream()
    for data in stream.records[:size]:
        other.append(data)
    other.event_key = stream.event_key
    return other


def broken_at(verdict: dict[str, Any]) -> int:
    assert verdict["status"] == "BROKEN", verdict["text"]
    return int(verdict["broken_at"])


def test_rewrite_from_before_the_last_rotation_with_the_key_that_is_left(
    judge: Judge, stream: Stream, seen: dict[str, Any]
) -> None:
    for place in (7, 15, 20):
        other = cut(stream, place)
        while len(other.records) < 24:
            other.add(reason="invented")
        assert broken_at(judge(other.records, **seen)) == place


def test_announce_a_key_with_the_key_that_is_left_at_an_earlier_place(
    judge: Judge, stream: Stream, seen: dict[str, Any]
) -> None:
    for place in (7, 15):
        other = cut(stream, place)
        other.add("key.rotated", other.rotation(OWN), action="update")
        other.event_key = OWN
        while len(other.records) < 24:
            other.add(reason="invented")
        assert broken_at(judge(other.records, **seen)) == place


def test_announce_a_key_with_the_log_key(judge: Judge, stream: Stream, seen: dict[str, Any]) -> None:
    other = cut(stream, 15)
    other.event_key = stream.log_key
    other.add("key.rotated", other.rotation(OWN), action="update")
    other.event_key = OWN
    while len(other.records) < 24:
        other.add(reason="invented")
    assert broken_at(judge(other.records, **seen)) == 15


def test_what_was_written_since_the_last_rotation_can_be_rewritten(
    judge: Judge, stream: Stream, seen: dict[str, Any]
) -> None:
    """This is the limit, a minute of an outage: docs/threat-model.md."""
    other = cut(stream, 21)
    while len(other.records) < 24:
        other.add(reason="invented")
    text = judge(other.records, **seen)["text"]
    assert text.startswith("INTACT, last 19 records not yet attested; COMPLETE to 5"), text
