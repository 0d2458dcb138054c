"""The limits that the threat model admits, shown: these are not found, and nothing else is claimed."""

import zipfile
from pathlib import Path

from nacl.signing import SigningKey

from linewitness.evidence.format.record import parse
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.time_bounds import OutOfBounds, bounds_of
from support.chain_builder import Stream
from support.packages import TIME_S, Judge, policy_for, receipt, selection


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
    statements = (("receipts/1.receipt", receipt(fast)),)
    verdict = judge(fast.records, statements=statements, policy=policy_for(fast).canonical)
    assert (verdict["status"], list(verdict["remarks"])) == ("COMPLETE", [])
    outside = OutOfBounds()
    said = [Statement(name, text) for name, text in statements]
    for bounds in bounds_of((parse(data) for data in fast.records), said, policy=policy_for(fast)):
        outside.take(bounds)
    assert "later than possible by the clock of auditor (store store.example)" in outside.remarks()[0].text


def test_records_can_be_read_by_whoever_holds_the_package(
    judge: Judge, stream: Stream, tmp_path: Path
) -> None:
    path = selection(stream, tmp_path / "some.zip", [3, 12])
    assert judge(path=path)["status"] == "INCLUDED"
    with zipfile.ZipFile(path) as package:
        everything = b"".join(package.read(name) for name in package.namelist())
    assert b"3.50" in everything
    assert b"4.50" not in everything
