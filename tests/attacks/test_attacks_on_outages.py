"""What somebody with all keys of a gateway can rewrite of an outage: nothing before the last rotation.

While no receipt comes, the gateway replaces the event key each minute and destroys the old one. The victim
has 24 records, and keys were replaced by records 10 and 20; a receipt covers the first 5. The thief has the
log key and the key that signs from record 21 on.
"""

from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from support.chain_builder import START_MS, Stream
from support.lines import call
from support.packages import Judge, policy_for, receipt, whole

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


def attested_at(stream: Stream, *sizes_and_times: tuple[int, int]) -> dict[str, Any]:
    """Return receipts over so many records, signed at these times (Unix, seconds)."""
    receipts = [
        (f"receipts/{size}.receipt", receipt(stream, size, time_s=time_s)) for size, time_s in sizes_and_times
    ]
    return {"records": stream.records, "statements": receipts}


def test_an_outage_is_named_with_its_records_and_its_length(judge: Judge, stream: Stream) -> None:
    """Written a second apart and signed for at once; then nobody signs for 78 s."""
    begun_s = START_MS // 1000
    stream.tick(58_000)
    for _ in range(4):
        stream.add()
    end_s = stream.now_ms // 1000
    verdict = judge(**attested_at(stream, (4, begun_s + 4), (24, begun_s + 82), (28, end_s)))
    assert verdict["status"] == "COMPLETE", verdict["text"]
    assert verdict["seen_late"] == [{"first": 4, "last": 21, "after_s": 78}]
    assert verdict["seen_late_left_out"] == 0


def test_what_is_seen_in_time_or_by_nobody_is_not_listed(judge: Judge, stream: Stream) -> None:
    begun_s = START_MS // 1000
    verdict = judge(**attested_at(stream, (10, begun_s + 60)))
    assert verdict["text"].startswith("INTACT, last 14 records not yet attested")
    assert verdict["seen_late"] == []
    broken = judge(
        [*stream.records[:5], *stream.records[6:]], statements=(("receipts/1.receipt", receipt(stream)),)
    )
    assert (broken["status"], broken["seen_late"]) == ("BROKEN", [])


def test_the_command_says_it_in_words(tmp_path: Path, stream: Stream) -> None:
    begun_s = START_MS // 1000
    package = whole(stream, tmp_path / "a.zip", **attested_at(stream, (24, begun_s + 100)))
    policy = tmp_path / "policy.json"
    policy.write_bytes(policy_for(stream).canonical)
    said = call("verify", package, "--policy", policy).output
    assert (
        "  seen late: records 0 to 23 were first seen by others up to 100 s after they were written\n" in said
    )
