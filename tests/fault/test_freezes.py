"""The gateway's process stands still at random moments, as on a starved box: it goes on, nothing is lost."""

import asyncio
import os
import random
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from linewitness_selftest.outcome import FaultOutcome
from support.outcomes import kept
from support.plants import Load, running_plant, settle
from support.waiting import until

FEW, MANY = 5, 40


async def frozen_again_and_again(folder: Path, *, times: int, seed: Any) -> Any:
    """Freeze it for moments, for as long as an answer may take, and for longer than a device is missed."""
    chance = random.Random(seed)
    async with running_plant(folder) as plant:
        load, pid = Load(plant), plant.gateway.pid
        async with load.going_on():
            for _ in range(times):
                steps = load.steps
                await until(partial(lambda steps: load.steps > steps + 3, steps), "work")
                await asyncio.sleep(chance.uniform(0, 0.5))
                os.kill(pid, signal.SIGSTOP)
                try:
                    await asyncio.sleep(chance.choice((chance.uniform(0.02, 0.5), chance.uniform(0.5, 6))))
                finally:
                    os.kill(pid, signal.SIGCONT)
            steps = load.steps
            await until(lambda: load.steps > steps + 20, "work after the last one")
        assert plant.gateway.running
        await settle(plant, load.made, timeout_s=60)
        return kept("gateway frozen, and let go on", plant, load.made, injected=times)


async def test_a_gateway_that_stood_still_a_few_times_goes_on(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    account(await frozen_again_and_again(tmp_path, times=FEW, seed=1))


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_gateway_that_stood_still_many_times_goes_on(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    account(await frozen_again_and_again(tmp_path, times=MANY, seed=2))
