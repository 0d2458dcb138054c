"""The whole way on real processes: from device to verdict, and restarts in between."""

import asyncio
from pathlib import Path
from typing import Any

from support.plants import Load, account, at_work, held, journal_verdict, run, running_plant, settle, stopped
from support.waiting import until


async def work(plant: Any, steps: int = 10) -> Any:
    load = Load(plant)
    for _ in range(steps):
        await load.step()
        await asyncio.sleep(load.period_s)
    return load.made


async def test_everything_that_was_made_is_stored_and_verifies(tmp_path: Path) -> None:
    async with running_plant(tmp_path) as plant:
        made = await work(plant, 40)
        await until(lambda: set(plant.devices.torque.acked) >= made, "confirmations")
        await settle(plant, made)
        account(plant, made).check()
        assert journal_verdict(plant).status in ("COMPLETE", "INTACT")  # the last receipt is news to no store
        assert (await run("verify", plant.line_file)).code == 0
        kinds = [record["kind"] for record in held(plant).records]
        assert kinds[0] == "stream.created"
        assert "gateway.stopped" in kinds
        assert {"unit.entered", "tightening.result", "parameter.changed", "custody.received"} <= set(kinds)


async def test_broker_restart_loses_nothing(tmp_path: Path) -> None:
    async with running_plant(tmp_path) as plant:
        load = Load(plant)
        async with load.going_on():
            await until(lambda: load.steps > 5)
            await plant.broker.stop()
            await until(lambda: load.steps > 25)
            await plant.broker.start()
            await until(lambda: load.steps > 30)
        await settle(plant, load.made)
        account(plant, load.made).check()


async def test_store_restart_loses_nothing(tmp_path: Path) -> None:
    async with running_plant(tmp_path) as plant:
        load = Load(plant)
        async with load.going_on():
            await until(lambda: load.steps > 5)
            await plant.store.kill()
            await until(lambda: load.steps > 25)
            await plant.store.start()
        await settle(plant, load.made)
        account(plant, load.made).check()


async def test_gateway_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async with running_plant(tmp_path) as plant:
        made = await work(plant)
        assert await stopped(plant) == 0
        made |= await work(plant, 5)
        await plant.gateway.start()
        await at_work(plant)
        made |= await work(plant, 5)
        await settle(plant, made)
        account(plant, made).check()
        started = held(plant).kind("gateway.started")
        assert len(started) == 2
        assert len(held(plant).kind("gateway.stopped")) == 2
