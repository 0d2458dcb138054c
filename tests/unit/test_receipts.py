"""Answers of the store: a receipt, a proven contradiction that freezes the stream, or a mere report."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.keys import cosigner_vkey, new_key
from linewitness.evidence.format.note import BadNote, cosign
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.receipts import ReceiptJudge, StoreContradiction
from linewitness.journal.generations.generation import Conflict
from linewitness.journal.journal import Journal
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader
from support.clocks import ManualClock
from support.journals import create, members_of, result_event, running, verdict_of
from support.present import present

STORE = new_key()
NAME = "store.example"


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    create(tmp_path / "journal", clock)
    return tmp_path / "journal"


@asynccontextmanager
async def judging(
    directory: Path, clock: ManualClock, records: int = 3
) -> AsyncIterator[tuple[ReceiptJudge, Journal]]:
    async with running(directory, clock) as journal:
        signer = CheckpointSigner(journal, Keyring(directory).load(LOG_KEY))
        judge = ReceiptJudge(journal, signer, store_vkey=cosigner_vkey(NAME, STORE), clock=clock)
        await journal.submit([result_event(number, clock) for number in range(records)])
        await judge.recall()
        yield judge, journal


def answer(directory: Path, size: int, root: bytes, *, key: SigningKey = STORE) -> bytes:
    with JournalReader(directory) as reader:
        origin = reader.identity.stream
    note = Checkpoint(origin, size, root).sign(Keyring(directory).load(LOG_KEY))
    return str(note.with_signature(cosign(note.text, name=NAME, key=key, time_s=1_772_352_000))).encode()


def kinds(directory: Path) -> list[str]:
    return [record["kind"] for record in members_of(directory)]


def conflict(directory: Path) -> tuple[bool, Conflict | None]:
    with JournalReader(directory) as reader:
        return reader.frozen, Conflict.of(reader)


async def test_a_fitting_answer_is_custody_and_continuity(directory: Path, clock: ManualClock) -> None:
    async with judging(directory, clock) as (judge, journal):
        assert await judge.judge(answer(directory, 4, journal.head.root)) == 4
    assert kinds(directory)[-2:] == ["stream.continuity", "custody.received"]
    assert conflict(directory) == (False, None)


@pytest.mark.parametrize(("size", "words"), [(9, "the journal only"), (4, "other records")])
async def test_a_proven_contradiction_freezes_the_stream_with_its_proof(
    directory: Path, clock: ManualClock, size: int, words: str
) -> None:
    sent = answer(directory, size, b"\1" * 32)
    async with judging(directory, clock) as (judge, journal):
        for _ in range(2):
            with pytest.raises(StoreContradiction, match=words):
                await judge.judge(sent)
        assert journal.frozen
        await journal.submit([result_event(9, clock)])  # capture goes on
    frozen, found = conflict(directory)
    assert frozen
    assert (
        present(found).proven,
        present(found).own_size,
        present(found).store_size,
        present(found).note,
    ) == (True, 4, size, sent.decode())
    assert kinds(directory)[-2:] == ["stream.continuity", "tightening.result"]
    assert verdict_of(directory).status == "INTACT"


async def test_a_frozen_stream_stays_contradicted_after_a_restart_and_takes_no_custody(
    directory: Path, clock: ManualClock
) -> None:
    async with judging(directory, clock) as (judge, _):
        with pytest.raises(StoreContradiction):
            await judge.judge(answer(directory, 9, b"\1" * 32))
    async with judging(directory, clock, records=1) as (judge, journal):
        assert judge.contradiction is not None
        assert "init --continue" in judge.contradiction.hint
        await judge.judge(answer(directory, journal.head.size, journal.head.root))
    assert "custody.received" not in kinds(directory)


async def test_a_report_without_proof_stops_nothing_for_good(directory: Path, clock: ManualClock) -> None:
    async with judging(directory, clock) as (judge, _):
        with pytest.raises(StoreContradiction, match="at record 3"):
            await judge.judge(b"conflict at record 3: another record is held")
    frozen, found = conflict(directory)
    assert (frozen, present(found).proven) == (False, False)
    async with judging(directory, clock, records=1) as (judge, journal):
        await judge.judge(answer(directory, 5, journal.head.root))
    assert conflict(directory) == (False, None)


async def test_a_proof_after_a_report_still_freezes(directory: Path, clock: ManualClock) -> None:
    async with judging(directory, clock) as (judge, _):
        with pytest.raises(StoreContradiction):
            await judge.judge(b"conflict at record 3: another record is held")
        with pytest.raises(StoreContradiction):
            await judge.judge(answer(directory, 9, b"\1" * 32))
    assert conflict(directory)[0]


async def test_an_answer_of_another_key_is_nobodys_word(directory: Path, clock: ManualClock) -> None:
    async with judging(directory, clock) as (judge, _):
        with pytest.raises(BadNote):
            await judge.judge(answer(directory, 9, b"\1" * 32, key=new_key()))
    assert conflict(directory) == (False, None)
