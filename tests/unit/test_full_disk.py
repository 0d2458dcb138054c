"""A disk without room is waited for: the same batch again, once, in order; a broken disk is not."""

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from linewitness.base import room
from linewitness.base.clock import SharedClockState
from linewitness.base.errors import JournalError, JournalFull
from linewitness.base.failures import causes
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.record import Event, Resource
from linewitness.journal import pressure as pressure_module
from linewitness.journal.file import JournalFile
from linewitness.journal.journal import Journal, open_journal
from linewitness.journal.keyring import Keyring
from linewitness.journal.pressure import Level
from linewitness.journal.submission import Submission
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.journal.writer import JournalWriter
from support.clocks import ManualClock
from support.journals import create, members_of, reopen, result_event, running, verdict_of
from support.journals import options as journal_options
from support.waiting import until

MIB = 1024**2
#: Room for what the tests themselves write to the log, and for no commit.
LITTLE = 34_000


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    create(tmp_path / "journal", clock)
    return tmp_path / "journal"


@contextmanager
def no_room(limit: int = 0) -> Iterator[Callable[[], None]]:
    """Let no file of this process grow beyond `limit` bytes, until told that there is room again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def room_again() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield room_again
    finally:
        room_again()
        signal.signal(signal.SIGXFSZ, before)


def other_event(clock: ManualClock) -> Event:
    return gateway_event(
        "gateway.heartbeat", clock.stamp().realtime_ns, resource=Resource("gateway", "gw"), reason="test"
    )


def results(directory: Path) -> list[str]:
    return [
        record["resource"]["id"].rpartition("/")[2]
        for record in members_of(directory)
        if record["kind"] == "tightening.result"
    ]


def test_room_is_found_out_by_writing(tmp_path: Path) -> None:
    assert room.refusal_in(tmp_path) == ""
    with no_room():
        assert room.refusal_in(tmp_path) == "File too large"
    assert room.refusal_in(tmp_path / "missing") == "", "not a question of room"
    assert not list(tmp_path.iterdir())


def test_the_same_batch_is_stored_once_when_there_is_room(directory: Path, clock: ManualClock) -> None:
    writer = JournalWriter(reopen(directory, clock))
    batch = [Submission(events=(result_event(1, clock),)), Submission(events=(result_event(2, clock),))]
    with no_room():
        for _ in range(3):
            with pytest.raises(JournalFull):
                writer.append(batch)
    writer.append(batch)
    writer.append([Submission(events=(result_event(3, clock),))])
    writer.close()
    assert results(directory) == ["1", "2", "3"]
    assert verdict_of(directory).status == "INTACT"


def test_a_commit_that_is_durable_although_it_failed_is_not_repeated(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old key is overwritten after the commit; a copy-on-write file system may have no room for that."""
    writer = JournalWriter(reopen(directory, clock))
    batch = [Submission(rotate=True, events=(result_event(1, clock),))]
    erase = Keyring.erase_all_but

    def refuse(_self: Keyring, *_names: str) -> None:
        raise JournalFull("no room to overwrite a key")

    monkeypatch.setattr(Keyring, "erase_all_but", refuse)
    for _ in range(2):
        with pytest.raises(JournalFull):
            writer.append(batch)
    monkeypatch.setattr(Keyring, "erase_all_but", erase)
    writer.look()
    head = writer.append(batch)
    writer.append([Submission(events=(result_event(2, clock),))])
    writer.close()
    assert head.size == 3
    assert results(directory) == ["1", "2"]
    assert [record["kind"] for record in members_of(directory)].count("key.rotated") == 1
    assert verdict_of(directory).status == "INTACT"


def test_rotations_that_found_no_room_leave_no_keys_behind(directory: Path, clock: ManualClock) -> None:
    writer = JournalWriter(reopen(directory, clock))
    keys = directory / "keys"
    with no_room(limit=200) as room_again:  # a key file fits, a commit does not
        for _ in range(3):
            with pytest.raises(JournalFull):
                writer.append([Submission(rotate=True)])
        room_again()
        writer.look()
    assert len(list(keys.iterdir())) == 2
    writer.append([Submission(rotate=True)])
    writer.close()
    assert len(list(keys.iterdir())) == 2
    assert verdict_of(directory).status == "INTACT"


def test_a_step_of_the_clock_on_a_full_disk_is_on_record_afterwards_once(
    directory: Path, clock: ManualClock
) -> None:
    writer = JournalWriter(reopen(directory, clock))
    batch = [Submission(events=(result_event(1, clock),))]
    writer.look()
    with no_room():
        with pytest.raises(JournalFull):
            writer.append(batch)
        clock.advance_ns(5_000_000_000)
        clock.step_ns(100_000_000)
        with pytest.raises(JournalFull):
            writer.look()
        for _ in range(100):  # a small step would be hidden by the slewing that so long a time allows
            clock.advance_ns(5_000_000_000)
            with pytest.raises(JournalFull):
                writer.look()
    writer.append(batch)
    writer.look()
    writer.close()
    kinds = [record["kind"] for record in members_of(directory)]
    assert kinds == ["stream.created", "clock.stepped", "tightening.result"]
    assert verdict_of(directory).status == "INTACT"


async def grown(journal: Journal, clock: ManualClock) -> None:
    """Commit until the log is larger than the little that is left."""
    await journal.submit([result_event(0, clock)] + [other_event(clock) for _ in range(60)])


async def test_a_running_journal_waits_for_room_and_keeps_the_order(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pressure_module, "RETRY_S", 0.02)
    async with running(directory, clock) as journal:
        await grown(journal, clock)
        with no_room(LITTLE):
            futures = [journal.submit([result_event(number, clock)]) for number in range(1, 40)]
            await until(lambda: journal.pressure.refusal, "the refusal")
            assert journal.pressure.full, "devices are held back"
            assert journal.pressure.level is Level.FULL
            assert "JOURNAL FULL" in journal.pressure.sentence
            assert not any(future.done() for future in futures)
            assert (await journal.read(lambda reader: reader.size())) == 62
        for future in futures:
            await future
        assert not journal.pressure.refusal
        await journal.pressure.measure(journal.read)
        assert not journal.pressure.full
    assert results(directory) == [str(number) for number in range(40)]
    assert verdict_of(directory).status == "INTACT"


async def test_an_idle_journal_finds_out_by_itself_that_there_is_room(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pressure_module, "RETRY_S", 0.02)
    async with running(directory, clock) as journal:
        await grown(journal, clock)
        await journal.look()
        clock.step_ns(3_000_000_000)
        with no_room(LITTLE):
            await journal.look()
            assert journal.pressure.refusal
        await until(lambda: not journal.pressure.refusal, "room")
    assert members_of(directory)[-1]["kind"] == "clock.stepped"


@pytest.mark.heavy
async def test_a_gateway_that_stops_does_not_wait_for_room_for_ever(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pressure_module, "RETRY_S", 0.02)
    monkeypatch.setattr(pressure_module, "LAST_TRIES_S", 0.2)

    async def stopped_without_room() -> None:
        async with running(directory, clock) as journal:
            await grown(journal, clock)
            with no_room(LITTLE):
                future = journal.submit([result_event(1, clock)])
                await until(lambda: journal.pressure.refusal, "the refusal")
                journal.pressure.lift()
                with pytest.raises(JournalFull):
                    await future

    with pytest.raises(ExceptionGroup) as ended:
        await stopped_without_room()
    assert any(isinstance(cause, JournalFull) for cause in causes(ended.value))
    assert verdict_of(directory).status == "INTACT"


async def test_a_disk_that_is_broken_ends_the_journal_at_once(
    directory: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: JournalFile, _batch: object) -> None:
        raise JournalError("disk I/O error")

    async def on_a_broken_disk() -> None:
        async with running(directory, clock) as journal:
            monkeypatch.setattr(JournalFile, "append", broken)
            with pytest.raises(JournalError, match="disk I/O error"):
                await journal.submit([result_event(1, clock)])

    with pytest.raises(ExceptionGroup) as ended:
        await on_a_broken_disk()
    assert any(isinstance(cause, JournalError) for cause in causes(ended.value))


async def test_a_full_disk_at_the_start_is_named_and_leaves_nothing_open(
    directory: Path, clock: ManualClock
) -> None:
    opening = partial(open_journal, journal_options(directory), clock=clock, clock_state=SharedClockState())
    with no_room(), pytest.raises(JournalFull, match="is full"):
        async with opening():
            pass
    async with opening():
        pass
    open_files = [file.path for file in psutil.Process().open_files()]
    assert not [path for path in open_files if path.startswith(f"{directory}/")]


async def test_signals_are_dropped_and_counted_where_their_buffer_finds_no_room_at_the_start(
    directory: Path,
) -> None:
    with no_room():
        buffer = TelemetryBuffer(directory, max_bytes=MIB)
        await buffer.put("oven-10", 7, b"{}")
        await buffer._flush()
        assert buffer.dropped == {"oven-10": 7}
    await buffer.put("oven-10", 3, b"{}")
    await buffer._flush()
    assert [block.samples for block in buffer._oldest(MIB)] == [3]
    buffer.close()
