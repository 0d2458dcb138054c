"""Kill the gateway at random moments under load of all drivers: nothing lost, nothing twice, all verifies."""

import asyncio
import random

import pytest

from plants import Account, Load, account, at_work, journal_verdict, running_plant, settle, until

SEED = 20
FEW, MANY = 4, 30


async def killed_again_and_again(folder, *, kills, seed) -> Account:
    """Kill it at moments between right after the start and well into the work."""
    moments = random.Random(seed)
    async with running_plant(folder) as plant:
        load = Load(plant)
        async with load.going_on():
            for _ in range(kills):
                await asyncio.sleep(moments.choice((moments.uniform(0, 1), moments.uniform(1, 2.5))))
                await plant.gateway.kill()
                await plant.gateway.start()
            await at_work(plant)
            steps = load.steps
            await until(lambda: load.steps > steps + 20)
        await settle(plant, load.made, timeout_s=120)
        assert journal_verdict(plant).status != "BROKEN"
        found = account(plant, load.made)
    print(
        f"\n{kills} kills, seed {seed}: {found.made} made, {found.told} confirmed, {len(found.lost)} lost, "
        f"{len(found.duplicated)} twice, {found.changes} changes, {found.verdict}"
    )
    return found


@pytest.mark.timeout(100)
async def test_killed_a_few_times_it_loses_nothing(tmp_path):
    found = await killed_again_and_again(tmp_path, kills=FEW, seed=SEED)
    found.check()
    assert found.changes > 20
    assert found.told > 20


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_killed_thirty_times_it_loses_nothing(tmp_path):
    found = await killed_again_and_again(tmp_path, kills=MANY, seed=SEED + 1)
    found.check()
    assert found.changes > 100
    assert found.told > 100
