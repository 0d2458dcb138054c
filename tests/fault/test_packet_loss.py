"""Three packets in ten are lost on the cable to the broker or to the tool: slower, and nothing else."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from linewitness.demo.broker import Mosquitto
from lossy import lossy_cable
from outcomes import kept
from plants import Load, at_work, change, held, held_tightenings, new_plant, said, settle, until

SHARE = 0.3
SEED = 11
EACH = ("broker", "tool")


class FarBroker(Mosquitto):
    """A mosquitto at the far end of a cable; the store beside it finds it on the loopback interface."""

    def __init__(self, plant, cable):
        super().__init__(plant.folder, plant.broker.port, None)
        self._cable = cable
        with self._configuration.open("a") as file:
            file.write(f"listener {self.port} {cable.theirs}\n")

    async def start(self):
        with (self._folder / "broker.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(*self._cable.wrapper, "mosquitto", "-c", str(self._configuration)), stdout=log, stderr=log
            )

    async def cut_off(self):
        """End it without a word to anybody, and start it again."""
        self._process.kill()
        await self._process.wait()
        await self.start()


@asynccontextmanager
async def far_plant(folder, cable, *what):
    """A running plant, with "broker" (and store) or "tool", or both, behind a cable."""
    async with new_plant(folder) as plant, AsyncExitStack() as stack:
        if "broker" in what:
            await stack.enter_async_context(far_broker(plant, cable))
        if "tool" in what:
            await take_away_the_tool(plant, cable)
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        await plant.receipted(1)
        yield plant


@asynccontextmanager
async def far_broker(plant, cable):
    await plant.broker.stop()
    plant.broker = broker = FarBroker(plant, cable)
    change(plant, f"mqtt://127.0.0.1:{broker.port}", f"mqtt://{cable.theirs}:{broker.port}")
    plant.store.wrapper = cable.wrapper
    await broker.start()
    try:
        yield
    finally:
        await plant.store.stop()
        await broker.stop()


async def take_away_the_tool(plant, cable):
    torque = plant.devices.torque
    await torque.unplug()
    socket = cable.listen()
    torque._server = await asyncio.start_server(torque._connected, sock=socket)
    change(
        plant,
        f"host: 127.0.0.1\n    port: {torque.port}\n",
        f"host: {cable.theirs}\n    port: {socket.getsockname()[1]}\n",
    )


async def ended(plant, cable, load):
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
    numbers = [int(r["resource"]["id"].rpartition("/")[2]) for r in held(plant).kind("tightening.result")]
    told = plant.devices.torque.acked
    assert numbers == sorted(numbers), "stored in order"
    assert told == sorted(told), "confirmed in order"
    print(
        f"\n{lost} packets lost and {passed} passed; {len(load.made)} made, {len(told)} confirmed, all stored"
    )
    return lost


async def work(load, steps):
    async with load.going_on():
        goal = load.steps + steps
        await until(lambda: load.steps >= goal, "work", timeout_s=120)


@pytest.mark.timeout(100)
async def test_a_cable_that_loses_packets_delays_and_loses_nothing(tmp_path, account):
    async with lossy_cable(seed=SEED, quick=True) as cable, far_plant(tmp_path, cable, *EACH) as plant:
        await cable.lose(SHARE)
        await work(load := Load(plant), steps=20)
        lost = await ended(plant, cable, load)
        assert lost > 20
        account(kept("30 % of packets lost, for seconds", plant, load.made, injected=lost))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", EACH)
async def test_a_long_shift_on_a_bad_cable_loses_nothing(tmp_path, account, what):
    """With the timeouts that Linux has: TCP waits for seconds, longer each time."""
    async with lossy_cable(seed=SEED) as cable, far_plant(tmp_path, cable, what) as plant:
        await cable.lose(SHARE)
        await work(load := Load(plant), steps=500)
        lost = await ended(plant, cable, load)
        assert lost > 200
        account(kept(f"30 % of packets lost, {what}", plant, load.made, injected=lost))


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_a_broker_that_comes_and_goes_behind_a_bad_cable_loses_nothing(tmp_path, account):
    """Connections must be made anew while packets are lost, and the store asks for what it lacks."""
    async with lossy_cable(seed=SEED + 1) as cable, far_plant(tmp_path, cable, "broker") as plant:
        await cable.lose(SHARE)
        load = Load(plant)
        for _ in range(3):
            await work(load, steps=40)
            await plant.broker.cut_off()
        await work(load, steps=20)
        await ended(plant, cable, load)
        account(kept("broker killed, 30 % of packets lost", plant, load.made, injected=3))


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_a_tool_that_comes_and_goes_behind_a_bad_cable_is_confirmed_rightly(tmp_path, account):
    """Results and confirmations are lost with the connection: what was not confirmed is fetched, once."""
    async with lossy_cable(seed=SEED + 2) as cable, far_plant(tmp_path, cable, "tool") as plant:
        await cable.lose(SHARE)
        load, torque = Load(plant), plant.devices.torque
        for _ in range(3):
            await work(load, steps=40)
            torque.drop()
            await until(lambda: torque.subscribed() > 0, "the tool", timeout_s=60)
        await work(load, steps=20)
        await ended(plant, cable, load)
        account(kept("tool's connection broken, 30 % of packets lost", plant, load.made, injected=3))
