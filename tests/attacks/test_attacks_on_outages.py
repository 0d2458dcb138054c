"""What somebody with all keys of a gateway can rewrite of an outage: nothing before the last rotation.

While no receipt comes, the gateway replaces the event key each minute and destroys the old one. The victim
has 24 records, and keys were replaced by records 10 and 20; a receipt covers the first 5. The thief has the
log key and the key that signs from record 21 on.
"""

from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.package.first_receipts import ReceiptFiles
from support.chain_builder import START_MS, Stream
from support.lines import call
from support.packages import Judge, policy_for, receipt, selection, subtree_of, whole
from support.zips import unzipped, zipped

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


def proven_at(stream: Stream, *sizes_and_times: tuple[int, int]) -> dict[str, Any]:
    """Return such receipts for a selection, each with the proof that it is of the same history."""
    files = ReceiptFiles(
        [(size, receipt(stream, size, time_s=time_s)) for size, time_s in sizes_and_times],
        size=len(stream.records),
        subtree=subtree_of(stream),
    )
    return {"statements": files.texts}


def a_late_selection(stream: Stream, path: Path, *sizes_and_times: tuple[int, int]) -> Path:
    """Pack records 3, 12, 13 and 22 under a receipt that came half an hour later."""
    attested = receipt(stream, time_s=START_MS // 1000 + 1800)
    return selection(stream, path, [3, 12, 13, 22], attested=attested, **proven_at(stream, *sizes_and_times))


def test_an_outage_is_named_in_the_package_of_a_unit_too(
    judge: Judge, stream: Stream, tmp_path: Path
) -> None:
    begun_s = START_MS // 1000
    early, path = (4, begun_s + 4), tmp_path / "unit.zip"
    verdict = judge(path=a_late_selection(stream, path, early, (20, begun_s + 22), (23, begun_s + 24)))
    assert (verdict["status"], verdict["seen_late"], list(verdict["remarks"])) == ("INCLUDED", [], [])
    verdict = judge(path=a_late_selection(stream, path, early, (23, begun_s + 100)))
    assert verdict["seen_late"] == [{"first": 12, "last": 22, "after_s": 88}]


@pytest.mark.parametrize("spoil", ["left out", "of another history", "no proof"])
def test_a_receipt_that_is_not_shown_to_be_of_this_history_has_seen_nothing(
    judge: Judge, stream: Stream, tmp_path: Path, spoil: str
) -> None:
    begun_s = START_MS // 1000
    path = a_late_selection(stream, tmp_path / "unit.zip", (23, begun_s + 24))
    assert judge(path=path)["seen_late"] == []
    name = "receipts/23.consistency"
    other = cut(stream, 9)
    while len(other.records) < 24:
        other.add(reason="invented")
    spoiled: dict[str, dict[str, bytes | None]] = {
        "left out": {name: None},
        "of another history": {"receipts/23.receipt": receipt(other, 23, time_s=begun_s + 24).encode()},
        "no proof": {name: b"nothing"},
    }
    verdict = judge(path=zipped(path, {**unzipped(path), **spoiled[spoil]}))
    assert verdict["status"] == "INCLUDED"
    assert [late["first"] for late in verdict["seen_late"]] == [3]
    found = [remark["text"].partition(" (")[0] for remark in verdict["remarks"]]
    not_shown = "receipts/23.receipt does not count: that its checkpoint is of this history is not shown"
    assert found == ([] if spoil == "left out" else [not_shown])


def test_the_command_says_it_in_words(tmp_path: Path, stream: Stream) -> None:
    begun_s = START_MS // 1000
    package = whole(stream, tmp_path / "a.zip", **attested_at(stream, (24, begun_s + 100)))
    policy = tmp_path / "policy.json"
    policy.write_bytes(policy_for(stream).canonical)
    said = call("verify", package, "--policy", policy).output
    assert (
        "  seen late: records 0 to 23 were first seen by others up to 100 s after they were written\n" in said
    )


def test_a_record_whose_time_is_no_date_is_not_left_out_of_the_comparison(
    judge: Judge, stream: Stream, tmp_path: Path
) -> None:
    stream.add(ingested_at="2026-02-30T00:00:00.000Z")
    stream.add()
    verdict = judge(path=selection(stream, tmp_path / "unit.zip", [3, 24, 25]))
    assert broken_at(verdict) == 24
    assert verdict["reason"] == "2026-02-30T00:00:00.000Z is no date of the calendar"


def test_a_receipt_of_the_proofs_own_size_has_seen_the_records_when_it_says(
    judge: Judge, stream: Stream, tmp_path: Path
) -> None:
    begun_s = START_MS // 1000
    early = ("receipts/early.receipt", receipt(stream, time_s=begun_s + 30))
    attested = receipt(stream, time_s=begun_s + 900_000)
    path = selection(stream, tmp_path / "unit.zip", [22], attested=attested, statements=(early,))
    assert judge(path=path)["seen_late"] == []
