"""What somebody can do to the records themselves, with and without stolen keys."""

import json
from base64 import b64decode, b64encode
from typing import Any

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.format import canonical, keys, record
from support import ed25519_by_hand as hand
from support.chain_builder import Stream, grown
from support.packages import Judge, receipt
from support.signed_message import signed_message


def broken(verdict: dict[str, Any], index: int, *words: str) -> None:
    assert verdict["status"] == "BROKEN", verdict
    assert verdict["broken_at"] == index, verdict
    assert verdict["text"].startswith(f"BROKEN at record {index}: ")
    for word in words:
        assert word in verdict["text"]


def spoiled(data: bytes, old: str, new: str) -> bytes:
    assert old.encode() in data
    return data.replace(old.encode(), new.encode(), 1)


def continued(stream: Stream, at: int) -> Stream:
    """Return the stream as a thief of all its keys writes it again from record `at` on."""
    other = Stream()
    for data in stream.records[:at]:
        other.append(data)
    other.event_key = SigningKey(bytes([2]) * 32)
    rotations = [data for data in stream.records[:at] if b'"kind":"key.rotated"' in data]
    for number, _ in enumerate(rotations):
        other.event_key = SigningKey(bytes([102 + number]) * 32)
    return other


def test_the_victim_is_complete(judge: Judge, stream: Stream) -> None:
    verdict = judge()
    assert verdict["status"] == "COMPLETE"
    assert verdict["text"] == "COMPLETE to 24, attested by auditor (store store.example)"
    assert verdict["root"] == stream.root().hex()


def test_edit(judge: Judge, stream: Stream) -> None:
    records = list(stream.records)
    records[7] = spoiled(records[7], "7.50", "8.50")
    broken(judge(records), 7, "hash")


def test_edit_with_a_new_hash(judge: Judge, stream: Stream) -> None:
    records = list(stream.records)
    forged = json.loads(spoiled(records[7], "7.50", "8.50"))
    forged["integrity"]["record_hash"] = record.sha256(signed_message(forged))
    records[7] = canonical.encode(forged)
    broken(judge(records), 7, "signature")


def test_delete(judge: Judge, stream: Stream) -> None:
    broken(judge(stream.records[:7] + stream.records[8:]), 7, "sequence_no")


def test_delete_record_0(judge: Judge, stream: Stream) -> None:
    broken(judge(stream.records[1:]), 0, "sequence_no")


def test_insert(judge: Judge, stream: Stream) -> None:
    stranger = grown(8, seed=50).records[7]
    broken(judge([*stream.records[:7], stranger, *stream.records[7:]]), 7, "prev_hash")


def test_duplicate(judge: Judge, stream: Stream) -> None:
    broken(judge([*stream.records[:8], *stream.records[7:]]), 8, "sequence_no")


def test_reorder(judge: Judge, stream: Stream) -> None:
    records = list(stream.records)
    records[7], records[8] = records[8], records[7]
    broken(judge(records), 7, "sequence_no")


def test_truncate(judge: Judge, stream: Stream) -> None:
    broken(judge(stream.records[:20]), 20, "24")


def test_truncate_and_continue(judge: Judge, stream: Stream) -> None:
    other = continued(stream, 15)
    while len(other.records) < 30:
        other.add()
    broken(judge(other.records), 0, "other records")


def test_empty_signature(judge: Judge, stream: Stream) -> None:
    records = list(stream.records)
    signature = json.loads(records[7])["integrity"]["signature"]
    records[7] = spoiled(records[7], signature, "ed25519:")
    broken(judge(records), 7, "signature")


def test_splice_from_another_stream(judge: Judge, stream: Stream) -> None:
    other = grown(24, origin="acme.example/ber-01/line-03/1", rotate_every=10)
    broken(judge(stream.records[:12] + other.records[12:]), 12, "stream")


def test_splice_from_another_tenant(judge: Judge, stream: Stream) -> None:
    other = grown(24, tenant="globex", rotate_every=10)
    broken(judge(stream.records[:12] + other.records[12:]), 12, "tenant")


def test_another_stream_under_the_same_name(judge: Judge) -> None:
    other = grown(24, seed=50)
    broken(judge(other.records), 0, "record 0")


def test_replay_of_an_event(judge: Judge, stream: Stream) -> None:
    """The gateway's own keys sign an old event once more, at a new place."""
    old = json.loads(stream.records[5])["event_id"]
    stream.add(event_id=old)
    broken(judge(statements=()), 24, "event_id", "5")


def test_rewrite_with_a_stolen_event_key(judge: Judge, stream: Stream) -> None:
    """The thief holds one event key, and so cannot get past the rotation that follows."""
    other = continued(stream, 15)
    while len(other.records) < 20:
        other.add()
    broken(judge([*other.records, *stream.records[20:]], statements=()), 20, "prev_hash")


def test_rewrite_with_all_of_the_gateways_keys(judge: Judge, stream: Stream) -> None:
    """Everything is consistent in itself; only the outside party's word contradicts it."""
    other = continued(stream, 15)
    while len(other.records) < 24:
        other.add()
    statements = (("receipts/1.receipt", receipt(stream, 12)), ("receipts/2.receipt", receipt(stream)))
    broken(judge(other.records, statements=statements), 12, "other records")


def test_retired_key_signs_again(judge: Judge, stream: Stream) -> None:
    retired = SigningKey(bytes([2]) * 32)
    posing = stream.seal(stream.members(), key=retired)
    broken(judge([*stream.records, posing]), 24, "key")


def test_retired_key_is_made_active_again(judge: Judge, stream: Stream) -> None:
    first = SigningKey(bytes([2]) * 32)
    stream.add("key.rotated", stream.rotation(first))
    broken(judge(statements=()), 24, "retired before")


def test_key_taken_over_without_its_private_half(judge: Judge, stream: Stream) -> None:
    stolen = SigningKey(b"x" * 32)
    changes = stream.rotation(SigningKey(b"y" * 32))
    posing = changes[0]._replace(after=str(keys.event_vkey(stream.origin, stolen)))
    stream.add("key.rotated", (posing, changes[1]))
    broken(judge(statements=()), 24, "possession")


def test_clock_rewound(judge: Judge, stream: Stream) -> None:
    stream.now_ms -= 7_200_000
    stream.add()
    broken(judge(statements=()), 24, "-7200.000 s")


def test_clock_moved_over_a_long_pause(judge: Judge, stream: Stream) -> None:
    """A minute's heartbeat leaves no room to hide a few seconds."""
    stream.tick(59_000)
    stream.now_ms += 2_000
    stream.add("gateway.heartbeat")
    broken(judge(statements=()), 24, "+2.000 s")


def test_clock_rewound_and_recorded_is_remarked_upon(judge: Judge, stream: Stream) -> None:
    stream.now_ms -= 7_200_000
    stream.step = 1
    stream.add("clock.stepped")
    verdict = judge(statements=())
    assert verdict["status"] == "INTACT"
    assert list(verdict["remarks"]) == [{"index": 24, "text": "the clock was set by -7200.000 s, on record"}]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"reason":"measured"', '"reason":"measured","reason":"measured"'),
        ('"after":"7.50"', '"after":7.50'),
        ('"after":"7.50"', '"after":7.5'),
        ('"sequence_no":7', '"sequence_no":7.0'),
        ('"sequence_no":7', '"sequence_no": 7'),
        ('"sequence_no":7', '"sequence_no":7e0'),
        ('"after":"7.50"', '"after":9007199254740992'),
        ('"after":"7.50"', '"after":-0'),
        ('"after":"7.50"', '"after":"\\ud800"'),
        ('"after":"7.50"', '"after":"\\udc00\\ud800"'),
        ('"after":"7.50"', '"after":"7\\u002e50"'),
        ('"reason":"measured"', '"__proto__":1,"reason":"measured"'),
        ('"action":"create"', '"Action":"create"'),
        ('{"action"', ' {"action"'),
        ('"tenant_id":"acme"}', '"tenant_id":"acme"} '),
        ('"tenant_id":"acme"}', '"tenant_id":"acme"}\r'),
    ],
)
def test_other_bytes_for_the_same_meaning(judge: Judge, stream: Stream, old: Any, new: Any) -> None:
    records = list(stream.records)
    records[7] = spoiled(records[7], old, new)
    broken(judge(records), 7)


@pytest.mark.parametrize("data", [b"", b"null", b"\xef\xbb\xbf{}", b"\xff", b"{" * 3000, b"x" * 70_000])
def test_bytes_that_are_no_record(judge: Judge, stream: Stream, data: Any) -> None:
    records = list(stream.records)
    records[7] = data
    broken(judge(records), 7)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"reason":"measured"', '"reason":"measured","reason":"measured"'),
        ('"reason":"measured"', '"reason":"invented","reason":"measured"'),
        ('"reason":"measured"', '"reason": "measured"'),
        ('"reason":"measured"', '"reason":"m\\u0065asured"'),
        ('"reason":"measured"', '"reason":"\\ud800"'),
        ('"changes":[]', '"changes":[{"after":1.5,"before":null,"field":"x"}]'),
        ('"changes":[]', '"changes":[{"after":9007199254740992,"before":null,"field":"x"}]'),
        ('"changes":[]', '"changes":[{"after":-0,"before":null,"field":"x"}]'),
    ],
)
def test_other_bytes_that_the_gateway_itself_has_signed(
    judge: Judge, stream: Stream, old: Any, new: Any
) -> None:
    """Readers could take such bytes for different things, so not even the right key makes them a record."""
    whole = stream.seal(stream.members())
    integrity = json.loads(whole)["integrity"]
    cut = f',"record_hash":"{integrity["record_hash"]}","signature":"{integrity["signature"]}"'
    body = spoiled(whole.replace(cut.encode(), b""), old, new)
    message = record.pae(record.PAYLOAD_TYPE, body)
    signature = b64encode(stream.event_key.sign(message).signature).decode()
    sealed = f'"record_hash":"{record.sha256(message)}","signature":"ed25519:{signature}","stream"'
    forged = spoiled(body, '"stream"', sealed)
    broken(judge([*stream.records, forged], statements=()), 24)


@pytest.mark.parametrize("change", ["S + L", "S - L", "R not canonical", "zeros"])
def test_record_with_a_signature_that_a_lenient_verifier_accepts(
    judge: Judge, stream: Stream, change: Any
) -> None:
    """No hash covers the signature: only strict rules keep a second spelling of it out."""
    encoded = json.loads(stream.records[7])["integrity"]["signature"].removeprefix("ed25519:")
    raw = b64decode(encoded)
    number = int.from_bytes(raw[32:], "little")
    other = {
        "S + L": raw[:32] + (number + hand.L).to_bytes(32, "little"),
        "S - L": raw[:32] + ((number - hand.L) % 2**256).to_bytes(32, "little"),
        "R not canonical": (hand.P + 1).to_bytes(32, "little") + raw[32:],
        "zeros": bytes(64),
    }[change]
    records = list(stream.records)
    records[7] = spoiled(records[7], encoded, b64encode(other).decode())
    broken(judge(records), 7, "signature")
