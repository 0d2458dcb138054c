"""What the audit store makes of records for which the signature of a later one vouches."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from linewitness.evidence.format.accusation import Accusation, open_accusation
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.evidence.format.record import Change
from linewitness.store import reports
from linewitness.store.acceptance import MAX_LINES, lines_of
from linewitness.store.ledger import MAX_WAITING
from support.fake_gateway import FakeGateway
from support.ledger_rig import Store, accused


@pytest.fixture
def store(both_databases: None, tmp_path: Path) -> Iterator[Store]:
    running = Store(tmp_path)
    yield running
    running.database.close()


@pytest.fixture
def gateway(store: Store) -> FakeGateway:
    """Return a gateway with commits of 1, 1, 6 and 6 records: 7 and 13 are the last ones."""
    gateway = FakeGateway()
    gateway.grow(2 - gateway.size)
    gateway.commit(6)
    gateway.commit(6)
    store.enroll(gateway)
    return gateway


def reasons(store: Store) -> list[str]:
    return [refusal.reason for refusal in reports.read_refusals(store.database)]


def test_a_message_that_ends_within_a_commit_is_held_up_to_the_last_signature(
    store: Store, gateway: FakeGateway
) -> None:
    store.send(gateway, 0, 11)
    assert store.held() == gateway.records[:8]
    store.send(gateway, 11)
    assert store.held() == gateway.records
    (answer,) = store.check(gateway)
    assert open_checkpoint(answer.decode(), gateway.log_vkey)[0].size == 14


@pytest.mark.parametrize("at", range(1, 14))
def test_messages_of_any_length_are_put_together(store: Store, gateway: FakeGateway, at: int) -> None:
    for first in range(0, 14, at):
        store.send(gateway, first, min(first + at, 14))
    assert store.held() == gateway.records
    assert reasons(store) == []


def test_what_waits_for_its_signature_may_come_again(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway, 0, 11)
    store.send(gateway, 9, 12)
    store.send(gateway, 8)
    assert store.held() == gateway.records
    assert (reasons(store), reports.read_conflicts(store.database)) == ([], [])


def test_a_store_that_restarts_meanwhile_asks_for_it_again(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway, 0, 11)
    store.restart()
    assert store.send(gateway, 11) == [b""]
    store.send(gateway, 8)
    assert store.held() == gateway.records


def test_no_receipt_covers_what_nobody_signed(store: Store, gateway: FakeGateway) -> None:
    store.process(
        (gateway.topics.records, gateway.batch(0, 11)), (gateway.topics.checkpoint, gateway.checkpoint(11))
    )
    assert reports.read_receipts(store.database, gateway.origin) == []


def test_records_that_nobody_signed_stop_nobody(store: Store, gateway: FakeGateway) -> None:
    """What anybody can write contradicts nothing, alone and before the true records."""
    store.send(gateway, 0, 8)
    forger = gateway.fork(8)
    forger.append(signed=False)
    store.process((gateway.topics.records, forger.records[8] + b"\n"))
    forger.append(signed=False)
    store.process((gateway.topics.records, b"\n".join([*forger.records[8:10], *gateway.records[10:]])))
    assert reasons(store) == ["record"]
    store.send(gateway, 8)
    assert store.held() == gateway.records
    assert reports.read_conflicts(store.database) == []


@pytest.mark.parametrize("first", [8, 10, 14])
def test_a_fork_is_shown_with_the_signature_that_vouches_for_it(
    store: Store, gateway: FakeGateway, first: int
) -> None:
    """Also where both sides bear none at the place where they part."""
    store.send(gateway)
    other = gateway.fork(8)
    other.commit(first - 8 + 3)
    answers = store.send(other, 8)
    found: Accusation = accused(store, answers[0])
    assert found.at == 8
    assert found.sent == b"\n".join(other.records[8:])
    assert found.held == b"\n".join(gateway.records[8:14])
    assert store.held() == gateway.records
    assert open_accusation(answers[0].decode(), store.cosigner.vkey)[0] == found


def test_a_fork_at_the_head_is_shown_with_its_signature(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway)
    other = gateway.fork(8)
    other.commit(9)
    answer = store.send(other, 14)[-1]
    assert reports.read_conflicts(store.database) != []
    assert accused(store, answer).sent == b"\n".join(other.records[14:])
    assert accused(store, answer).held == gateway.records[13]


def test_a_part_of_a_fork_without_its_signature_is_refused(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway)
    other = gateway.fork(8)
    other.commit(9)
    store.send(other, 8, 12)
    assert (reasons(store), reports.read_conflicts(store.database)) == (["record"], [])


def test_what_waits_is_bounded(store: Store, gateway: FakeGateway) -> None:
    store.send(gateway)
    large = Change("text", None, "x" * 60_000)
    while sum(map(len, gateway.records[14:])) <= MAX_WAITING:
        gateway.append(signed=False, changes=[large])
    store.send(gateway, 14)
    assert reasons(store) == ["record"]
    assert store.held() == gateway.records[:14]


def test_a_long_message_is_split_between_commits(gateway: FakeGateway) -> None:
    gateway.commit(MAX_LINES - 20)
    gateway.commit(40)
    parts = list(lines_of(gateway.batch()))
    assert [len(part) for part in parts] == [14 + MAX_LINES - 20, 40]
    assert [line for part in parts for line in part] == gateway.records
