"""Kill the gateway at random moments under load of all drivers: nothing lost, nothing twice, all verifies."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import monotonic
from linewitness_selftest.outcome import FaultOutcome
from support.forked import forked_gateway
from support.full_line import Fleeting, FullLoad, fleeting, full_plant
from support.plants import Account, at_work, held, held_tightenings, journal_verdict, settle
from support.plants import account as ledgers_of
from support.waiting import until

SEED = 27
FEW = 6
#: `LINEWITNESS_KILLS=1000 make fault` kills it more often; a thousand take about half an hour.
MANY = int(os.environ.get("LINEWITNESS_KILLS", "40"))
#: The moment of a kill: between the start and being up, while it works, and while it stops.
MOMENTS = {"start": 0.2, "work": 0.75, "stop": 0.05}


@dataclass(frozen=True)
class Killed:
    """What came of it."""

    ledgers: Account
    fleeting: Fleeting
    moments: Counter[str]

    def check(self) -> None:
        self.ledgers.check()
        assert not self.fleeting.twice, self.fleeting
        assert not self.fleeting.invented, self.fleeting

    def outcome(self) -> FaultOutcome:
        kills = self.moments.total()
        return FaultOutcome(
            fault="SIGKILL at random moments, all drivers at work",
            injected=kills,
            survived=kills,
            lost=len(self.ledgers.lost),
            duplicated=len(self.ledgers.duplicated),
            note=f"{self.ledgers.made} tightenings, {self.ledgers.told} confirmed",
        )


async def kill_once(gateway: Any, moments: Any) -> str:
    """Kill it at a random moment, and return which kind of moment that was."""
    (moment,) = moments.choices(list(MOMENTS), list(MOMENTS.values()))
    if moment == "start":
        await asyncio.sleep(moments.uniform(0, 0.4))
    else:
        await until(lambda: "gateway started" in gateway.said(), gateway.said, timeout_s=120)
        await asyncio.sleep(moments.uniform(0.2, 1.5))
    if moment == "stop":
        gateway.ask_to_stop()
        await asyncio.sleep(moments.uniform(0, 0.3))
    assert gateway.running or moment == "stop", gateway.said()[-4000:]
    await gateway.kill()
    value: str = moment
    return value


async def in_the_store(plant: Any, made: Any) -> None:
    """Wait for all that was made; looking into a large store takes long, so it is not done often."""
    async with asyncio.timeout(900):
        while not made <= held_tightenings(plant):  # noqa: ASYNC110 (the store is another process)
            await asyncio.sleep(1)


async def killed_again_and_again(folder: Path, *, kills: int, seed: Any) -> Killed:
    """Kill it at moments between right after the start and well into the work."""
    met: Counter[Any]
    moments, met, began = random.Random(seed), Counter(), monotonic()
    async with full_plant(folder) as (plant, scale), forked_gateway(plant) as gateway:
        await plant.store.start()
        await gateway.start()
        await at_work(plant)
        load = FullLoad(plant, scale=scale)
        async with load.going_on():
            for kill in range(1, kills + 1):
                met[await kill_once(gateway, moments)] += 1
                await gateway.start()
                if kill % 50 == 0:
                    told, seconds = len(plant.devices.torque.acked), monotonic() - began
                    print(
                        f"{kill} kills, {seconds:.0f} s: {len(load.made)} made, {told} confirmed", flush=True
                    )
            await at_work(plant)
            steps = load.steps
            await until(lambda: load.steps > steps + 20)
        await in_the_store(plant, load.made)
        await settle(plant, load.made, timeout_s=120)
        assert journal_verdict(plant).status != "BROKEN"
        killed = Killed(ledgers_of(plant, load.made), fleeting(held(plant).records, load), met)
    found, others = killed.ledgers, killed.fleeting
    print(
        f"\n{kills} kills ({dict(met)}), seed {seed}, {monotonic() - began:.0f} s: {found.made} made, "
        f"{found.told} confirmed, {len(found.lost)} lost, {len(found.duplicated)} twice, {found.changes} "
        f"changes, {others.scans} of {len(load.scans)} scans and {others.weights} of {len(load.weights)} "
        f"weights on record, {found.verdict}"
    )
    return killed


async def test_killed_a_few_times_it_loses_nothing(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    killed = await killed_again_and_again(tmp_path, kills=FEW, seed=SEED)
    killed.check()
    account(killed.outcome())
    assert killed.ledgers.changes > 20
    assert killed.ledgers.told > 20
    assert killed.fleeting.weights > 20


@pytest.mark.slow
@pytest.mark.timeout(180 + 6 * MANY)
async def test_killed_many_times_it_loses_nothing(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    killed = await killed_again_and_again(tmp_path, kills=MANY, seed=SEED + 1)
    killed.check()
    account(killed.outcome())
    assert killed.ledgers.changes > MANY
    assert killed.ledgers.told > MANY
    assert set(killed.moments) >= {"start", "work"}
