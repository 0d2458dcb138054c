"""The scale driver against a scale on a real socket."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from linewitness.base.clock import SystemClock
from linewitness.base.errors import DeviceRefused, DeviceUnavailable
from linewitness.devices.base import Measured, Observation, Result
from linewitness.devices.mt_sics.driver import MtSicsDriver
from linewitness.devices.mt_sics.options import MtSicsOptions
from linewitness_simulators.scale import RunningScale, ScaleSimulation, serve
from linewitness_simulators.scale.device import ScaleDevice


class NoMemory:
    async def get(self, key: str) -> str | None:
        return None

    async def items(self, prefix: str) -> Mapping[str, str]:
        return {}


def driver(port: int, **settings: Any) -> MtSicsDriver:
    given = {
        "id": "scale-1",
        "driver": "mt_sics",
        "host": "127.0.0.1",
        "port": port,
        "trigger": "request",
        "retry_s": 0.01,
        "reply_timeout_s": 0.5,
        **settings,
    }
    return MtSicsDriver(MtSicsOptions.model_validate(given), clock=SystemClock())


class Weighing:
    """A driver that is connected with a simulated scale."""

    def __init__(
        self, sim: RunningScale, device: MtSicsDriver, observations: AsyncIterator[Observation]
    ) -> None:
        self.sim, self.device, self.observations = sim, device, observations

    async def next(self) -> Result:
        result = await anext(self.observations)
        assert isinstance(result, Result)
        return result

    async def arrived(self) -> None:
        """Wait until something waits to be read by the driver."""
        assert self.device._link is not None
        inbox = self.device._link._inbox
        inbox.put_nowait(await inbox.get())

    async def weigh(self, identifier: str | None = None) -> Result:
        self.device.weigh(identifier=identifier)
        return await self.next()


@contextlib.asynccontextmanager
async def weighing(scale: ScaleDevice | None = None, **settings: Any) -> AsyncIterator[Weighing]:
    async with serve(ScaleSimulation(device=scale or ScaleDevice())) as sim:
        device = driver(sim.port, **settings)
        async with (
            device.connect(NoMemory()) as session,
            contextlib.aclosing(session.observations()) as observations,
        ):
            yield Weighing(sim, device, observations)


async def test_the_scale_introduces_itself() -> None:
    async with serve(ScaleSimulation()) as sim, driver(sim.port).connect(NoMemory()) as session:
        assert session.identity["serial"] == "0123456789"
        assert session.identity["type"] == "Simulated scale 3100 g"
    assert sim.asked == ["@", "I2", "I3", "I1"]


async def test_another_scale_is_refused() -> None:
    async with serve(ScaleSimulation(device=ScaleDevice(serial="42"))) as sim:
        with pytest.raises(DeviceRefused, match="this is scale 42, not 0123456789"):
            async with driver(sim.port, serial="0123456789").connect(NoMemory()):
                pass


async def test_a_requested_weight_is_the_scales_own_text() -> None:
    async with weighing() as on:
        on.sim.load("250.10")
        result = await on.weigh("SN0001")
        again = await on.weigh("SN0002")
    assert result.measured == (Measured(field="weight", value="250.10", unit="g"),)
    assert (result.kind, result.identifier, result.ok) == ("measurement.result", "SN0001", None)
    assert (result.source, result.raw) == ("0123456789", b"S S     250.10 g")
    assert result.result_id != again.result_id


@pytest.mark.parametrize(
    ("load", "unit", "ok", "status"),
    [
        ("249.50", "g", True, "ok"),
        ("250.50", "g", True, "ok"),
        ("249.49", "g", False, "low"),
        ("250.51", "g", False, "high"),
        ("250.00", "kg", False, "nok"),
    ],
)
async def test_limits_are_inclusive_and_in_their_unit(load: str, unit: str, ok: bool, status: str) -> None:
    async with weighing(low="249.50", high="250.50", unit=unit) as on:
        on.sim.load(load)
        result = await on.weigh()
    assert (result.ok, result.measured[0].status) == (ok, status)
    assert (result.measured[0].low, result.measured[0].high) == ("249.50", "250.50")


async def test_the_weight_is_taken_only_when_it_is_stable() -> None:
    async with weighing(ScaleDevice(settle_s=0.3)) as on:
        on.sim.load("10.00")
        result = await on.weigh()
        assert on.sim.device.stable_at() <= asyncio.get_running_loop().time()
    assert result.measured[0].value == "10.00"
    assert on.sim.asked.count("S") == 1


async def test_a_busy_scale_is_asked_again() -> None:
    async with weighing(ScaleDevice(busy_answers=3)) as on:
        result = await on.weigh()
    assert result.measured[0].value == "0.00"
    assert on.sim.asked.count("S") == 4


async def test_a_late_answer_is_not_the_next_units_weight() -> None:
    async with weighing(ScaleDevice(settle_s=0.0), stable_timeout_s=0.1) as on:
        on.sim.silent.add("S")
        nothing = await on.weigh("SN0001")
        on.sim.silent.clear()
        on.sim.say("S S     111.11 g")  # what SN0001 weighed, much too late
        await on.arrived()
        on.sim.load("222.22")
        result = await on.weigh("SN0002")
    assert (nothing.measured, nothing.ok, nothing.counts) == ((), None, False)
    assert "no stable weight within" in nothing.reason
    assert (result.identifier, result.measured[0].value) == ("SN0002", "222.22")
    assert on.sim.asked[-3:] == ["S", "@", "S"]


async def test_an_answer_that_comes_during_the_reset_is_swallowed() -> None:
    async with weighing(stable_timeout_s=0.1) as on:
        on.sim.silent.update({"S", "@"})
        async with asyncio.TaskGroup() as tasks:
            failing = tasks.create_task(on.weigh("SN0001"))
            await on.sim.heard("@")
            on.sim.say("S S     111.11 g", 'I4 A "0123456789"')
            nothing = await failing
    assert nothing.measured == ()


async def test_overload_is_a_result_without_a_value() -> None:
    async with weighing(low=1, high=2, unit="g") as on:
        on.sim.load(4000)
        result = await on.weigh()
    assert (result.ok, result.counts, result.reason) == (False, True, "overload")
    assert (result.measured[0].value, result.measured[0].status) == (None, "high")


async def test_the_interval_reports_news_only() -> None:
    async with weighing(trigger="interval", interval_s=0.5) as on:
        empty = await on.next()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(on.next())
            on.sim.asked.clear()
            await on.sim.heard("S")  # weighed again, and nothing new
            await on.sim.load_after_answer("5.00")
            loaded = await waiting
    assert [r.measured[0].value for r in (empty, loaded)] == ["0.00", "5.00"]


async def test_a_key_pressed_while_the_scale_is_busy_is_not_the_answer() -> None:
    async with weighing(ScaleDevice(busy_answers=1), retry_s=0.3) as on, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(on.weigh())
        await on.sim.heard("S")
        await on.sim.load_after_answer("222.22")
        on.sim.say("S S     111.11 g")
        result = await waiting
    assert result.measured[0].value == "222.22"


async def test_the_print_key_decides_when() -> None:
    async with weighing(trigger="key") as on:
        on.sim.load("7.00")
        on.sim.press_print()
        result = await on.next()
        with pytest.raises(DeviceRefused, match="print key"):
            on.device.weigh()
    assert result.measured[0].value == "7.00"
    assert "S" not in on.sim.asked


async def test_what_nobody_asked_for_is_no_result() -> None:
    async with weighing() as on:
        on.sim.press_print()
        await on.arrived()
        on.sim.load("8.00")
        result = await on.weigh()
    assert result.measured[0].value == "8.00"


async def test_a_restarted_scale_ends_the_session() -> None:
    async with weighing() as on:
        on.sim.power_cycle()
        with pytest.raises(DeviceUnavailable, match="switched off and on"):
            await on.next()


async def test_a_broken_connection_is_unavailable_and_nothing_can_be_asked_then() -> None:
    async with weighing() as on:
        on.sim.drop()
        with pytest.raises(DeviceUnavailable):
            await on.next()
    with pytest.raises(DeviceUnavailable, match="not connected"):
        on.device.weigh()


async def test_a_scale_that_cannot_weigh_is_refused() -> None:
    async with weighing() as on:
        on.sim.silent.add("S")
        on.device.weigh()
        async with asyncio.TaskGroup() as tasks:
            refusing = tasks.create_task(refused(on))
            await on.sim.heard("S")
            on.sim.say("ES")
            assert "syntax error" in await refusing


async def refused(on: Weighing) -> str:
    with pytest.raises(DeviceRefused) as error:
        await on.next()
    return str(error.value)


async def test_a_flood_is_not_a_scale() -> None:
    async with weighing() as on:
        on.sim.say("x" * 10_000)
        with pytest.raises(DeviceUnavailable, match="no scale sends"):
            await on.next()


async def test_something_else_on_the_port_is_unavailable() -> None:
    async with serve(ScaleSimulation()) as sim:
        sim.silent.add("@")
        with pytest.raises(DeviceUnavailable, match="does not answer @"):
            async with driver(sim.port, reply_timeout_s=0.1).connect(NoMemory()):
                pass


async def test_nobody_there_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(DeviceUnavailable, match="does not answer"):
        async with driver(port).connect(NoMemory()):
            pass


async def test_the_command_says_ready_and_ends_on_sigterm() -> None:
    program = "import typer; from linewitness_simulators.scale.command import command; typer.run(command)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, "--port", "0", "--settle", "0", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        ready = (await process.stdout.readline()).decode().split()
        assert ready[0] == "ready"
        async with driver(int(ready[1].rpartition(":")[2])).connect(NoMemory()) as session:
            assert session.identity["serial"] == "0123456789"
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
