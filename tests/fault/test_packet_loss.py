"""Three packets in ten are lost on the cable to the broker or to the tool: slower, and nothing else."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from linewitness.base.segments import lost_segments
from linewitness.demo.plant import Plant
from linewitness_selftest.outcome import FaultOutcome
from support.far import far_plant
from support.lossy import LossyCable, lossy_cable
from support.outcomes import kept
from support.plants import Load, held, held_tightenings, said, settle
from support.waiting import until

SHARE = 0.3
SEED = 11
EACH = ("broker", "tool")


async def ended(plant: Plant, cable: LossyCable, load: Load) -> int:
    """Check that all arrived in order while packets were lost; return how many were.

    Only for the last words is the cable mended: a gateway that stops waits seconds for the last receipt.
    """
    await until(
        lambda: load.made <= held_tightenings(plant),
        lambda: f"{len(load.made)} tightenings; {said(plant)[-2000:]}",
        timeout_s=120,
    )
    lost, passed = await cable.lost()
    await cable.lose(0)
    await settle(plant, load.made)
    told = plant.devices.torque.acked
    assert told == sorted(told), "confirmed in order"
    print(f"\n{lost} packets lost, {passed} passed; {len(load.made)} made, {len(told)} confirmed, all stored")
    return lost


def in_order(plant: Plant) -> bool:
    """Say whether the store has the results in the order in which they were made."""
    numbers = [int(r["resource"]["id"].rpartition("/")[2]) for r in held(plant).kind("tightening.result")]
    return numbers == sorted(numbers)


async def seen(load: Load) -> None:
    """Work on the unit that is there until the gateway has seen a loss: the first one is its limit."""
    plant = load.plant
    while "segments are lost on the way to the device" not in said(plant):
        load.made.add(plant.devices.torque.tighten())
        await asyncio.sleep(0.1)


async def work(load: Load, steps: int) -> None:
    async with load.going_on():
        goal = load.steps + steps
        await until(lambda: load.steps >= goal, "work", timeout_s=120)


async def test_what_had_to_be_sent_again_is_counted() -> None:
    async with lossy_cable(seed=SEED) as cable:
        with cable.listen() as server, socket.create_connection(server.getsockname()) as ours:
            before = lost_segments(ours) or 0
            await cable.lose(1)
            ours.sendall(b"not heard")
            await until(lambda: (lost_segments(ours) or 0) >= before + 2, "transmissions again")


async def test_a_cable_that_loses_packets_delays_and_loses_nothing(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    async with lossy_cable(seed=SEED, quick=True) as cable, far_plant(tmp_path, cable, *EACH) as plant:
        await cable.lose(SHARE)
        await seen(load := Load(plant))
        await work(load, steps=20)
        lost = await ended(plant, cable, load)
        assert lost > 20
        assert in_order(plant)
        account(kept("30 % of packets lost, for seconds", plant, load.made, injected=lost))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("what", "steps"), [("broker", 500), ("tool", 80)])
async def test_a_long_shift_on_a_bad_cable_loses_nothing(
    tmp_path: Path, account: Callable[[FaultOutcome], None], what: str, steps: int
) -> None:
    """With the timeouts that Linux has; the tool tells its next result when the last one is confirmed."""
    async with lossy_cable(seed=SEED) as cable, far_plant(tmp_path, cable, what) as plant:
        await cable.lose(SHARE)
        load = Load(plant)
        if what == "tool":
            await seen(load)
        await work(load, steps=steps)
        lost = await ended(plant, cable, load)
        assert lost > steps
        assert in_order(plant)
        account(kept(f"30 % of packets lost, {what}", plant, load.made, injected=lost))


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_a_broker_that_comes_and_goes_behind_a_bad_cable_loses_nothing(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    """Connections must be made anew while packets are lost, and the store asks for what it lacks."""
    async with lossy_cable(seed=SEED + 1) as cable, far_plant(tmp_path, cable, "broker") as plant:
        await cable.lose(SHARE)
        load = Load(plant)
        for _ in range(3):
            await work(load, steps=40)
            await cast(Any, plant.broker).cut_off()
        await work(load, steps=20)
        await ended(plant, cable, load)
        assert in_order(plant)
        account(kept("broker killed, 30 % of packets lost", plant, load.made, injected=3))


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_a_tool_that_comes_and_goes_behind_a_bad_cable_is_confirmed_rightly(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    """Results and confirmations are lost with the connection: what was not confirmed is fetched, once.

    What is made after the connection is back may be on record before what is fetched.
    """
    async with lossy_cable(seed=SEED + 2) as cable, far_plant(tmp_path, cable, "tool") as plant:
        await cable.lose(SHARE)
        load, torque = Load(plant, period_s=0.2), plant.devices.torque
        await seen(load)
        for _ in range(3):
            await work(load, steps=12)
            torque.drop()
            await until(lambda: torque.subscribed() > 0, "the tool", timeout_s=60)
        await work(load, steps=4)
        await ended(plant, cable, load)
        account(kept("tool's connection broken, 30 % of packets lost", plant, load.made, injected=3))
