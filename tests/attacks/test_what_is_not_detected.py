"""The limits that the threat model admits, shown: these are not found, and nothing else is claimed."""

from pathlib import Path

from nacl.signing import SigningKey

from support.chain_builder import Stream
from support.packages import TIME_S, Judge, policy_for, receipt, selection
from support.zips import unzipped


def test_records_after_the_last_receipt_can_be_rewritten_with_stolen_keys(
    judge: Judge, stream: Stream
) -> None:
    other = Stream()
    for data in stream.records[:20]:
        other.append(data)
    other.event_key = SigningKey(bytes([102]) * 32)
    while len(other.records) < 24:
        other.add(reason="invented")
    verdict = judge(other.records, statements=(("receipts/1.receipt", receipt(stream, 20)),))
    assert verdict["text"].startswith("INTACT, last 4 records not yet attested; COMPLETE to 20")


def test_records_after_the_last_receipt_can_be_cut_off(judge: Judge, stream: Stream) -> None:
    verdict = judge(stream.records[:21], statements=(("receipts/1.receipt", receipt(stream, 20)),))
    assert verdict["text"].startswith("INTACT, last 1 records not yet attested; COMPLETE to 20")


def test_a_device_that_lies_is_recorded_faithfully(judge: Judge, stream: Stream) -> None:
    stream.add(reason="the screw was never tightened")
    assert judge()["status"] == "COMPLETE"


def test_a_quorum_that_conspires_with_the_gateway_attests_another_history(
    judge: Judge, stream: Stream
) -> None:
    other = Stream()
    for data in stream.records[:15]:
        other.append(data)
    other.event_key = SigningKey(bytes([102]) * 32)
    while len(other.records) < 24:
        other.add(reason="invented")
    assert judge(other.records, statements=(("receipts/1.receipt", receipt(other)),))["status"] == "COMPLETE"


def test_an_event_that_a_gateway_leaves_out_live_is_not_missed(judge: Judge, stream: Stream) -> None:
    """Neither number nor hash is spent on what was never recorded."""
    stream.tick(1000)
    stream.add(reason="the measurement after the one that was left out")
    assert judge()["status"] == "COMPLETE"


def test_a_clock_that_was_wrong_from_the_start_shows_only_beside_other_clocks(judge: Judge) -> None:
    """An hour fast all the time is consistent; a receipt from before the record was written is not."""
    fast = Stream()
    fast.now_ms = (TIME_S + 3600) * 1000
    fast.create()
    while len(fast.records) < 24:
        fast.add()
    policy = policy_for(fast).canonical
    assert not judge(fast.records, statements=(), policy=policy)["remarks"]
    (remark,) = judge(fast.records, policy=policy, statements=(("receipts/1.receipt", receipt(fast)),))[
        "remarks"
    ]
    assert "later than possible by the clock of auditor (store store.example)" in remark["text"]


def test_what_was_backdated_and_attested_within_a_day_of_its_claim_is_not_found(judge: Judge) -> None:
    """Outages of hours are ordinary: records that cite nothing may claim any time since the last receipt."""
    slow = Stream()
    slow.now_ms = (TIME_S - 6 * 3600) * 1000
    slow.create()
    while len(slow.records) < 24:
        slow.add()
    verdict = judge(
        slow.records,
        policy=policy_for(slow).canonical,
        statements=(("receipts/1.receipt", receipt(slow)),),
    )
    assert (verdict["status"], list(verdict["remarks"])) == ("COMPLETE", [])
    assert verdict["age"]["after_s"] == 6 * 3600 - 23


def test_records_can_be_read_by_whoever_holds_the_package(
    judge: Judge, stream: Stream, tmp_path: Path
) -> None:
    path = selection(stream, tmp_path / "some.zip", [3, 12])
    assert judge(path=path)["status"] == "INCLUDED"
    everything = b"".join(unzipped(path).values())
    assert b"3.50" in everything
    assert b"4.50" not in everything
