"""The clock is set right while results wait for the disk: none of them claims a right time."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import from_rfc3339
from linewitness_simulators.ntp import NtpSimulation, serve
from support.faked_time import SettableTime, clean
from support.plants import at_work, change, log_lines, new_plant
from support.waiting import until

HOUR_S = 3600


@contextmanager
def busy_disk(journal: Path) -> Iterator[None]:
    """Let nobody write to the journal: what is observed meanwhile waits."""
    with closing(sqlite3.connect(journal / "journal.sqlite", timeout=10, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def seconds_ahead(record: dict[str, Any]) -> float:
    """Return how far a record claims to have happened after it was written."""
    return (from_rfc3339(record["occurred_at"]) - from_rfc3339(record["ingested_at"])) / 1e9


def claimed_s(record: dict[str, Any]) -> float:
    """Return by how much the record itself says that its time may be wrong."""
    clock = record["clock"]
    return float(clock.get("bound_us", 0) / 1e6 + clock.get("occurred_unc_ms", 0) / 1e3)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_results_stamped_by_the_wrong_clock_are_not_locked_when_it_is_right_again(
    tmp_path: Path,
) -> None:
    time = SettableTime(tmp_path)
    time.step(HOUR_S)
    async with serve(NtpSimulation()) as ntp, new_plant(tmp_path) as plant:
        change(plant, "chrony: auto", f"chrony: off\n  ntp: [127.0.0.1:{ntp.port}]\n  stamp_s: 0.5")
        plant.gateway.environment = time.environment
        await plant.gateway.start()
        await at_work(plant)
        await until(lambda: log_lines(plant, "clock", sync="unsynced"), "the clock's hour is found")
        oven = plant.devices.oven
        oven.oven.inputs.set_points[0] = 1233
        await until(lambda: held(plant, "123.3"), "the oven is read")
        with busy_disk(plant.folder / "journal"):
            oven.oven.inputs.set_points[0] = 1234
            read = oven.served + 4
            await until(lambda: oven.served >= read, "the gateway has read the new set point")
            time.step(-HOUR_S)
            await until(lambda: log_lines(plant, "clock", sync="locked"), "the clock is right again")
        oven.oven.inputs.set_points[0] = 1235
        await until(lambda: held(plant, "123.5"), "a value from after the step")
        assert await plant.gateway.stop() == 0
        records = journal_of(plant)
        clean(plant.gateway.pid)
    (waiting,) = held_in(records, "123.4")
    assert seconds_ahead(waiting) > HOUR_S - 60, "it was stamped before the step and written after it"
    assert waiting["clock"]["sync"] == "unsynced"
    assert "occurred_at was stamped before the clock was set by -3600" in waiting["reason"]
    for record in records:
        assert seconds_ahead(record) <= claimed_s(record) + 0.001, record
    (after,) = held_in(records, "123.5")
    assert after["clock"]["sync"] == "locked"


def journal_of(plant: Any) -> list[dict[str, Any]]:
    with plant.journal() as journal:
        return [json.loads(data) for _, data in journal.records()]


def held(plant: Any, value: str) -> list[dict[str, Any]]:
    return held_in(journal_of(plant), value)


def held_in(records: list[dict[str, Any]], value: str) -> list[dict[str, Any]]:
    return [record for record in records if any(each["after"] == value for each in record["changes"])]
