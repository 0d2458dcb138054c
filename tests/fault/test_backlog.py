"""An alarm of now while the records of an outage are on their way, and the store is killed meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.journal.file import JournalFile
from linewitness.journal.submission import Submission
from linewitness.store.ahead.reports import read_heads, read_notices
from linewitness.store.database.database import Database
from linewitness.store.reports import read_streams
from linewitness_selftest.outcome import FaultOutcome
from support.journals import result_event
from support.outcomes import kept
from support.plants import Load, at_work, change, new_plant, run, settle
from support.waiting import until

BACKLOG = 10_000
CLOCK = SystemClock()


def pile_up(plant: Any) -> None:
    """Write into the journal what a line captures in an outage of its network."""
    file = JournalFile.open(plant.folder / "journal", clock=CLOCK, clock_state=SharedClockState())
    for first in range(0, BACKLOG, 500):
        events = (result_event(number, CLOCK) for number in range(first, first + 500))
        file.append([Submission(events=tuple(replace(each, kind="measurement.result") for each in events))])
    file.close()


@contextmanager
def database_of(plant: Any) -> Iterator[Database]:
    database = Database(f"sqlite:///{plant.folder / 'store.db'}")
    try:
        yield database
    finally:
        database.close()


async def test_alarm_is_at_the_store_before_the_backlog_also_if_the_store_is_killed_meanwhile(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    async with new_plant(tmp_path) as plant:
        change(plant, "\nstations:", "\nforward: {batch_size: 70000, max_rate: 400000}\n\nstations:")
        pile_up(plant)
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        load = Load(plant)
        with database_of(plant) as database:
            load.made.add(plant.devices.torque.tighten("SN0001", ok=False))

            def noticed() -> list[Any]:
                found = [notice for notice in read_notices(database) if notice.kind == "tightening.result"]
                return [notice for notice in found if notice.unit == "SN0001"]

            await until(noticed, "the notice")
            (notice,) = noticed()
            (stream,) = read_streams(database)
            assert stream.size < BACKLOG < notice.seq
            assert notice.state == "open"
            assert read_heads(database)[stream.origin].size > BACKLOG
            await plant.store.kill()
            said = (await run("store", "status", plant.store_file)).out
            assert "on their way: the gateway signed" in said
            assert "open 1" in said or "open 2" in said
            await plant.store.start()
            await until(lambda: noticed()[0].state == "confirmed", "its record", timeout_s=120)
        await settle(plant, load.made, timeout_s=120)
        listed = await run("store", "notices", plant.store_file)
        assert (listed.code, "contradicted" in listed.out) == (0, False)
        account(kept("store killed while a backlog drains", plant, load.made))
