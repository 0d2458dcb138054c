"""Records that were committed together lie in one row, and read, prune and break one by one."""

import random
import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewitness.base.compression.records import MOST_IN_RUN
from linewitness.base.errors import JournalDamaged, JournalError
from linewitness.evidence.format.record import Event
from linewitness.evidence.verify.verdict import Verdict
from linewitness.journal import upgrade
from linewitness.journal.attestations import StoredReceipt
from linewitness.journal.generations.generation import begin_next
from linewitness.journal.inspection import inspect
from linewitness.journal.pruning.shrink import BYTES
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.records.builder import StreamIdentity
from support.clocks import ManualClock
from support.journal_formats import FOLDER
from support.journals import create, forger, members_of, options, reopen, result_event, verdict_of

pytestmark = pytest.mark.heavy

NEXT = StreamIdentity(stream="acme.example/ber-01/line-02/2", tenant="acme", plant="ber-01", line="line-02")
AT = "2026-03-01T08:00:00.000Z"


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    create(tmp_path / "journal", clock)
    return tmp_path / "journal"


def commit(directory: Path, clock: ManualClock, *groups: "list[Event]") -> None:
    file = reopen(directory, clock)
    for group in groups:
        file.append([Submission(events=tuple(group))])
    file.close()


def without_unit(clock: ManualClock, count: int, reason: str = "") -> list[Event]:
    events = [result_event(number, clock, unit="") for number in range(count)]
    return [replace(event, reason=reason) for event in events] if reason else events


def rows(directory: Path) -> list[tuple[int, int]]:
    """Return first record and number of records of each row."""
    with closing(forger(directory)) as connection:
        return connection.execute("SELECT seq, count FROM record ORDER BY seq").fetchall()


def alter(directory: Path, statement: str, *values: object) -> None:
    with closing(forger(directory)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        assert connection.execute(statement, values).rowcount > 0
        connection.commit()


def test_a_commit_is_a_row_a_tile_and_units_and_keys_have_rows_of_their_own(
    directory: Path, clock: ManualClock
) -> None:
    file = reopen(directory, clock)
    file.append([Submission(events=tuple(without_unit(clock, 300)))])
    file.append([Submission(events=(result_event(1, clock, unit="SN7"), *without_unit(clock, 2)))])
    file.append([Submission(events=tuple(without_unit(clock, 2)), rotate=True)])
    file.append([Submission(events=tuple(without_unit(clock, 1)))])
    file.close()
    assert rows(directory) == [(0, 1), (1, 255), (256, 45), (301, 1), (302, 2), (304, 2), (306, 1), (307, 1)]
    with JournalReader(directory) as reader:
        assert [number for number, _ in reader.of_unit("SN7")] == [301]
        assert [number for number, _ in reader.key_records()] == [0, 306]
    assert verdict_of(directory).status == "INTACT"


def test_a_run_is_no_longer_than_what_is_unpacked_at_once(directory: Path, clock: ManualClock) -> None:
    commit(directory, clock, without_unit(clock, 12, reason="x" * 40_000))
    assert max(count for _, count in rows(directory)) == MOST_IN_RUN // 41_000
    assert verdict_of(directory).status == "INTACT"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.booleans()), max_size=12), st.integers())
def test_any_part_of_any_stream_is_read_as_it_was_written(
    commits: list[tuple[int, bool, bool]], seed: int
) -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "journal"
        create(directory, clock)
        file = reopen(directory, clock)
        written: list[bytes] = []
        for count, unit, rotate in commits:
            events = [*without_unit(clock, count), *([result_event(7, clock)] if unit else [])]
            file.append([Submission(events=tuple(events), rotate=rotate)])
            if events or rotate:
                written += file.recent.batch(len(written) + 1, 1 << 30) or []
        file.close()
        with JournalReader(directory) as reader:
            size = reader.size()
            whole = dict(reader.records())
            assert list(whole) == list(range(size))
            assert [whole[at] for at in range(1, size)] == written
            chosen = random.Random(seed)
            for _ in range(20):
                first, last = chosen.randint(0, size), chosen.randint(0, size + 2)
                found = list(reader.records(first, last))
                assert found == [(at, whole[at]) for at in range(first, min(last, size))]
                if first < size:
                    batch = reader.batch(first, chosen.randint(1, 30_000))
                    assert batch == [whole[at] for at in range(first, first + len(batch))]
                    assert batch
            for at in range(0, size - size % 256, 256):
                assert reader.tree().leaves(at, at + 256)
        assert verdict_of(directory).status == "INTACT"


async def inspected(directory: Path) -> list[str]:
    with JournalReader(directory) as reader:

        async def read(look: Any) -> str:
            return str(reader.ask(look))

        return await inspect(read)


async def test_a_record_altered_within_a_run_is_named(directory: Path, clock: ManualClock) -> None:
    commit(directory, clock, without_unit(clock, 255), without_unit(clock, 3))
    with JournalReader(directory) as reader:
        ((_, record),) = reader.records(77, 78)
    forged = record.replace(b'"12.30"', b'"12.31"')
    alter(
        directory,
        "UPDATE record SET bytes = CAST(replace(plain(bytes), CAST(? AS TEXT), CAST(? AS TEXT)) AS BLOB) "
        "WHERE seq = 1",
        record.decode(),
        forged.decode(),
    )
    verdict = verdict_of(directory)
    assert (verdict.status, verdict.broken_at) == ("BROKEN", 77)
    assert "record 77 is not the one that was written" in (await inspected(directory))[0]


@pytest.mark.parametrize("damage", ["a bit", "cut", "nothing"])
async def test_a_damaged_run_breaks_at_its_first_record(
    directory: Path, clock: ManualClock, damage: str
) -> None:
    commit(directory, clock, without_unit(clock, 100), without_unit(clock, 155), without_unit(clock, 3))
    with closing(forger(directory)) as connection:
        (stored,) = connection.execute("SELECT bytes FROM record WHERE seq = 101").fetchone()
    bad = {
        "a bit": stored[:-9] + bytes([stored[-9] ^ 1]) + stored[-8:],
        "cut": stored[:-1],
        "nothing": b"",
    }[damage]
    alter(directory, "UPDATE record SET bytes = ? WHERE seq = 101", bad)
    verdict: Verdict = verdict_of(directory)
    assert (verdict.status, verdict.broken_at) == ("BROKEN", 101)
    assert "record 101 is not the one that was written" in (await inspected(directory))[0]


def test_a_damaged_run_at_the_end_is_refused_when_the_journal_is_opened(
    directory: Path, clock: ManualClock
) -> None:
    commit(directory, clock, without_unit(clock, 20))
    alter(directory, "UPDATE record SET bytes = substr(bytes, 1, length(bytes) - 3) WHERE seq = 1")
    with pytest.raises(JournalDamaged):
        reopen(directory, clock)


def test_an_end_that_lacks_a_run_is_refused(directory: Path, clock: ManualClock) -> None:
    commit(directory, clock, without_unit(clock, 20), without_unit(clock, 5))
    alter(directory, "DELETE FROM record WHERE seq = 21")
    with pytest.raises(JournalDamaged, match="ends at record 20, its head says 25"):
        reopen(directory, clock)


def test_a_run_is_deleted_only_when_a_receipt_covers_all_of_it(directory: Path, clock: ManualClock) -> None:
    file = reopen(directory, clock)
    file.append([Submission(events=tuple(without_unit(clock, 300)))])
    file.append([Submission(receipt=StoredReceipt(255, "note", AT))])
    file.close()
    with closing(sqlite3.connect(directory / "journal.sqlite")) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="without a receipt"):
            connection.execute("DELETE FROM record WHERE seq = 1")
        connection.execute("INSERT INTO receipt VALUES (256, 'note', ?)", (AT,))
        connection.execute("DELETE FROM record WHERE seq = 1")
        with pytest.raises(sqlite3.IntegrityError, match="must follow"):
            connection.execute("INSERT INTO record VALUES (300, NULL, x'00', 1)")


def test_whole_tiles_of_runs_are_pruned(directory: Path, clock: ManualClock) -> None:
    file = reopen(directory, clock)
    for _ in range(6):
        file.append([Submission(events=tuple(without_unit(clock, 100)))])
    file.append([Submission(receipt=StoredReceipt(600, "note", AT))])
    while not file.prune(512, most=2):
        pass
    file.close()
    assert rows(directory) == [(0, 1), (512, 89)]
    with JournalReader(directory) as reader:
        assert [number for number, _ in reader.records(1)] == list(range(512, 601))


def test_a_step_of_pruning_deletes_so_many_bytes_at_most(directory: Path, clock: ManualClock) -> None:
    """What a step deletes holds up the commits behind it."""
    salad = random.Random(1)
    file = reopen(directory, clock)
    for _ in range(60):
        reason = salad.randbytes(25_000).hex()
        file.append([Submission(events=tuple(without_unit(clock, 5, reason=reason)))])
    file.append([Submission(receipt=StoredReceipt(300, "note", AT))])
    before = dict(rows(directory))
    file.prune(256, most=500)
    left = dict(rows(directory))
    file.close()
    with closing(forger(directory)) as connection:
        (size,) = connection.execute("SELECT length(bytes) FROM record WHERE seq > 0 LIMIT 1").fetchone()
    assert 0 < (len(before) - len(left)) * size <= BYTES + 2 * size


def old_journal(tmp_path: Path) -> Path:
    return copy_of(FOLDER / "v1", tmp_path)


def copy_of(folder: Path, tmp_path: Path) -> Path:
    directory = tmp_path / "old"
    shutil.copytree(folder, directory)
    for key in directory.rglob("*.key"):
        key.chmod(0o600)
    return directory


def version_of(directory: Path) -> int:
    with closing(sqlite3.connect(directory / "journal.sqlite")) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_a_reader_from_before_goes_on_when_a_gateway_takes_runs_to_an_old_journal(
    tmp_path: Path, clock: ManualClock
) -> None:
    directory = old_journal(tmp_path)
    with JournalReader(directory) as reader:
        before = list(reader.records())
        commit(directory, clock, without_unit(clock, 30))
        assert list(reader.records())[: len(before)] == before
        assert [number for number, _ in reader.records()] == list(range(len(before) + 30))
    assert rows(directory)[-1] == (len(before), 30)
    assert [one["sequence_no"] for one in members_of(directory)][-1] == len(before) + 29


def test_an_upgrade_that_fails_leaves_the_old_journal(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = old_journal(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(upgrade, "script", lambda name: "CREATE NONSENSE; END;")
        with pytest.raises(JournalError):
            reopen(directory, clock)
    assert version_of(directory) == 1
    later = ManualClock(boot_id="00000000-0000-4000-8000-000000000002")
    later.advance_ns(365 * 24 * 3600 * 10**9)
    commit(directory, later, without_unit(later, 2))
    assert verdict_of(directory).status == "INTACT"


@pytest.mark.parametrize("folder", sorted(FOLDER.iterdir()), ids=lambda folder: folder.name)
def test_nothing_ends_a_sound_journal_of_any_version(tmp_path: Path, folder: Path) -> None:
    directory = copy_of(folder, tmp_path)
    with pytest.raises(JournalError, match="nothing prevents"):
        begin_next(options(directory), NEXT, clock=ManualClock())
    assert not list(directory.glob("ended*"))


@pytest.mark.parametrize("harm", ["an altered record", "no keys"])
def test_a_journal_that_is_refused_is_not_changed(tmp_path: Path, clock: ManualClock, harm: str) -> None:
    directory = old_journal(tmp_path)
    if harm == "no keys":
        shutil.rmtree(directory / "keys")
    else:
        alter(
            directory,
            "UPDATE record SET bytes = CAST(replace(bytes, '12.30', '12.31') AS BLOB) "
            "WHERE seq = (SELECT MAX(seq) FROM record)",
        )
    with pytest.raises(JournalError):
        reopen(directory, clock)
    assert version_of(directory) == 1


def test_damage_far_back_does_not_keep_an_old_journal_from_going_on(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Newer versions of SQLite read a whole table to add a column to it."""
    directory = old_journal(tmp_path)
    file = directory / "journal.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'record_by_unit'"
        ).fetchone()
    data = bytearray(file.read_bytes())
    data[4096 * (page - 1) : 4096 * page] = b"\xa5" * 4096
    file.write_bytes(data)
    reopen(directory, clock).close()
    assert version_of(directory) == 2


LIES = {
    "a run states more than it holds": "UPDATE record SET count = 90 WHERE seq = 1",
    "a run states fewer": "UPDATE record SET count = 80 WHERE seq = 1",
    "a run stands elsewhere": "UPDATE record SET seq = 2 WHERE seq = 1",
    "a row within a run": "INSERT INTO record SELECT 5, NULL, bytes, 1 FROM record WHERE seq = 1",
    "a run is gone": "DELETE FROM record WHERE seq = 86",
}


@pytest.mark.parametrize("statement", LIES.values(), ids=LIES.keys())
async def test_rows_that_contradict_are_found_by_the_inspection(
    directory: Path, clock: ManualClock, statement: str
) -> None:
    commit(directory, clock, *(without_unit(clock, 85) for _ in range(4)))
    assert await inspected(directory) == []
    alter(directory, statement)
    [first, *_] = await inspected(directory)
    assert re.search(r"missing, or there twice|states \d+ records and holds|is not the one", first)


@pytest.mark.parametrize("more", ["in a run", "in a plain row"])
def test_a_line_too_many_at_the_end_is_refused_at_the_start(
    directory: Path, clock: ManualClock, more: str
) -> None:
    last = [result_event(1, clock)] if more == "in a plain row" else without_unit(clock, 3)
    commit(directory, clock, without_unit(clock, 5), last)
    alter(
        directory,
        "UPDATE record SET bytes = CAST(CAST(plain(bytes) AS TEXT) || char(10) || '{}' AS BLOB) "
        "WHERE seq = (SELECT MAX(seq) FROM record)",
    )
    with pytest.raises(JournalDamaged, match="its head says"):
        reopen(directory, clock)


@pytest.mark.parametrize(
    "values", [(301, None, 0), (301, None, 600), (301, "SN1", 2), (301, None, -1)], ids=str
)
def test_a_row_that_no_gateway_writes_is_refused(
    directory: Path, clock: ManualClock, values: tuple[object, ...]
) -> None:
    commit(directory, clock, without_unit(clock, 300))
    with (
        closing(sqlite3.connect(directory / "journal.sqlite")) as connection,
        pytest.raises(sqlite3.IntegrityError, match="one tile"),
    ):
        connection.execute("INSERT INTO record (seq, unit, count, bytes) VALUES (?, ?, ?, x'00')", values)
