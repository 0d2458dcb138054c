"""One line with every driver: simulators, cables that can be cut, mosquitto, audit store, gateway."""

import asyncio
import os
import re
import signal
import sqlite3
import string
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

from linewitness.demo.broker import Mosquitto
from linewitness.demo.plant import STORE_NAME, Devices, Plant, free_port
from linewitness.testing import Proxy
from linewitness_simulators.ntp.server import NtpSimulation, RunningNtp
from linewitness_simulators.ntp.server import serve as serve_ntp
from linewitness_simulators.oven import server as oven
from linewitness_simulators.press import server as press
from linewitness_simulators.scale.device import ScaleDevice
from linewitness_simulators.scale.server import RunningScale, ScaleSimulation
from linewitness_simulators.scale.server import serve as serve_scale
from linewitness_simulators.scanner import server as scanner
from linewitness_simulators.torque import server as torque
from linewitness_simulators.torque.device import ToolDisabledError
from linewitness_simulators.torque.options import TorqueOptions
from support.lines import prepare

HERE = Path(__file__).parent
MOSQUITTO = Path("/usr/sbin/mosquitto")


class Cable(Proxy):
    """A cable that can also be slow or pulled out, with its port kept."""

    delay_s = 0.0
    _server: asyncio.Server | None = None

    async def plug_in(self) -> None:
        self._server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def pull_out(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await super().serve(reader, writer)

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, outbound: Any
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if not self.silent:
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()


class SoakBroker(Mosquitto):
    """A mosquitto that can be killed and frozen."""

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await process.wait()

    def frozen(self, wanted: bool) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP if wanted else signal.SIGCONT)


@dataclass
class Line:
    """Everything that is there, and the ledger of what was done at the devices."""

    plant: Plant
    scale: RunningScale
    ntp: RunningNtp
    cables: dict[str, Cable]
    status_port: int
    #: Set when faults must end.
    calm: asyncio.Event = field(default_factory=asyncio.Event)
    #: Held by who starts the gateway and by who leaves a wrong YAML there: it would rightly not start.
    yaml: asyncio.Lock = field(default_factory=asyncio.Lock)
    #: Processes that are away because a fault took them.
    taken: set[str] = field(default_factory=set)
    made: set[int] = field(default_factory=set)
    scanned: int = 0
    steps: int = 0
    pressure: float = 0.0

    @property
    def inside_file(self) -> Path:
        return self.plant.folder / "inside.ndjson"

    async def lasting(self, seconds: float) -> None:
        """Let a fault last, but not into the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.calm.wait()

    async def work(self, period_s: float, until: asyncio.Event) -> None:
        """Work at all devices until told otherwise."""
        while not until.is_set():
            await self.step()
            with suppress(TimeoutError):
                async with asyncio.timeout(period_s):
                    await until.wait()

    async def step(self) -> None:
        """Do something at every device; one that is switched off makes nothing."""
        devices, self.steps = self.plant.devices, self.steps + 1
        if self.steps % 8 == 1:
            self.scanned += 1
            serial = f"SN{self.scanned:06d}"
            self.scale.load(Decimal(self.scanned % 290_000) / 100 + 1)
            with suppress(ToolDisabledError, sqlite3.Error):
                devices.torque.set_vin(serial)
            if devices.scanner.clients:  # asking also makes it forget who has gone
                await devices.scanner.scan(serial)
        with suppress(ToolDisabledError):
            self.made.add(devices.torque.tighten())
        with suppress(RuntimeError):
            await devices.press.set("Holding", 100.0 + self.steps)
            self.pressure = 100.0 + self.steps
        devices.oven.oven.inputs.set_points[0] = 1000 + self.steps % 20_000


@asynccontextmanager
async def open_line(folder: Path) -> AsyncIterator[Line]:
    """Start devices, cables and broker, and enroll the gateway; gateway and store do not run yet."""
    (folder / "anchors").mkdir(parents=True)
    async with AsyncExitStack() as stack:
        broker = SoakBroker(folder, free_port(), MOSQUITTO)
        stack.push_async_callback(broker.stop)
        await broker.start()
        devices = Devices(
            torque=await stack.enter_async_context(
                torque.serve(TorqueOptions(state=folder / "controller.db"))
            ),
            scanner=await stack.enter_async_context(scanner.serve(scanner.ScannerSimulation())),
            press=await stack.enter_async_context(press.serve(press.PressSimulation(tick_s=0.25))),
            oven=await stack.enter_async_context(oven.serve(oven.OvenServerOptions())),
        )
        scale = await stack.enter_async_context(
            serve_scale(ScaleSimulation(device=ScaleDevice(serial="0123456789", settle_s=0.2)))
        )
        ntp = await stack.enter_async_context(serve_ntp(NtpSimulation()))
        plant = Plant(folder, devices, broker)
        targets = {
            "torque": devices.torque.port,
            "scanner": devices.scanner.port,
            "press": devices.press.port,
            "oven": devices.oven.port,
            "scale": scale.port,
            "uplink": broker.port,
            "store": broker.port,
        }
        cables = {name: Cable(port) for name, port in targets.items()}
        for cable in cables.values():
            await cable.plug_in()
            stack.callback(cable.pull_out)
        line = Line(plant, scale, ntp, cables, free_port())
        _write_files(line)
        plant.gateway.wrapper = (sys.executable, str(HERE / "gateway.py"))
        plant.gateway.environment = {"SOAK_INSIDE": str(line.inside_file)} | _of_the_unit() | _tracing()
        await plant.enroll(prepare)
        stack.push_async_callback(plant.store.stop)
        stack.push_async_callback(plant.gateway.kill)
        yield line


def _of_the_unit() -> dict[str, str]:
    """Return the environment in which systemd starts a gateway."""
    unit = resources.files("linewitness.install").joinpath("systemd", "linewitness@.service")
    lines = re.findall(r"^Environment=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def _tracing() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PYTHONTRACEMALLOC",) if name in os.environ}


def _write_files(line: Line) -> None:
    text = string.Template((HERE / "line.yaml").read_text(encoding="utf-8"))
    ports = {name: str(cable.port) for name, cable in line.cables.items()}
    line.plant.line_file.write_text(
        text.substitute(ports, ntp=str(line.ntp.port), status=str(line.status_port)), encoding="utf-8"
    )
    line.plant.store_file.write_text(
        f"database: sqlite:///store.db\nname: {STORE_NAME}\nkey: {{file: store.key}}\n"
        f"mqtt: {{url: mqtt://127.0.0.1:{ports['store']}, keepalive_s: 5}}\n",
        encoding="utf-8",
    )
