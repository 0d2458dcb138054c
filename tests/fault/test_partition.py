"""The uplink cut for an hour, as the gateway's clocks see it: what is due each minute or hour goes on."""

import asyncio
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import from_rfc3339
from linewitness.demo.plant import Plant
from linewitness_selftest.outcome import FaultOutcome
from support.brokers import free_port
from support.faked_time import fast_time
from support.far import far_plant
from support.figures import figures
from support.lossy import lossy_cable
from support.outcomes import kept
from support.plants import (
    Load,
    at_work,
    change,
    held,
    held_tightenings,
    log_lines,
    policy_of,
    run,
    said,
    settle,
    stopped,
)
from support.plc_line import wall
from support.present import present
from support.waiting import until

SPEED = 40
HOUR_S = 3600
#: The cut lasts a little longer, so that what is due each hour comes. It began so long ago and ends about
#: now, because the clocks of store and devices are not fast.
CUT_S = HOUR_S + 300
#: What else happens at that speed: until the gateway is at work, and until the first records have a receipt.
BEFORE_S = 20 * SPEED

#: Timeouts that a device on this machine keeps although the gateway's seconds are so short.
PATIENT = {
    "    publishing_ms: 100\n": "    publishing_ms: 2000\n    timeout_s: 60\n    silence_s: 300\n",
    "    period_ms: 100\n": "    period_ms: 2000\n    timeout_s: 30\n    dead_timeout_s: 30\n",
    "    timezone: UTC\n": "    timezone: UTC\n    request_timeout_s: 200\n    dead_after_s: 200\n"
    "    keepalive_s: 14\n    connect_timeout_s: 200\n",
}


class Watcher:
    """Looks at the gateway from outside, as long as the cable is cut."""

    def __init__(self, plant: Plant, port: int) -> None:
        self.sealed: set[Any]
        self.hours_left: set[Any]
        self.pending: list[Any]
        self.plant, self.sealed, self.hours_left, self.pending = plant, set(), set(), []
        self._port = port

    def records(self) -> list[dict[str, Any]]:
        with self.plant.journal() as journal:
            return [json.loads(data) for _, data in journal.records()]

    def plant_time(self) -> float:
        """Return the time of the newest record, in seconds."""
        with self.plant.journal() as journal:
            (newest,) = [data for _, data in journal.records(journal.size() - 1)]
        return from_rfc3339(json.loads(newest)["ingested_at"]) / 1e9

    async def look(self) -> None:
        with self.plant.journal() as journal:
            self.sealed.add(present(journal.newest_checkpoint())[0])
        found = await figures(self._port)
        self.pending.append(found["linewitness_records_pending"])
        if "linewitness_journal_hours_left" in found:
            self.hours_left.add(found["linewitness_journal_hours_left"])

    async def wait(self, seconds: float, *, load: Load | None = None) -> None:
        """Let so many seconds of the plant pass; with a load, work in them."""
        until_s = self.plant_time() + seconds
        while self.plant_time() < until_s:
            await self.look()
            if load is not None:
                await load.step()
            await asyncio.sleep(0.25)


def kinds(records: Any, kind: Any) -> Any:
    return [record for record in records if record["kind"] == kind]


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_an_hour_without_the_uplink_changes_nothing_but_the_delay(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    port = free_port()

    def prepare(plant: Plant) -> None:
        for old, new in PATIENT.items():
            change(plant, old, new)
        change(
            plant,
            "directory: journal\n",
            "directory: journal\n  rotate_key_h: 0.25\n  keep_days: 0.01\n  prune_requires: receipt\n",
        )
        change(plant, "clock:\n", f"status: {{listen: '127.0.0.1:{port}'}}\nclock:\n")
        plant.gateway.environment = fast_time(offset_s=-CUT_S - BEFORE_S, speed=SPEED)

    async with lossy_cable(seed=1) as cable, far_plant(tmp_path, cable, "broker", prepare=prepare) as plant:
        load, watcher = Load(plant), Watcher(plant, port)
        async with load.going_on():
            await until(lambda: load.steps > 120, "records for more than one tile")
        await until(lambda: plant_receipted(plant) > 256, "their receipt")
        await cable.lose(1)
        await watcher.wait(30)  # a receipt may have arrived and not be on record yet
        first = len(watcher.records())
        await watcher.wait(CUT_S / 4, load=load)
        await watcher.wait(CUT_S / 2)
        await watcher.wait(CUT_S / 4, load=load)
        records = watcher.records()
        during = [record for record in records if record["sequence_no"] >= first]
        with plant.journal() as journal:
            pruned, receipted = journal.pruned, journal.figures().receipted
        assert len(log_lines(plant, "uplink lost")) == 1, said(plant)
        await cable.lose(0)
        await until(lambda: load.made <= held_tightenings(plant), "all in the store", timeout_s=90)
        assert await stopped(plant) == 0
        # The last receipt is awaited for three seconds, which are too short here: another start fetches it.
        plant.gateway.environment = fast_time(offset_s=watcher.plant_time() - wall() + 5, speed=1)
        await plant.gateway.start()
        await at_work(plant)
        await settle(plant, load.made)

        times = [from_rfc3339(record["ingested_at"]) / 1e9 for record in during]
        assert times[-1] - times[0] > HOUR_S
        assert max(b - a for a, b in itertools.pairwise(times)) < 125, "a sign of life each minute"
        assert len(kinds(during, "key.rotated")) >= 4, "a fresh key each quarter of an hour"
        assert len(watcher.sealed) > 30, "a checkpoint each minute"
        assert not kinds(during, "custody.received"), "cut off"
        assert 0 < pruned <= receipted, "old records that the store has may go, no others"
        assert watcher.hours_left
        assert watcher.pending[-1] > watcher.pending[0]
        assert len(held(plant).records) > len(records), "all drained"
        (tmp_path / "policy").write_bytes(policy_of(plant).canonical)
        verified = await run("verify", plant.line_file, "--policy", tmp_path / "policy")
        assert verified.code == 0, verified
        print(
            f"\n{times[-1] - times[0]:.0f} s of the plant: {len(during)} records, "
            f"{len(kinds(during, 'gateway.heartbeat'))} heartbeats, "
            f"{len(kinds(during, 'key.rotated'))} keys, "
            f"{len(watcher.sealed)} checkpoints, pruned to {pruned} of {receipted} receipted, "
            f"{min(watcher.hours_left):.0f} hours left at the least"
        )
        account(kept("uplink cut for an hour of the plant", plant, load.made))


def plant_receipted(plant: Plant) -> int:
    with plant.journal() as journal:
        return journal.figures().receipted
