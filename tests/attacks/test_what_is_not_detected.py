"""The limits that the threat model admits, shown: these are not found, and nothing else is claimed."""

from nacl.signing import SigningKey

from chain_builder import Stream
from packages import receipt


def test_records_after_the_last_receipt_can_be_rewritten_with_stolen_keys(judge, stream):
    other = Stream()
    for data in stream.records[:20]:
        other.append(data)
    other.event_key = SigningKey(bytes([102]) * 32)
    while len(other.records) < 24:
        other.add(reason="invented")
    verdict = judge(other.records, statements=(("receipts/1.receipt", receipt(stream, 20)),))
    assert verdict["text"].startswith("INTACT, last 4 records not yet attested; COMPLETE to 20")


def test_records_after_the_last_receipt_can_be_cut_off(judge, stream):
    verdict = judge(stream.records[:21], statements=(("receipts/1.receipt", receipt(stream, 20)),))
    assert verdict["text"].startswith("INTACT, last 1 records not yet attested; COMPLETE to 20")


def test_a_device_that_lies_is_recorded_faithfully(judge, stream):
    stream.add(reason="the screw was never tightened")
    assert judge()["status"] == "COMPLETE"


def test_a_quorum_that_conspires_with_the_gateway_attests_another_history(judge, stream):
    other = Stream()
    for data in stream.records[:15]:
        other.append(data)
    other.event_key = SigningKey(bytes([102]) * 32)
    while len(other.records) < 24:
        other.add(reason="invented")
    assert judge(other.records, statements=(("receipts/1.receipt", receipt(other)),))["status"] == "COMPLETE"
