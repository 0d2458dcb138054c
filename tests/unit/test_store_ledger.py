"""What the audit store accepts, answers and keeps."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import to_rfc3339
from linewitness.base.compression.frames import pack
from linewitness.evidence.format import note
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.evidence.format.merkle import leaf_hash, root_of
from linewitness.store import reports
from linewitness.store.database.errors import StoreError
from linewitness.store.inbox.drops import DroppedMessages, DropReason
from linewitness.store.inbox.gateways import ServedGateways
from linewitness.store.ledger import StoreLedger
from linewitness.store.tree import StoreTree
from support.fake_gateway import FakeGateway
from support.ledger_rig import NOW_NS, Store, accused


@pytest.fixture
def store(both_databases: None, tmp_path: Path) -> Iterator[Store]:
    running = Store(tmp_path)
    yield running
    running.database.close()


@pytest.fixture
def gateway(store: Store) -> FakeGateway:
    gateway = FakeGateway()
    gateway.grow(9)
    store.enroll(gateway)
    return gateway


def receipt_size(store: Store, gateway: FakeGateway, payload: bytes) -> int:
    checkpoint, note = open_checkpoint(payload.decode(), gateway.log_vkey)
    assert note.signed_by(store.cosigner.vkey) == store.clock.ns // 10**9
    return checkpoint.size


def test_checkpoint_of_held_records_is_receipted(store: Store, gateway: FakeGateway) -> None:
    assert store.send(gateway) == []
    (answer,) = store.check(gateway)
    assert receipt_size(store, gateway, answer) == 10
    assert store.held() == gateway.records


def test_records_are_described_and_stamped_by_the_stores_own_clock(
    store: Store, gateway: FakeGateway
) -> None:
    gateway.append(unit="SN-1")
    store.send(gateway)
    (found,) = reports.read_records(store.database, unit="SN-1")
    assert (found.seq, found.kind, found.data) == (10, "tightening.result", gateway.records[10])
    assert found.accepted_at == to_rfc3339(NOW_NS)
    assert [record.seq for record in reports.read_records(store.database, first=3, last=5)] == [3, 4, 5]


def test_receipt_waits_for_the_records(store: Store, gateway: FakeGateway) -> None:
    store.check(gateway)
    store.send(gateway, 0, 5)
    assert reports.read_receipts(store.database, gateway.origin) == []
    (answer,) = store.send(gateway, 5)
    assert receipt_size(store, gateway, answer) == 10


def test_checkpoint_of_a_smaller_size_gets_the_newest_receipt(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway)
    (newest,) = store.check(gateway)
    store.clock.ns += 10**12
    assert store.check(gateway, 4) == [newest]
    assert store.check(gateway) == [newest]


def test_checkpoint_between_the_receipt_and_the_head_is_receipted(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway)
    store.check(gateway, 3)
    (answer,) = store.check(gateway, 7)
    assert receipt_size(store, gateway, answer) == 7


@pytest.mark.heavy
@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 512, 600])
def test_root_is_known_at_every_size(store: Store, gateway: FakeGateway, size: int) -> None:
    gateway.grow(590)
    store.send(gateway)
    (answer,) = store.check(gateway, size)
    assert receipt_size(store, gateway, answer) == size


def test_same_bytes_again_are_no_news(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway)
    assert store.send(gateway) == []
    gateway.grow(3)
    assert store.send(gateway) == []
    assert store.held() == gateway.records
    assert reports.read_conflicts(store.database) == []


def test_records_beyond_a_hole_are_not_taken_and_the_newest_receipt_is_repeated(
    store: Store, gateway: FakeGateway
) -> None:
    store.send(gateway, 0, 5)
    (receipt,) = store.check(gateway, 5)
    assert store.send(gateway, 6) == [receipt]
    assert store.held() == gateway.records[:5]
    assert store.send(gateway, 7) == [], "not for every message of the burst"
    store.clock.ns += 3 * 10**9
    assert store.send(gateway, 7) == [receipt]
    store.send(gateway, 5)
    assert store.held() == gateway.records


def test_hole_before_any_receipt_asks_for_everything(store: Store, gateway: FakeGateway) -> None:
    assert store.send(gateway, 1) == [b""]
    assert store.check(gateway) == [], "not for every message of the burst"


def test_hole_within_a_message_is_a_hole(store: Store, gateway: FakeGateway) -> None:
    payload = gateway.batch(0, 3) + gateway.batch(5)
    assert store.process((gateway.topics.records, payload)) == [b""]
    assert store.held() == gateway.records[:3]
    assert reports.read_conflicts(store.database) == []


def test_a_frame_that_cannot_be_unpacked_is_refused(store: Store, gateway: FakeGateway) -> None:
    assert store.process((gateway.topics.records, pack(gateway.batch(0, 3))[:-1])) == []
    assert store.held() == []
    (refused,) = reports.read_refusals(store.database)
    assert (refused.reason, "zstd frame" in refused.detail) == ("malformed", True)


def test_message_may_repeat_itself(store: Store, gateway: FakeGateway) -> None:
    store.process((gateway.topics.records, gateway.batch(0, 3) + gateway.batch(1)))
    assert store.held() == gateway.records


def test_rolled_back_gateway_is_a_conflict_and_its_records_are_kept_as_evidence(
    store: Store, gateway: FakeGateway
) -> None:
    store.send(gateway)
    (receipt,) = store.check(gateway)
    other = gateway.fork(6)
    other.grow(2)
    (answer,) = store.send(other, 6)
    accusation = accused(store, answer)
    assert (accusation.origin, accusation.subject, accusation.at) == (gateway.origin, "record", 6)
    assert (accusation.held, accusation.sent) == (gateway.records[6], other.records[6])
    assert accusation.receipt.encode() == receipt
    (conflict,) = reports.read_conflicts(store.database)
    assert (conflict.seq, conflict.data) == (6, other.records[6])
    assert store.held() == gateway.records
    assert store.send(other, 6) == [answer], "said again"
    assert len(reports.read_conflicts(store.database)) == 1, "kept once"


@pytest.mark.parametrize("size", [9, 10, 11, 12])
def test_fork_around_a_rotation_is_a_conflict(store: Store, gateway: FakeGateway, size: int) -> None:
    gateway.rotate()
    gateway.grow(2)
    store.send(gateway)
    other = gateway.fork(size)
    other.append("gateway.started")
    (answer,) = store.send(other, size)
    assert accused(store, answer).at == size


def test_fork_at_the_head_is_a_conflict(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway)
    other = gateway.fork(8)
    other.grow(5)
    (answer,) = store.send(other, 10)
    accusation = accused(store, answer)
    assert (accusation.at, accusation.held) == (10, gateway.records[9]), "the record that it does not follow"
    assert store.held() == gateway.records


def test_unsigned_contradiction_proves_nothing_and_stops_nobody(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway)
    (receipt,) = store.check(gateway)
    forged = gateway.records[4].replace(b'"12.30"', b'"99.99"')
    assert store.process((gateway.topics.records, forged)) == [receipt]
    assert reports.read_conflicts(store.database) == []
    (refusal,) = reports.read_refusals(store.database)
    assert (refusal.reason, refusal.origin) == ("record", gateway.origin)


@pytest.mark.parametrize("change", [(b'"12.30"', b'"99.99"'), (b'"ed25519:', b'"ed25519:A'), (b"{", b"{ ")])
def test_altered_record_is_not_taken_and_nothing_after_it(
    store: Store, gateway: FakeGateway, change: tuple[bytes, bytes]
) -> None:
    payload = gateway.batch(0, 3) + gateway.batch(3).replace(*change, 1)
    store.process((gateway.topics.records, payload))
    assert store.held() == gateway.records[:3]


def test_rotation_is_followed_across_a_restart(store: Store, gateway: FakeGateway) -> None:
    gateway.rotate()
    gateway.grow(3)
    store.send(gateway, 0, 11)
    store.restart()
    store.send(gateway, 11)
    gateway.rotate()
    store.send(gateway, 14)
    assert store.held() == gateway.records


def test_restart_goes_on_where_it_stopped(store: Store, gateway: FakeGateway) -> None:
    gateway.grow(300)
    store.send(gateway, 0, 299)
    (receipt,) = store.check(gateway, 299)
    store.restart()
    assert store.check(gateway, 299) == [receipt]
    store.send(gateway, 299)
    (answer,) = store.check(gateway)
    assert receipt_size(store, gateway, answer) == 310


def test_checkpoint_with_another_root_is_a_conflict(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway)
    other = gateway.fork(6)
    other.grow(4)
    for size in (10, 8):
        (answer,) = store.check(other, size)
        accusation = accused(store, answer)
        assert (accusation.subject, accusation.at) == ("checkpoint", size)
        assert accusation.held == root_of(leaf_hash(data) for data in gateway.records[:size])
        assert accusation.sent == other.checkpoint(size)
    assert len(reports.read_conflicts(store.database)) == 2
    assert reports.read_receipts(store.database, gateway.origin) == []


def test_checkpoint_that_waited_is_compared_when_the_records_are_there(
    store: Store, gateway: FakeGateway
) -> None:
    other = gateway.fork(6)
    other.grow(4)
    store.check(other)
    (answer,) = store.send(gateway)
    assert (accused(store, answer).subject, accused(store, answer).at) == ("checkpoint", 10)


def test_checkpoint_by_another_key_is_refused(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway)
    text = gateway.checkpoint().decode()
    stranger = FakeGateway(seed="two").log_key
    forged = text.split("\n\n")[0] + "\n"
    line = note.sign(forged, name=gateway.origin, key=stranger)
    assert store.process((gateway.topics.checkpoint, f"{forged}\n{line}\n".encode())) == []
    assert reports.read_refusals(store.database)[0].reason == "checkpoint"


def test_receipt_carries_only_the_log_key_and_the_store(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway)
    noisy = gateway.checkpoint() + "— stranger.example AAAAAAAA\n".encode()
    (answer,) = store.process((gateway.topics.checkpoint, noisy))
    assert answer.count("—".encode()) == 2


def test_unknown_gateway_is_refused_noted_once_and_not_answered(store: Store) -> None:
    stranger = FakeGateway(origin="evil.example/1")
    stranger.grow(3)
    for _ in range(3):
        assert store.send(stranger) == []
        assert store.check(stranger) == []
    (refusal,) = reports.read_refusals(store.database)
    assert (refusal.reason, refusal.origin) == ("unknown", "evil.example/1")
    assert store.held() == []


def test_gateway_enrolled_later_is_heard_at_once(store: Store) -> None:
    late = FakeGateway()
    store.send(late)
    store.enroll(late)
    store.send(late)
    assert store.held() == late.records


def test_stream_comes_only_from_its_own_gateway(store: Store, gateway: FakeGateway) -> None:
    thief = FakeGateway(gateway="thief")
    store.process((thief.topics.records, gateway.batch()), (thief.topics.checkpoint, gateway.checkpoint()))
    assert store.held() == []
    assert reports.read_refusals(store.database)[0].reason == "foreign"


def test_only_the_enrolled_record_0_begins_a_stream(store: Store, gateway: FakeGateway) -> None:
    impostor = FakeGateway(seed="two")
    impostor.grow(3)
    store.send(impostor)
    assert store.held() == []
    store.send(gateway)
    assert store.held() == gateway.records


def test_another_record_0_of_the_same_keys_does_not_begin_the_stream(
    store: Store, gateway: FakeGateway
) -> None:
    other = gateway.fork(0)
    creation = gateway.creation_changes
    other.append("stream.created", changes=creation)
    assert other.log_vkey == gateway.log_vkey
    store.send(other)
    assert store.held() == []
    assert "the enrolled one" in reports.read_refusals(store.database)[0].detail


@pytest.mark.heavy
def test_old_roots_are_found_without_reading_all_records(
    store: Store, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.grow(1000)
    store.send(gateway)
    store.restart()
    read: list[int] = []
    real = StoreTree._leaves

    def leaves(self: StoreTree, first: int, last: int) -> Any:
        read.append(last - first)
        return real(self, first, last)

    monkeypatch.setattr(StoreTree, "_leaves", leaves)
    (answer,) = store.check(gateway, 900)
    assert receipt_size(store, gateway, answer) == 900
    assert sum(read) < 2 * 256


def test_repeated_event_id_is_not_taken(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway)
    gateway.append(event_id="01HF7YAT00ABCDEFGHJKMNPQRS")
    gateway.append(event_id="01HF7YAT00ABCDEFGHJKMNPQRS")
    (answer,) = store.send(gateway, 10)
    assert accused(store, answer).reason.startswith("at record 11: its event_id")
    assert store.held() == gateway.records[:11]
    (again,) = store.send(gateway, 11)
    assert again == answer


@pytest.mark.parametrize("payload", [b"", b"\n", b"[]", b"{}", b"\xff", b"nonsense\n" * 3, b"x" * 70_000])
def test_rubbish_is_refused(store: Store, gateway: FakeGateway, payload: bytes) -> None:
    store.process((gateway.topics.records, payload), (gateway.topics.checkpoint, payload))
    assert store.held() == []
    store.send(gateway)
    assert store.held() == gateway.records


def test_a_huge_message_of_short_lines_takes_no_memory_of_its_own(store: Store, gateway: FakeGateway) -> None:
    good = gateway.batch()
    payload = good + b"aa\n" * (16 * 2**20 // 3)
    tracemalloc.start()
    try:
        store.process((gateway.topics.records, payload))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * 2**20
    assert store.held() == gateway.records
    assert [refusal.reason for refusal in reports.read_refusals(store.database)] == ["malformed"]


def test_what_was_dropped_unread_is_noted_and_counted_again(store: Store) -> None:
    for messages in (3600, 1200):
        store.ledger.note_drops([DroppedMessages("acme", "rogue", DropReason.QUOTA, messages, 5 * messages)])
    (refusal,) = reports.read_refusals(store.database)
    assert (refusal.gateway, refusal.reason) == ("rogue", "quota")
    assert refusal.detail.endswith(": 1200 messages of 6000 bytes dropped")


def test_gateways_are_those_of_all_enrolments(store: Store, gateway: FakeGateway) -> None:
    other = FakeGateway(tenant="other", origin="other.example/1")
    store.enroll(other)
    assert ServedGateways(store.database).names() == {("acme", "ber-01"), ("other", "ber-01")}


def test_other_topics_are_ignored(store: Store, gateway: FakeGateway) -> None:
    assert store.process((gateway.topics.status, b"{}"), ("a/b", gateway.batch())) == []


def test_failed_commit_leaves_nothing_behind_and_the_next_try_succeeds(
    store: Store, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(StoreLedger, "_checkpoint", fail)
        with pytest.raises(StoreError):
            store.process(
                (gateway.topics.records, gateway.batch()), (gateway.topics.checkpoint, gateway.checkpoint())
            )
    assert store.held() == []
    store.send(gateway)
    (answer,) = store.check(gateway)
    assert receipt_size(store, gateway, answer) == 10
    assert store.held() == gateway.records


def test_new_generation_is_a_stream_of_its_own(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway)
    store.check(gateway)
    following = FakeGateway(origin="acme.example/ber-01/line-02/2", seed="g2")
    following.grow(2)
    store.enroll(following)
    store.send(following)
    (answer,) = store.check(following)
    assert receipt_size(store, following, answer) == 3
    assert [report.size for report in reports.read_streams(store.database)] == [10, 3]
    assert [found.payload for found in ServedGateways(store.database).newest()] == [answer]


def test_newest_receipts_are_not_repeated_over_a_conflict(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway)
    (receipt,) = store.check(gateway)
    assert [answer.payload for answer in ServedGateways(store.database).newest()] == [receipt]
    other = gateway.fork(6)
    other.grow(1)
    store.send(other, 6)
    assert ServedGateways(store.database).newest() == []


def test_conflict_outweighs_a_receipt_of_the_same_turn(store: Store, gateway: FakeGateway) -> None:
    other = gateway.fork(6)
    other.grow(1)
    (answer,) = store.process(
        (gateway.topics.records, gateway.batch()),
        (gateway.topics.records, other.batch(6)),
        (gateway.topics.checkpoint, gateway.checkpoint()),
    )
    assert receipt_size(store, gateway, accused(store, answer).receipt.encode()) == 10
