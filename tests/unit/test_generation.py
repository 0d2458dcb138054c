"""A stream that cannot go on has a next generation, which names both heads and forgets nothing."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.errors import ConfigurationError, ExitCode, JournalError
from linewitness.journal import database
from linewitness.journal.generations import replacement
from linewitness.journal.generations.generation import CONFLICT, Conflict, begin_next
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.records.builder import StreamIdentity
from support.clocks import ManualClock
from support.journals import IDENTITY, create, forger, members_of, options, reopen, result_event, verdict_of
from support.lines import call, write_line
from support.present import present

pytestmark = pytest.mark.heavy

NEXT = StreamIdentity(stream="acme.example/ber-01/line-02/2", tenant="acme", plant="ber-01", line="line-02")
STATE = {
    "device/wrench/last": "17",
    "station/st-10": "{}",
    "capture/wrench": '{"since_ns": 0, "state": "up", "why": ""}',
}
ROOT = "sha256:" + "ab" * 32


def conflict(**members: Any) -> Conflict:
    known: dict[str, Any] = {
        "at": "2026-03-01T08:00:00.000Z",
        "what": "the store holds 12 records of this stream, the journal only 4",
        "hint": "do this",
        "proven": True,
        "own_size": 4,
        "store_size": 12,
        "store_root": ROOT,
        "note": "the note",
    }
    return Conflict(**known | members)


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    create(tmp_path / "journal", clock)
    file = reopen(tmp_path / "journal", clock)
    file.append([Submission(events=tuple(result_event(n, clock) for n in range(3)), state=STATE)])
    file.close()
    return tmp_path / "journal"


def freeze(directory: Path, clock: ManualClock, found: None = None) -> None:
    file = reopen(directory, clock)
    file.append([Submission(freeze=True, state={CONFLICT: (found or conflict()).to_json()})])
    file.close()


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def after(record: dict[str, Any]) -> dict[str, Any]:
    return {change["field"]: change["after"] for change in record["changes"]}


def test_a_frozen_stream_goes_on_in_the_next_generation(directory: Path, clock: ManualClock) -> None:
    freeze(directory, clock)
    with JournalReader(directory) as reader:
        head = reader.head()
    before = contents(directory)
    begun = begin_next(options(directory), NEXT, clock=clock)
    assert begun.ended == IDENTITY.stream
    assert begun.aside == directory / "ended-1"
    old = contents(begun.aside)
    assert {name: old[name] for name in before if name.name != "journal.sqlite-shm"} == {
        name: data for name, data in before.items() if name.name != "journal.sqlite-shm"
    }
    created, continuity = members_of(directory)
    for record in (created, continuity):
        assert after(record)["size"] == head.size == 4
        assert after(record)["record_hash"] == head.record_hash
        assert after(record)["root"] == "sha256:" + head.root.hex()
        assert (after(record)["store_size"], after(record)["store_root"]) == (12, ROOT)
    assert after(created)["continues"] == IDENTITY.stream
    assert continuity["kind"] == "stream.continuity"
    assert continuity["actor"]["type"] == "user"
    assert after(continuity)["only_at_the_store"] == 8
    assert "may be reported again" in continuity["reason"]
    assert verdict_of(directory).status == "INTACT"
    assert verdict_of(begun.aside).status == "INTACT"
    with JournalReader(directory) as reader:
        assert reader.state() == STATE
        assert not reader.frozen


def test_a_healthy_stream_is_not_ended_without_a_reason(directory: Path, clock: ManualClock) -> None:
    with pytest.raises(JournalError, match="nothing prevents"):
        begin_next(options(directory), NEXT, clock=clock)
    begin_next(options(directory), NEXT, clock=clock, reason="the log key was stolen")
    assert members_of(directory)[1]["reason"] == "the log key was stolen"


def test_the_yaml_must_name_the_next_generation(directory: Path, clock: ManualClock) -> None:
    freeze(directory, clock)
    with pytest.raises(ConfigurationError, match=r"origin: acme.example/ber-01/line-02/2"):
        begin_next(options(directory), IDENTITY, clock=clock)
    assert members_of(directory)[0]["integrity"]["stream"] == IDENTITY.stream


def test_a_running_gateway_prevents_it(directory: Path, clock: ManualClock) -> None:
    freeze(directory, clock)
    with database.Lock(directory), pytest.raises(JournalError, match="another gateway"):
        begin_next(options(directory), NEXT, clock=clock)


def test_a_lost_key_ends_a_stream(directory: Path, clock: ManualClock) -> None:
    (directory / "keys" / "log.key").unlink()
    begun = begin_next(options(directory), NEXT, clock=clock)
    assert "log.key is gone" in begun.why
    assert "log.key is gone" in members_of(directory)[1]["reason"]
    assert members_of(present(begun.aside))


@pytest.mark.parametrize("damage", ["no database", "torn pages", "a record changed"])
def test_a_damaged_journal_goes_on_with_what_can_be_read(
    directory: Path, clock: ManualClock, damage: str
) -> None:
    database = directory / "journal.sqlite"
    if damage == "no database":
        database.write_bytes(b"not a database" * 1000)
    elif damage == "torn pages":
        data = bytearray(database.read_bytes())
        data[4096:] = b"\xff" * (len(data) - 4096)
        database.write_bytes(data)
    else:
        connection = forger(directory)
        connection.execute("DROP TRIGGER record_is_final")
        connection.execute("UPDATE record SET bytes = CAST(replace(plain(bytes), '12.30', '12.31') AS BLOB)")
        connection.commit()
        connection.close()
    before = database.read_bytes()
    begun = begin_next(options(directory), NEXT, clock=clock)
    assert (present(begun.aside) / "journal.sqlite").read_bytes() == before
    record = members_of(directory)[1]
    assert verdict_of(directory).status == "INTACT"
    with JournalReader(directory) as reader:
        if damage == "a record changed":
            assert after(record)["state"] == "carried over"
            assert reader.state() == STATE
        else:
            assert after(record)["state"] == "lost"
            assert "may be reported again" in record["reason"]


def test_an_own_folder_is_never_overwritten(directory: Path, clock: ManualClock) -> None:
    freeze(directory, clock)
    (directory / "ended-1").mkdir()
    (directory / "ended-1" / "note.txt").write_text("mine")
    with pytest.raises(JournalError, match="ended-1 already"):
        begin_next(options(directory), NEXT, clock=clock)
    assert verdict_of(directory).size == 4


def renames(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, *, allowed: int
) -> int | None:
    """Begin the next generation with a crash before its rename number `allowed`; say how many there were."""
    count: list[Any]
    rename, count = Path.rename, []

    def crashing(self: Path, target: Path) -> Path:
        if len(count) == allowed:
            raise KeyboardInterrupt
        count.append(self)
        found: Path = rename(self, target)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", crashing)
        try:
            begin_next(options(directory), NEXT, clock=clock)
        except KeyboardInterrupt:
            return None
    return len(count)


def test_a_crash_at_any_step_is_finished_by_the_next_call(
    tmp_path: Path, directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze(directory, clock)
    (directory / "telemetry.sqlite").write_bytes(b"signals on their way")
    before = contents(directory)
    number = 0
    while True:
        place = tmp_path / f"crash-{number}" / "journal"
        shutil.copytree(directory, place)
        if renames(place, clock, monkeypatch, allowed=number) is not None:
            break
        if replacement.is_unfinished(place):
            refused = call("run", write_line(place.parent, generation=2)).exception
            assert refused.exit_code == ExitCode.JOURNAL, "no gateway starts on half a journal"
            refused = call("init", write_line(place.parent, generation=2)).exception
            assert "init --continue" in refused.hint, "and no new history begins in its place"
        begin_next(options(place), NEXT, clock=clock)
        assert not replacement.is_unfinished(place)
        assert [record["kind"] for record in members_of(place)] == ["stream.created", "stream.continuity"]
        old = contents(place / "ended-1")
        for name in ("journal.sqlite", "keys/log.key"):
            assert old[Path(name)] == before[Path(name)]
        assert verdict_of(place / "ended-1").size == 4
        assert (place / "telemetry.sqlite").read_bytes() == b"signals on their way"
        reopen(place, clock).close()
        number += 1
    assert number >= 8


def test_what_a_crash_left_half_built_is_built_anew(directory: Path, clock: ManualClock) -> None:
    freeze(directory, clock)
    half = directory / "building"
    half.mkdir()
    shutil.copy(directory / "journal.sqlite", half)
    begin_next(options(directory), NEXT, clock=clock)
    assert members_of(directory)[0]["integrity"]["stream"] == NEXT.stream
    assert not half.exists()


def test_a_user_who_may_write_that_folder_only_can_do_it(
    directory: Path, clock: ManualClock, tmp_path: Path
) -> None:
    """As under DynamicUser=: the folder is reached by a link, and the one above it is somebody else's."""
    freeze(directory, clock)
    above = tmp_path / "private"
    above.mkdir()
    directory.rename(above / "line-02")
    directory.symlink_to(above / "line-02")
    os.chown(above, 65534, 65534)
    without = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner", "--inh-caps=-all")
    refused = subprocess.run([*without, "mkdir", above / "x"], capture_output=True, check=False)
    assert refused.returncode != 0, "the folder above cannot be written"
    file = write_line(tmp_path, generation=2)
    done = subprocess.run(
        [*without, sys.executable, "-m", "linewitness", "init", "--continue", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"kept in     {directory / 'ended-1'}" in done.stdout
    assert directory.is_symlink()
    assert members_of(directory)[0]["integrity"]["stream"] == NEXT.stream
    assert verdict_of(directory / "ended-1").size == 4


def test_what_root_does_stays_the_owners(directory: Path, clock: ManualClock) -> None:
    freeze(directory, clock)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, 65534, 65534)
    begin_next(options(directory), NEXT, clock=clock)
    assert {path.stat().st_uid for path in (directory, *directory.rglob("*"))} == {65534}


def test_the_schema_keeps_a_frozen_stream_frozen_and_whole(directory: Path, clock: ManualClock) -> None:
    freeze(directory, clock)
    connection = sqlite3.connect(directory / "journal.sqlite")
    for statement in ("UPDATE stream SET state = 'open'", "DELETE FROM record WHERE seq = 1"):
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)
    connection.close()


def test_the_command_says_what_to_change_and_status_says_what_happened(
    tmp_path: Path, directory: Path, clock: ManualClock
) -> None:
    freeze(directory, clock)
    file = write_line(tmp_path)
    status = call("status", file).output
    assert "FROZEN" in status
    assert "the store holds 12 records of this stream, the journal only 4" in status
    refused = call("init", file, "--continue").exception
    assert refused.exit_code == ExitCode.CONFIGURATION
    assert "origin: acme.example/ber-01/line-02/2" in refused.hint
    done = call("init", write_line(tmp_path, generation=2), "--continue")
    assert done.exit_code == 0, done.output
    assert "ended       acme.example/ber-01/line-02/1" in done.output
    assert "store enroll" in done.output
    status = call("status", file).output
    assert "continues  acme.example/ber-01/line-02/1, which ended with 4 records here, 12 at" in status
