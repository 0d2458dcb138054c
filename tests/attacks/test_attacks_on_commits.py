"""What somebody can do to records for which the signature of a later one vouches."""

import json
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.format import canonical, keys, record
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.policy.revocation import Revocation
from support.chain_builder import Stream
from support.packages import Judge, policy_for, selection, whole
from support.signed_message import signed_message


@pytest.fixture
def stream() -> Stream:
    """Return the victim: commits of 1, 6, 1 (a rotation), 6 and 1 record; 6 and 13 end the long ones."""
    stream = Stream()
    stream.create()
    stream.commit(6)
    stream.rotate()
    stream.commit(6)
    stream.add()
    return stream


def broken(verdict: dict[str, Any], index: int, *words: str) -> None:
    assert (verdict["status"], verdict["broken_at"]) == ("BROKEN", index), verdict["text"]
    for word in words:
        assert word in verdict["text"], verdict["text"]


def without_signature(data: bytes) -> bytes:
    members = json.loads(data)
    del members["integrity"]["signature"]
    return canonical.encode(members)


def chained_again(records: list[bytes], first: int, last: int) -> None:
    """Chain the records from the one after `first`, which was altered, up to `last`."""
    records[first] = hashed_again(records[first])
    for number in range(first + 1, last + 1):
        link = json.loads(records[number - 1])["integrity"]["record_hash"]
        records[number] = hashed_again(records[number], prev_hash=link)


def hashed_again(data: bytes, **integrity: str) -> bytes:
    members = json.loads(data)
    members["integrity"] |= integrity
    members["integrity"]["record_hash"] = record.sha256(signed_message(members))
    return canonical.encode(members)


def revoking(stream: Stream, first: int) -> Policy:
    stolen = keys.event_vkey(stream.origin, stream.event_key)
    return policy_for(stream, revocations=(Revocation(stream.origin, stolen, first, "stolen"),))


def spoiled(data: bytes) -> bytes:
    number = str(json.loads(data)["sequence_no"]).encode()
    return data.replace(number + b".50", number + b".51")


def test_the_victim_is_complete(judge: Judge, stream: Stream) -> None:
    assert judge()["text"] == "COMPLETE to 15, attested by auditor (store store.example)"


def test_edit_a_record_without_a_signature(judge: Judge, stream: Stream) -> None:
    records = list(stream.records)
    records[3] = spoiled(records[3])
    broken(
        judge(records),
        3,
        "hash",
        "records 1 to 2 bear no signature, so that the altered one can be among them",
    )


def test_edit_it_with_a_new_hash(judge: Judge, stream: Stream) -> None:
    records = list(stream.records)
    records[3] = hashed_again(spoiled(records[3]))
    broken(judge(records), 4, "prev_hash", "records 1 to 3 bear no signature")


def test_edit_it_and_chain_all_that_follows_up_to_the_signature(judge: Judge, stream: Stream) -> None:
    records = list(stream.records)
    records[3] = spoiled(records[3])
    chained_again(records, 3, 6)
    broken(
        judge(records), 6, "the signature is not one of the active key", "records 1 to 5 bear no signature"
    )


def test_edit_its_time_so_that_the_clock_falls(judge: Judge, stream: Stream) -> None:
    records = list(stream.records)
    members = json.loads(records[4])
    members["clock"]["boottime_us"] -= 10_000_000
    records[4] = canonical.encode(members)
    chained_again(records, 4, 6)
    broken(judge(records), 4, "boottime_us falls", "records 1 to 3 bear no signature, so that the altered")


def test_edit_the_time_of_the_one_after_which_the_clock_falls(judge: Judge, stream: Stream) -> None:
    """The clock fails where the altered record was not: it is named with those before."""
    records = list(stream.records)
    members = json.loads(records[3])
    members["clock"]["boottime_us"] += 1_500_000
    members["ingested_at"] = json.loads(records[4])["ingested_at"].replace(".000Z", ".500Z")
    records[3] = canonical.encode(members)
    chained_again(records, 3, 6)
    broken(judge(records), 4, "boottime_us falls", "records 1 to 3 bear no signature, so that the altered")


def test_edit_its_id_into_that_of_an_earlier_one(judge: Judge, stream: Stream) -> None:
    records = list(stream.records)
    members = json.loads(records[4])
    members["event_id"] = json.loads(records[2])["event_id"]
    records[4] = canonical.encode(members)
    chained_again(records, 4, 6)
    broken(judge(records), 4, "its event_id is that of record 2", "records 1 to 3 bear no signature")


def test_an_id_that_is_there_twice_under_a_signature_accuses_no_other_record(judge: Judge) -> None:
    stream = Stream()
    stream.create()
    stream.commit(3)
    stream.add(event_id=json.loads(stream.records[2])["event_id"])
    verdict = judge(stream.records, policy=policy_for(stream).canonical, statements=())
    broken(verdict, 4, "its event_id is that of record 2")
    assert "no signature" not in verdict["text"]


def test_take_away_the_signature_of_a_commit(judge: Judge, stream: Stream) -> None:
    """The chain holds without it, up to the next one: the tree under the checkpoint does not."""
    records = list(stream.records)
    records[13] = without_signature(records[13])
    broken(judge(records), 0, "there are other records than those that")


def test_take_it_away_before_there_is_a_checkpoint(judge: Judge, stream: Stream) -> None:
    """What it said is said by the next signature: nothing is altered, and nobody has attested anything."""
    records = list(stream.records)
    records[13] = without_signature(records[13])
    assert judge(records, statements=())["text"] == "INTACT, last 15 records not yet attested"


def test_give_a_record_a_signature_of_another_one(judge: Judge, stream: Stream) -> None:
    records = list(stream.records)
    members = json.loads(records[3])
    members["integrity"]["signature"] = json.loads(records[6])["integrity"]["signature"]
    records[3] = canonical.encode(members)
    broken(judge(records), 3, "signature", "records 1 to 2")


def test_cut_the_stream_within_a_commit(judge: Judge, stream: Stream) -> None:
    broken(
        judge(stream.records[:10], statements=()),
        9,
        "it is the last record and bears no signature",
        "record 8 bears no signature, so that the altered one can be among them",
    )


def test_cut_within_a_commit_and_show_a_checkpoint(judge: Judge, stream: Stream) -> None:
    verdict = judge(stream.records[:10])
    broken(verdict, 9, "it is the last record and bears no signature")


@pytest.mark.parametrize("at", [0, 7])
def test_take_the_signature_from_a_record_that_announces_a_key(judge: Judge, stream: Stream, at: int) -> None:
    records = list(stream.records)
    records[at] = without_signature(records[at])
    broken(judge(records), at, "bears no signature")


@pytest.mark.parametrize(("count", "verdict"), [(256, "COMPLETE"), (257, "BROKEN")])
def test_at_most_256_records_go_with_one_signature(
    judge: Judge, tmp_path: Path, count: int, verdict: str
) -> None:
    stream = Stream()
    stream.create()
    stream.commit(count)
    path = whole(stream, tmp_path / "other.zip")
    found = judge(path=path, policy=policy_for(stream).canonical)
    assert found["status"] == verdict, found["text"]
    if verdict == "BROKEN":
        broken(found, 256, "256 records one after the other bear no signature")


def test_a_key_that_is_revoked_within_a_commit(judge: Judge, stream: Stream) -> None:
    policy = revoking(stream, 11)
    broken(judge(policy=policy.canonical), 8, "vouched for by", "revoked from record 11 on")


def test_a_key_that_is_revoked_from_the_first_record_of_a_commit(judge: Judge, stream: Stream) -> None:
    broken(judge(policy=revoking(stream, 8).canonical), 8, "signed by", "revoked from record 8 on")


def test_a_key_that_is_revoked_from_a_commit_on_that_a_signature_ends(judge: Judge, stream: Stream) -> None:
    broken(judge(policy=revoking(stream, 14).canonical), 14, "signed by", "revoked from record 14 on")


def test_a_selection_says_what_bears_no_signature(judge: Judge, stream: Stream, tmp_path: Path) -> None:
    verdict = judge(path=selection(stream, tmp_path / "selected.zip", [2, 3, 6]))
    assert verdict["status"] == "INCLUDED"
    said = [remark["text"] for remark in verdict["remarks"]]
    why = "the signed checkpoint vouches for them, through their proofs"
    assert said == [f"2 of the 3 selected records bear no signature of their own: {why}"]


def test_a_selection_with_an_altered_record_without_a_signature(
    judge: Judge, stream: Stream, tmp_path: Path
) -> None:
    records = [stream.records[1], hashed_again(spoiled(stream.records[3]))]
    broken(judge(path=selection(stream, tmp_path / "s.zip", [1, 3], records=records)), 3, "root")


def test_a_selection_says_what_may_have_been_signed_after_the_revocation(
    judge: Judge, stream: Stream, tmp_path: Path
) -> None:
    policy = revoking(stream, 11)
    path = selection(stream, tmp_path / "selected.zip", [2, 9])
    verdict = judge(path=path, policy=policy.canonical)
    assert verdict["status"] == "INCLUDED"
    (doubt,) = [remark for remark in verdict["remarks"] if remark["index"] is not None]
    assert doubt["index"] == 9
    assert "whether the signature that vouches for it came before is not shown" in doubt["text"]


def test_a_thief_of_the_event_key_cannot_move_the_signature(judge: Judge, stream: Stream) -> None:
    """With the key of the second half, somebody signs each record: other bytes, so another tree."""
    records = list(stream.records)
    key: SigningKey = stream.event_key
    for number in range(8, 13):
        members = json.loads(records[number])
        drafted_hash = members["integrity"].pop("record_hash")
        link = members.pop("integrity")
        drafted = record.draft(
            members, stream=link["stream"], key_id=link["key_id"], prev_hash=link["prev_hash"]
        )
        assert drafted.record_hash == drafted_hash
        records[number] = drafted.data(key.sign(drafted.message).signature)
    broken(judge(records), 0, "there are other records than those that")
