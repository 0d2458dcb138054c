"""Answers of the store: receipts, proven contradictions that freeze, accusations, and what nobody signed."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from linewitness.evidence.format.accusation import Accusation
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.keys import cosigner_vkey, new_key
from linewitness.evidence.format.merkle import root_at
from linewitness.evidence.format.note import BadNote, cosign
from linewitness.evidence.format.record import sha256
from linewitness.gateway import receipts
from linewitness.gateway.answers.statements import without_unsigned_line
from linewitness.gateway.continuity import Continuity, HistoryContradiction
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.journal.generations.generation import Conflict
from linewitness.journal.journal import Journal
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader
from linewitness.status.report import report
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
    directory: Path, clock: ManualClock, records: int = 3, other_starts: int | None = None
) -> AsyncIterator[tuple[ReceiptJudge, Journal]]:
    async with running(directory, clock) as journal:
        judge = ReceiptJudge(
            journal,
            Continuity(journal, clock=clock),
            store_vkey=cosigner_vkey(NAME, STORE),
            clock=clock,
            other_starts=lambda: other_starts,
        )
        await journal.submit([result_event(number, clock) for number in range(records)])
        await judge.recall()
        yield judge, journal


def answer(
    directory: Path, size: int, root: bytes, *, key: SigningKey = STORE, time_s: int = 1_772_352_000
) -> bytes:
    with JournalReader(directory) as reader:
        origin = reader.identity.stream
    note = Checkpoint(origin, size, root).sign(Keyring(directory).load(LOG_KEY))
    return str(note.with_signature(cosign(note.text, name=NAME, key=key, time_s=time_s))).encode()


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


COPIED = " from a copy, or a start ended before its record was durable"


@pytest.mark.parametrize(
    ("others", "says"),
    [
        (None, "that it was restored from a copy after the last record before this start is not excluded"),
        (0, "the TPM counted no other start before this one"),
        (
            2,
            "the TPM counted 2 starts before this one of which nothing is on record: it was restored"
            + COPIED,
        ),
    ],
)
async def test_the_first_contact_says_what_it_does_not_exclude(
    directory: Path, clock: ManualClock, others: int | None, says: str
) -> None:
    async with judging(directory, clock, other_starts=others) as (judge, journal):
        await judge.judge(answer(directory, 4, journal.head.root))
    [continuity] = [one for one in members_of(directory) if one["kind"] == "stream.continuity"]
    found = {change["field"]: change["after"] for change in continuity["changes"]}
    assert (found["continuity"], found["starts_not_on_record"]) == ("verified", others)
    assert continuity["reason"] == f"the store's newest receipt fits this journal; {says}"


async def test_a_receipt_over_a_commit_of_which_the_loop_has_not_heard_yet_contradicts_nothing(
    directory: Path, clock: ManualClock
) -> None:
    async with judging(directory, clock) as (judge, journal):
        before = journal.head
        await journal.submit([result_event(8, clock)])
        now, journal.head = journal.head, before
        assert await judge.judge(answer(directory, now.size, now.root)) == now.size
    assert conflict(directory) == (False, None)


@pytest.mark.parametrize(("size", "words"), [(9, "the journal only"), (4, "other records")])
async def test_a_proven_contradiction_freezes_the_stream_with_its_proof(
    directory: Path, clock: ManualClock, size: int, words: str
) -> None:
    sent = answer(directory, size, b"\1" * 32)
    async with judging(directory, clock) as (judge, journal):
        for _ in range(2):
            with pytest.raises(HistoryContradiction, match=words):
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
        with pytest.raises(HistoryContradiction):
            await judge.judge(answer(directory, 9, b"\1" * 32))
    async with judging(directory, clock, records=1) as (judge, journal):
        assert judge.contradiction is not None
        assert "init --continue" in judge.contradiction.hint
        await judge.judge(answer(directory, journal.head.size, journal.head.root))
    assert "custody.received" not in kinds(directory)


async def test_a_line_that_nobody_signed_is_cut_off_and_the_receipt_behind_it_judged(
    directory: Path, clock: ManualClock
) -> None:
    line = b"conflict at record 3: another record is held"
    assert without_unsigned_line(line) == (b"", line.decode())
    async with judging(directory, clock) as (judge, journal):
        receipt = answer(directory, 4, journal.head.root)
        rest, said = without_unsigned_line(line + b"\n\n" + receipt)
        assert (rest, said) == (receipt, line.decode())
        assert await judge.judge(rest) == 4
        assert judge.contradiction is None
    assert without_unsigned_line(receipt) == (receipt, "")
    assert conflict(directory) == (False, None)


def root_of(size: int, reader: JournalReader) -> bytes:
    return root_at(size, reader.tree().subtree)


def record_of(directory: Path, position: int) -> bytes:
    with JournalReader(directory) as reader:
        return next(data for _, data in reader.records(position, position + 1))


def accuse(
    directory: Path,
    *,
    held: bytes,
    sent: bytes = b"{}",
    at: int = 4,
    receipt: bytes = b"",
    key: SigningKey = STORE,
    origin: str = "",
    time_s: int = 1_772_352_100,
) -> bytes:
    with JournalReader(directory) as reader:
        stream = reader.identity.stream
    accusation = Accusation(
        origin=origin or stream,
        subject="record",
        at=at,
        reason=f"at record {at}: another record is held",
        receipt=receipt.decode(),
        held=held,
        sent=sent,
    )
    return str(accusation.sign(name=NAME, key=key, time_s=time_s)).encode()


async def copied(directory: Path, clock: ManualClock, folder: Path, records: int = 3) -> Path:
    """Let a copy of the journal write another result after its first records, with the same keys."""
    async with judging(directory, clock, records=records):
        pass
    shutil.copytree(directory, folder)
    async with running(folder, clock) as journal:
        await journal.submit([result_event(100, clock)])
    return folder


async def test_a_record_that_this_streams_key_has_signed_proves_the_conflict_and_freezes(
    directory: Path, clock: ManualClock, tmp_path: Path
) -> None:
    copy = await copied(directory, clock, tmp_path / "copy")
    held = record_of(copy, 4)
    async with judging(directory, clock, records=2) as (judge, journal):
        sent = accuse(directory, held=held)
        with pytest.raises(HistoryContradiction, match="another record 4 than this journal"):
            await judge.judge(sent)
        assert journal.frozen
    frozen, found = conflict(directory)
    assert frozen
    assert (present(found).proven, present(found).note) == (True, sent.decode())
    changes = {change["field"]: change["after"] for change in members_of(directory)[-1]["changes"]}
    assert changes["conflict_at"] == 4
    assert changes["store_record"] == sha256(held)
    async with judging(directory, clock, records=1) as (judge, _):
        assert judge.contradiction is not None


@pytest.mark.parametrize(
    ("forge", "why"),
    [
        (lambda folder, held: accuse(folder, held=held, key=new_key()), "without the signature"),
        (lambda folder, held: accuse(folder, held=held, origin="acme.example/other/1"), "is none about this"),
        (lambda folder, held: accuse(folder, held=held).replace(b"record 4", b"record 3"), "signature"),
        (lambda folder, held: accuse(folder, held=held) + b"x" * 200_000, "none of a store"),
    ],
)
async def test_a_conflict_that_the_store_did_not_sign_about_this_stream_changes_nothing(
    directory: Path, clock: ManualClock, tmp_path: Path, forge: Callable[[Path, bytes], bytes], why: str
) -> None:
    held = record_of(await copied(directory, clock, tmp_path / "copy"), 4)
    async with judging(directory, clock, records=2) as (judge, journal):
        with pytest.raises(BadNote, match=why):
            await judge.judge(forge(directory, held))
        assert await judge.judge(answer(directory, 6, journal.head.root)) == 6
    assert conflict(directory) == (False, None)


async def test_a_signed_conflict_that_shows_this_journals_own_record_is_an_alarm_until_a_newer_receipt(
    directory: Path, clock: ManualClock
) -> None:
    async with judging(directory, clock, records=4) as (judge, journal):
        held = record_of(directory, 4)
        root = [await journal.read(partial(root_of, size)) for size in (4, 5)]
        receipt = answer(directory, 4, root[0])
        assert await judge.judge(accuse(directory, held=held, receipt=receipt)) == 4
        assert "another gateway writes" in present(judge.accusation).hint
        assert "in doubt" in await journal.read(lambda reader: report(reader, None).text())
        newer = answer(directory, 5, root[1], time_s=1_772_352_101)
        assert await judge.judge(newer) == 5
        assert judge.accusation is None
        with pytest.raises(BadNote, match="outdated"):
            await judge.judge(accuse(directory, held=held, receipt=receipt))
        assert judge.accusation is None
    assert conflict(directory) == (False, None)


async def test_a_good_receipt_outweighs_a_record_that_the_store_shows_later(
    directory: Path, clock: ManualClock, tmp_path: Path
) -> None:
    held = record_of(await copied(directory, clock, tmp_path / "copy"), 4)
    async with judging(directory, clock, records=2) as (judge, journal):
        await judge.judge(answer(directory, 6, journal.head.root))
        await judge.judge(accuse(directory, held=held))
        assert "its own receipts over 6" in present(judge.accusation).what
        assert not journal.frozen
    assert conflict(directory)[0] is False


async def test_a_conflict_about_a_checkpoint_is_an_alarm_and_its_receipt_still_counts(
    directory: Path, clock: ManualClock
) -> None:
    async with judging(directory, clock) as (judge, journal):
        receipt = answer(directory, 4, journal.head.root)
        with JournalReader(directory) as reader:
            origin = reader.identity.stream
        sent = str(Checkpoint(origin, 3, b"\1" * 32).sign(Keyring(directory).load(LOG_KEY))).encode()
        accusation = Accusation(
            origin=origin,
            subject="checkpoint",
            at=3,
            reason="at size 3: another root",
            receipt=receipt.decode(),
            held=b"\2" * 32,
            sent=sent,
        )
        note = accusation.sign(name=NAME, key=STORE, time_s=1_772_352_100)
        assert await judge.judge(str(note).encode()) == 4
        assert "not this journal's" in present(judge.accusation).what
        assert not journal.frozen


async def test_a_receipt_of_another_history_inside_a_conflict_still_freezes(
    directory: Path, clock: ManualClock
) -> None:
    async with judging(directory, clock) as (judge, journal):
        other = answer(directory, 4, b"\1" * 32)
        with pytest.raises(HistoryContradiction, match="other records"):
            await judge.judge(accuse(directory, held=b"{}", receipt=other))
        assert journal.frozen


async def test_answers_that_cover_less_are_taken_now_and_then_only(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The empty message is not signed, and an old receipt can be repeated by anybody."""
    at = [1000.0]
    monkeypatch.setattr(receipts, "monotonic", lambda: at[0])
    async with judging(directory, clock) as (judge, journal):
        newest = answer(directory, 4, journal.head.root)
        await judge.judge(newest)
        for _ in range(100):
            await judge.judge(b"")
        assert judge.held == 0, "a store that begins anew is served at once"
        await judge.judge(newest)
        await judge.judge(b"")
        assert judge.held == 4
        at[0] += receipts.LESS_AGAIN_S
        await judge.judge(b"")
        assert judge.held == 0


async def test_an_answer_of_another_key_is_nobodys_word(directory: Path, clock: ManualClock) -> None:
    async with judging(directory, clock) as (judge, _):
        with pytest.raises(BadNote):
            await judge.judge(answer(directory, 9, b"\1" * 32, key=new_key()))
    assert conflict(directory) == (False, None)
