"""The journal: what it accepted is there, in order, once, signed; what it must refuse is refused."""

import asyncio
import dataclasses
import resource
import signal
import sqlite3
from pathlib import Path
from typing import Any, cast

import pytest

from linewitness.base.clock import SharedClockState
from linewitness.base.errors import JournalDamaged, JournalError
from linewitness.evidence.format import merkle
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.journal.attestations import StoredReceipt
from linewitness.journal.file import JournalFile
from linewitness.journal.journal import open_journal
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from support.clocks import ManualClock
from support.journals import IDENTITY, create, forger, members_of, reopen, result_event, running, verdict_of
from support.journals import options as journal_options


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    create(tmp_path / "journal", clock)
    return tmp_path / "journal"


def fill(directory: Path, clock: ManualClock, count: int, **event: str) -> None:
    file = reopen(directory, clock)
    for start in range(0, count, 100):
        batch = [
            Submission(events=(result_event(number, clock, **event),))
            for number in range(start, min(start + 100, count))
        ]
        file.append(batch)
    file.close()


def test_record_0_names_both_keys_and_a_second_creation_is_refused(
    directory: Path, clock: ManualClock
) -> None:
    [first] = members_of(directory)
    assert first["kind"] == "stream.created"
    assert [change["field"] for change in first["changes"]] == ["log_key", "event_key"]
    with pytest.raises(JournalError, match="there is a journal"):
        create(directory, clock)


def test_a_journal_that_is_missing_is_never_created_in_silence(tmp_path: Path, clock: ManualClock) -> None:
    with pytest.raises(JournalError, match="linewitness init"):
        reopen(tmp_path / "nowhere", clock)


def test_records_survive_reopening_and_verify(directory: Path, clock: ManualClock) -> None:
    fill(directory, clock, 300)
    fill(directory, clock, 5)
    assert verdict_of(directory).status == "INTACT"
    assert [record["sequence_no"] for record in members_of(directory)] == list(range(306))


def test_each_start_rotates_the_event_key_and_erases_the_old_one(directory: Path, clock: ManualClock) -> None:
    for _ in range(3):
        file = reopen(directory, clock)
        file.append([Submission(rotate=True), Submission(events=(result_event(1, clock),))])
        kept = sorted(path.name for path in (directory / "keys").iterdir())
        assert kept == sorted([f"{file.event_key_id}.key", "log.key"])
        file.close()
    assert verdict_of(directory).status == "INTACT"
    assert [record["kind"] for record in members_of(directory)].count("key.rotated") == 3


def test_private_keys_are_for_their_owner_only(directory: Path) -> None:
    for path in (directory / "keys").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_clock_step_is_on_record_before_the_next_record(directory: Path, clock: ManualClock) -> None:
    file = reopen(directory, clock)
    file.append([Submission(events=(result_event(1, clock),))])
    clock.step_ns(3_600_000_000_000)
    file.append([Submission(events=(result_event(2, clock),))])
    file.close()
    kinds = [record["kind"] for record in members_of(directory)]
    assert kinds[-3:] == ["tightening.result", "clock.stepped", "tightening.result"]
    assert members_of(directory)[-1]["clock"]["step"] == 1
    assert verdict_of(directory).status == "INTACT"


def test_what_the_schema_must_refuse(directory: Path, clock: ManualClock) -> None:
    fill(directory, clock, 3)
    connection = sqlite3.connect(directory / "journal.sqlite")
    for statement, words in (
        ("UPDATE record SET bytes = x'00' WHERE seq = 1", "never changes"),
        ("DELETE FROM record WHERE seq = 1", "not deleted"),
        ("INSERT INTO record VALUES (17, NULL, x'00', 1)", "must follow"),
    ):
        with pytest.raises(sqlite3.IntegrityError, match=words):
            connection.execute(statement)
    connection.close()


def test_a_record_may_be_deleted_only_below_the_receipt_and_never_a_key_or_the_open_tile(
    directory: Path, clock: ManualClock
) -> None:
    file = reopen(directory, clock)
    file.append([Submission(rotate=True)])
    file.append([Submission(events=tuple(result_event(n, clock) for n in range(600)))])
    file.append([Submission(receipt=StoredReceipt(300, "note", "2026-03-01T08:00:00.000Z"))])
    file.append([Submission(receipt=StoredReceipt(600, "note", "2026-03-01T08:00:01.000Z"))])
    file.close()
    connection = sqlite3.connect(directory / "journal.sqlite")
    connection.execute("DELETE FROM record WHERE seq = 3")
    connection.execute("DELETE FROM record WHERE seq = 511")
    for kept in (0, 1, 512, 599, 600, 601):
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("DELETE FROM record WHERE seq = ?", (kept,))
    connection.close()


@pytest.mark.parametrize("damage", ["flip a byte", "drop the last record", "change the head"])
def test_a_damaged_tail_is_refused_when_the_journal_is_opened(
    directory: Path, clock: ManualClock, damage: str
) -> None:
    fill(directory, clock, 10)
    connection = forger(directory)
    connection.executescript(
        "DROP TRIGGER record_is_final; DROP TRIGGER record_is_kept; DROP TRIGGER record_of_open_tile_is_kept;"
    )
    if damage == "flip a byte":
        [data] = connection.execute("SELECT plain(bytes) FROM record WHERE seq = 7").fetchone()
        changed = data.replace(b'"12.30"', b'"12.31"')
        connection.execute("UPDATE record SET bytes = ? WHERE seq = 7", (changed,))
    elif damage == "drop the last record":
        connection.execute("DELETE FROM record WHERE seq = 10")
    else:
        connection.execute("UPDATE head SET size = 10")
    connection.commit()
    connection.close()
    with pytest.raises(JournalDamaged):
        reopen(directory, clock)


def test_a_missing_key_is_refused_with_its_name(directory: Path, clock: ManualClock) -> None:
    [event_key] = [path for path in (directory / "keys").iterdir() if path.name != "log.key"]
    event_key.unlink()
    with pytest.raises(JournalError, match=event_key.name):
        reopen(directory, clock)


def test_a_foreign_database_in_our_place_is_refused(directory: Path, clock: ManualClock) -> None:
    (directory / "journal.sqlite").unlink()
    connection = sqlite3.connect(directory / "journal.sqlite")
    connection.execute("CREATE TABLE record (seq INTEGER)")
    connection.close()
    with pytest.raises(JournalDamaged, match="not a journal"):
        reopen(directory, clock)


@pytest.mark.parametrize("count", [1, 255, 256, 257, 600])
def test_the_stored_tree_gives_the_roots_and_proofs_of_all_records(
    directory: Path, clock: ManualClock, count: int
) -> None:
    fill(directory, clock, count - 1)
    with JournalReader(directory) as reader:
        leaves = [merkle.leaf_hash(data) for _, data in reader.records()]
        subtree = reader.tree().subtree
        assert len(leaves) == count
        for size in {1, count // 2 or 1, count}:
            assert merkle.root_at(size, subtree) == merkle.root_of(leaves[:size])
        path = merkle.inclusion_proof(count // 3, count, subtree)
        merkle.verify_inclusion(leaves[count // 3], count // 3, count, merkle.root_of(leaves), path)


def test_one_units_records_are_found(directory: Path, clock: ManualClock) -> None:
    fill(directory, clock, 3, unit="SN0001")
    fill(directory, clock, 2, unit="SN0002")
    with JournalReader(directory) as reader:
        assert [seq for seq, _ in reader.of_unit("SN0002")] == [4, 5]


@pytest.mark.heavy
def test_a_slow_reader_of_one_unit_holds_no_snapshot(directory: Path, clock: ManualClock) -> None:
    fill(directory, clock, 1100, unit="SN0001")
    with JournalReader(directory) as reader:
        found = reader.of_unit("SN0001")
        assert next(found)[0] == 1
        fill(directory, clock, 3, unit="SN0001")
        connection = sqlite3.connect(directory / "journal.sqlite")
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, (
            "nobody holds the log"
        )
        connection.close()
        assert len(list(found)) == 1102


async def test_submissions_become_durable_in_the_order_of_their_calls(
    directory: Path, clock: ManualClock
) -> None:
    async with running(directory, clock) as journal:
        futures = [journal.submit([result_event(number, clock)]) for number in range(200)]
        for future in futures:
            await future
    numbers = [record["resource"]["id"].rpartition("/")[2] for record in members_of(directory)[1:]]
    assert numbers == [str(number) for number in range(200)]


async def test_what_has_time_goes_with_the_next_commit_or_by_itself_a_little_later(
    directory: Path, clock: ManualClock
) -> None:
    async with running(directory, clock) as journal:
        along = journal.submit_all(Submission(checkpoint=(1, "first")), within_s=3600)
        await journal.submit([result_event(1, clock)])
        assert along.done()
        await journal.submit_all(Submission(checkpoint=(2, "second")), within_s=0.05)
        assert await journal.read(lambda reader: reader.newest_checkpoint()) == (2, "second")
        last = journal.submit_all(Submission(checkpoint=(2, "third")), within_s=3600)
    assert last.done()


async def test_state_is_stored_with_its_records_and_deleted_with_none(
    directory: Path, clock: ManualClock
) -> None:
    async with running(directory, clock) as journal:
        await journal.submit([], state={"point/a": "1", "point/b": "2"})
        await journal.submit([], state={"point/a": None})
        assert await journal.read(lambda reader: reader.state("point/")) == {"point/b": "2"}


async def test_a_second_gateway_on_the_same_journal_is_refused(directory: Path, clock: ManualClock) -> None:
    async with running(directory, clock):
        with pytest.raises(JournalError, match="another gateway"):
            async with open_journal(journal_options(directory), clock=clock, clock_state=SharedClockState()):
                pass


async def test_a_cancelled_submitter_does_not_take_its_record_back(
    directory: Path, clock: ManualClock
) -> None:
    async with running(directory, clock) as journal:
        future = journal.submit([result_event(1, clock)])
        future.cancel()
        await journal.submit([result_event(2, clock)])
    assert len(members_of(directory)) == 3


async def test_waiting_for_growth_ends_when_records_are_durable(directory: Path, clock: ManualClock) -> None:
    async with running(directory, clock) as journal:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(journal.wait_beyond(1))
            await asyncio.sleep(0)
            assert not waiting.done()
            await journal.submit([result_event(1, clock)])
        assert waiting.result() == 2


def test_a_full_disk_stores_nothing_of_the_batch_and_says_what_to_do(
    directory: Path, clock: ManualClock
) -> None:
    file = reopen(directory, clock)
    file.append([Submission(events=(result_event(0, clock),))])
    limit = (directory / "journal.sqlite-wal").stat().st_size + 4096
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(JournalError):
            file.append([Submission(events=tuple(result_event(n, clock) for n in range(1, 200)))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    file.close()
    assert len(members_of(directory)) == 2
    assert verdict_of(directory).status == "INTACT"
    again = reopen(directory, clock)
    again.append([Submission(events=(result_event(1, clock),))])
    again.close()


def test_a_text_too_long_for_a_record_is_replaced_by_its_hash(directory: Path, clock: ManualClock) -> None:
    event = Event(
        kind="parameter.changed",
        occurred_ns=clock.stamp().realtime_ns,
        occurred_from="device",
        actor=Actor("device", "press-4"),
        resource=Resource("parameter", "press-4/recipe"),
        reason="the device reports another value",
        changes=(Change("recipe", None, "x" * 100_000), Change("bad", None, "\ud800")),
    )
    file = reopen(directory, clock)
    file.append([Submission(events=(event,))])
    file.close()
    record = members_of(directory)[-1]
    assert record["changes"][0]["after"].startswith("sha256:")
    assert record["changes"][1]["after"] == "\ufffd"
    assert verdict_of(directory).status == "INTACT"


def test_a_journal_with_another_schema_is_refused_with_its_version(
    directory: Path, clock: ManualClock
) -> None:
    connection = sqlite3.connect(directory / "journal.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(JournalError, match="schema version 99"):
        reopen(directory, clock)


def test_the_identity_is_the_files_own(directory: Path, clock: ManualClock) -> None:
    file: JournalFile = reopen(directory, clock)
    assert file.identity == IDENTITY
    assert Checkpoint(IDENTITY.stream, file.head.size, file.head.root).size == 1
    file.close()


def test_a_float_that_a_driver_let_through_is_written_as_text(directory: Path, clock: ManualClock) -> None:
    event = dataclasses.replace(
        result_event(1, clock),
        changes=(Change("force", cast(Any, 0.5), cast(Any, 12.3)), Change("count", None, 2**60)),
    )
    file = reopen(directory, clock)
    file.append([Submission(events=(event,))])
    file.close()
    force, count = members_of(directory)[-1]["changes"]
    assert (force["before"], force["after"], count["after"]) == ("0.5", "12.3", str(2**60))
    assert verdict_of(directory).status == "INTACT"


def test_an_uncertainty_below_zero_that_a_driver_let_through_is_left_out(
    directory: Path, clock: ManualClock
) -> None:
    """The store would refuse the record, and with it all that follows."""
    file = reopen(directory, clock)
    file.append([Submission(events=(dataclasses.replace(result_event(1, clock), occurred_unc_ms=-1),))])
    file.close()
    assert "occurred_unc_ms" not in members_of(directory)[-1]["clock"]
    assert verdict_of(directory).status == "INTACT"
