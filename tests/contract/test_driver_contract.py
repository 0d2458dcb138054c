"""Every bundled driver keeps the contract of `devices/base.py`, against its simulator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from linewitness.devices.modbus.spec import MODBUS
from linewitness.devices.mt_sics.spec import MT_SICS
from linewitness.devices.opcua.spec import OPCUA
from linewitness.devices.open_protocol.spec import OPEN_PROTOCOL
from linewitness.devices.scanner.spec import SCANNER
from linewitness.devices.table import BUNDLED
from linewitness.testing import DeviceUnderTest, DriverContract
from linewitness_simulators import scale, scanner, torque
from linewitness_simulators.oven import server as oven_server
from linewitness_simulators.press import server as press_server

PAGES = Path(__file__).parents[2] / "docs" / "drivers"


class TestModbus(DriverContract):
    spec = MODBUS
    page = PAGES / "modbus.md"

    @asynccontextmanager
    async def device(self) -> AsyncIterator[Any]:
        options = oven_server.OvenServerOptions(cycle_s=1e9, handshake=True)
        async with oven_server.serve(options) as running:

            async def finish_a_cycle() -> None:
                running.oven.complete_cycles(1)

            yield DeviceUnderTest(
                port=running.port, speak=finish_a_cycle, confirmed=lambda: running.oven.inputs.taken_over
            )

    def settings(self, port: int) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": port,
            "period_ms": 50,
            "timeout_s": 0.5,
            "results": [
                {
                    "id": "cycle",
                    "pattern": "counter",
                    "counter": {"address": 100},
                    "handshake": 101,
                    "first_number": 0,
                    "fields": [{"id": "soak", "address": 120, "type": "uint16"}],
                }
            ],
        }


class TestOpcUa(DriverContract):
    spec = OPCUA
    page = PAGES / "opcua.md"

    @asynccontextmanager
    async def device(self) -> AsyncIterator[Any]:
        async with press_server.serve(press_server.PressSimulation(tick_s=0)) as running:
            cycles = count(1)

            async def finish_a_cycle() -> None:
                await running.finish(next(cycles))

            yield DeviceUnderTest(
                port=running.port,
                speak=finish_a_cycle,
                confirmed=lambda: running.writes.get("Acknowledged", 0),
            )

    def settings(self, port: int) -> Any:
        result = {
            "fields": [{"id": "peak", "node": "ns=2;s=Press.PeakForce"}],
            "handshake": {"node": "ns=2;s=Press.Acknowledged", "value": "trigger"},
        }
        cycle = {"id": "cycle", "node": "ns=2;s=Press.CycleCount", "record": "result", "sampling_ms": 10}
        return {
            "endpoint": f"opc.tcp://127.0.0.1:{port}",
            "publishing_ms": 50,
            "timeout_s": 3,
            "silence_s": 2,
            "points": [{**cycle, "result": result}],
        }


class TestOpenProtocol(DriverContract):
    spec = OPEN_PROTOCOL
    page = PAGES / "open_protocol.md"

    @asynccontextmanager
    async def device(self) -> AsyncIterator[Any]:
        async with torque.serve(torque.TorqueOptions()) as running:

            async def tighten() -> None:
                running.tighten()

            yield DeviceUnderTest(port=running.port, speak=tighten, confirmed=lambda: len(running.acked))

    def settings(self, port: int) -> Any:
        quick = {"request_timeout_s": 3, "keepalive_s": 0.5, "dead_after_s": 3}
        return {"host": "127.0.0.1", "port": port, "timezone": "UTC", **quick}


class TestScanner(DriverContract):
    spec = SCANNER
    page = PAGES / "scanner.md"

    @asynccontextmanager
    async def device(self) -> AsyncIterator[Any]:
        async with scanner.serve(scanner.ScannerSimulation()) as running:
            serials = count(1)

            async def read() -> None:
                await running.scan(f"SN{next(serials):04d}")

            yield DeviceUnderTest(port=running.port, speak=read)

    def settings(self, port: int) -> Any:
        return {"host": "127.0.0.1", "port": port, "heartbeat": "HB", "silence_s": 2}


class TestMtSics(DriverContract):
    spec = MT_SICS
    page = PAGES / "mt_sics.md"

    @asynccontextmanager
    async def device(self) -> AsyncIterator[Any]:
        async with scale.serve(scale.ScaleSimulation()) as running:
            loads = count(1)

            async def load() -> None:
                running.load(next(loads))

            yield DeviceUnderTest(port=running.port, speak=load)

    def settings(self, port: int) -> Any:
        quick = {"interval_s": 0.5, "reply_timeout_s": 1, "stable_timeout_s": 2}
        return {"host": "127.0.0.1", "port": port, **quick}


@pytest.mark.parametrize("spec", BUNDLED, ids=lambda spec: spec.name)
def test_every_bundled_driver_runs_the_suite(spec: Any) -> None:
    suites = [one for one in globals().values() if isinstance(one, type) and issubclass(one, DriverContract)]
    assert spec in [suite.spec for suite in suites if suite is not DriverContract]
