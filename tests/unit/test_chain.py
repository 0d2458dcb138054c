import json
import pickle
from dataclasses import asdict
from typing import Any, cast

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.format import canonical, keys, record
from linewitness.evidence.format.reading import read
from linewitness.evidence.format.record import Change
from linewitness.evidence.verify.chain import Broken, ChainHead, ChainVerifier
from support.chain_builder import ORIGIN, Stream, grown, ulid
from support.signed_message import signed_message


def verify(records: list[bytes], **given: ChainHead) -> ChainVerifier:
    verifier = ChainVerifier(stream=cast(Any, given.pop("stream", ORIGIN)), **cast(Any, given))
    for data in records:
        verifier.accept(data)
    return verifier


def broken(records: list[bytes], **given: Any) -> Broken:
    with pytest.raises(Broken) as caught:
        verify(records, **given)
    return caught.value


def test_a_stream_with_rotations_is_accepted() -> None:
    stream = grown(40, rotate_every=7)
    verifier = verify(stream.records)
    assert verifier.size == 40
    assert verifier.head.last_hash == stream.hashes[-1]
    assert verifier.head.event_key == str(keys.event_vkey(ORIGIN, stream.event_key))
    assert verifier.head.log_key == str(keys.log_vkey(ORIGIN, stream.log_key))


@pytest.mark.parametrize("at", [1, 6, 7, 8, 14, 39])
def test_verification_goes_on_from_a_saved_head(at: int) -> None:
    stream = grown(40, rotate_every=7)
    saved = json.loads(json.dumps(asdict(verify(stream.records[:at]).head)))
    whole = verify(stream.records[at:], head=ChainHead(**saved))
    assert whole.head == verify(stream.records).head


def test_an_accepted_record_has_its_place_hash_and_bytes() -> None:
    stream = grown(2)
    verifier = verify(stream.records[:1])
    accepted = verifier.accept(stream.records[1])
    assert (accepted.fields.sequence_no, accepted.fields.record_hash) == (1, stream.hashes[1])
    assert accepted.data == stream.records[1]
    assert accepted.fields.event_id == ulid(1)


def test_a_refused_record_leaves_the_verifier_where_it_was() -> None:
    stream = grown(5)
    verifier = verify(stream.records[:3])
    before = verifier.head
    with pytest.raises(Broken):
        verifier.accept(stream.records[4])
    assert verifier.head == before
    verifier.accept(stream.records[3])


@pytest.mark.heavy
def test_every_single_changed_byte_is_found() -> None:
    stream = grown(3)
    data = stream.records[1]
    for place in range(len(data)):
        spoiled = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        assert broken([stream.records[0], spoiled]).index == 1


@pytest.mark.parametrize(
    ("order", "index", "reason"),
    [
        ([0, 1, 3], 2, "sequence_no is 3"),
        ([0, 2, 1], 1, "sequence_no is 2"),
        ([0, 1, 1], 2, "sequence_no is 1"),
        ([1, 2], 0, "sequence_no is 1"),
        ([0, 0], 1, "sequence_no is 0"),
    ],
)
def test_a_wrong_order_is_named(order: list[int], index: int, reason: str) -> None:
    stream = grown(4)
    found = broken([stream.records[at] for at in order])
    assert found.index == index
    assert reason in found.reason


def test_a_record_of_another_stream_or_tenant_is_refused() -> None:
    stream = grown(3)
    other = grown(3, origin="acme.example/ber-01/line-03/1")
    assert "belongs to the stream" in broken([*stream.records[:2], other.records[2]]).reason
    stranger = grown(3, tenant="globex")
    assert "belongs to the tenant" in broken([*stream.records[:2], stranger.records[2]]).reason
    assert "belongs to the tenant" in broken(stream.records, tenant="globex").reason


def test_the_hash_covers_prev_hash() -> None:
    """A digest that forgot prev_hash would let a forger relink a record by editing that member alone."""
    stream = grown(4)
    other = grown(4, seed=1)
    other.records.clear()
    fork = Stream()
    fork.create()
    fork.add(changes=(Change("force", None, "7.77"),))
    moved = json.loads(stream.records[2])
    moved["integrity"]["prev_hash"] = fork.hashes[1]
    assert "hashes to" in broken([*fork.records, canonical.encode(moved)]).reason


def test_a_new_hash_without_the_key_does_not_help() -> None:
    stream = grown(3)
    forged = json.loads(stream.records[2])
    forged["changes"][0]["after"] = "9.99"
    forged["integrity"]["record_hash"] = record.sha256(signed_message(forged))
    found = broken([*stream.records[:2], canonical.encode(forged)])
    assert "signature" in found.reason


def test_only_the_active_key_signs() -> None:
    stream = grown(8, rotate_every=7)
    retired = SigningKey(bytes([2]) * 32)
    old = stream.seal(stream.members(), key=retired)
    assert "the active key is" in broken([*stream.records, old]).reason
    posing = stream.seal(
        stream.members(), key=retired, key_id=keys.event_vkey(ORIGIN, stream.event_key).key_id
    )
    assert "not one of the active key" in broken([*stream.records, posing]).reason


def test_record_0_announces_both_keys_and_nothing_else_is_record_0() -> None:
    stream = Stream()
    assert "wrong place" in broken([stream.seal(stream.members())]).reason
    both = keys.creation_changes(
        keys.StreamKeys(keys.log_vkey(ORIGIN, stream.log_key), keys.event_vkey(ORIGIN, stream.event_key))
    )
    for changes in ((), both[:1], both[1:], (*both, both[0])):
        assert "exactly once" in broken([stream.seal(stream.members("stream.created", changes))]).reason
    grown_stream = grown(2)
    again = grown_stream.seal(grown_stream.members("stream.created", both))
    assert "wrong place" in broken([*grown_stream.records, again]).reason


def test_one_key_for_log_and_events_is_refused() -> None:
    stream = Stream()
    stream.log_key = stream.event_key
    stream.create()
    assert "same key" in broken(stream.records).reason


def rotated(stream: Stream, changes: tuple[Change, ...]) -> list[bytes]:
    return [*stream.records, stream.seal(stream.members("key.rotated", changes))]


def test_a_rotation_needs_the_new_keys_own_signature_for_this_place() -> None:
    stream = grown(5)
    new = SigningKey(b"n" * 32)
    good = stream.rotation(new)
    assert verify(rotated(stream, good)).size == 6
    for place in ({"sequence_no": 4}, {"prev_hash": record.ZERO_HASH}):
        elsewhere = stream.rotation(new, **place)
        assert "does not prove its possession" in broken(rotated(stream, elsewhere)).reason
    stolen = (good[0]._replace(after=str(keys.event_vkey(ORIGIN, SigningKey(b"x" * 32)))), good[1])
    assert "does not prove its possession" in broken(rotated(stream, stolen)).reason


def test_a_rotation_is_from_the_active_key_to_another() -> None:
    stream = grown(5)
    new = SigningKey(b"n" * 32)
    good = stream.rotation(new)
    foreign = (good[0]._replace(before=good[0].after), good[1])
    assert "it retires the key" in broken(rotated(stream, foreign)).reason
    assert "is the old one" in broken(rotated(stream, stream.rotation(stream.event_key))).reason
    assert "is the log key" in broken(rotated(stream, stream.rotation(stream.log_key))).reason
    nameless = (good[0]._replace(after=str(keys.log_vkey("elsewhere", new))), good[1])
    assert "named" in broken(rotated(stream, nameless)).reason


def test_a_record_that_cannot_be_parsed_is_broken_too() -> None:
    assert broken([b"{}"]).index == 0
    assert "not UTF-8" in broken([b"\xff"]).reason


def test_a_verdict_travels_between_processes() -> None:
    found = pickle.loads(pickle.dumps(Broken(3, "why")))  # noqa: S301 (its own bytes)
    assert (found.index, found.reason) == (3, "why")


def test_a_head_belongs_to_its_stream() -> None:
    stream = grown(1)
    with pytest.raises(ValueError, match="cannot continue"):
        ChainVerifier(stream="other/1", head=verify(stream.records).head)
    with pytest.raises(ValueError, match="before record 0"):
        _ = ChainVerifier(stream=ORIGIN).head


def test_fields_that_were_read_already_are_followed_like_bytes() -> None:
    stream = grown(6, rotate_every=3)
    verifier = ChainVerifier(stream=ORIGIN)
    for data in stream.records:
        verifier.follow(read(data))
    assert verifier.head == verify(stream.records).head
