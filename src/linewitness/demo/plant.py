"""The demo's plant: simulated devices in this process; broker, store and gateway in their own."""

import asyncio
import itertools
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from linewitness.base.clock import monotonic
from linewitness.base.errors import LinewitnessError
from linewitness.demo.broker import Broker, EmbeddedBroker, Mosquitto
from linewitness.journal.reader import JournalReader
from linewitness.store.keys import Cosigner

if TYPE_CHECKING:
    from linewitness.config import Config
    from linewitness_simulators.oven.server import RunningOvens
    from linewitness_simulators.press.server import RunningPress
    from linewitness_simulators.scanner.server import RunningScanner
    from linewitness_simulators.torque.server import TorqueSimulator

STORE_NAME: Final = "store.demo.example"
START_S: Final = 20.0
_PORTS: Final = {"torque": "24545", "scanner": "22001", "press": "24840", "oven": "20502", "broker": "21883"}
_VKEY: Final = "store.demo.example+af2add38+BMkzGYD25lzCqldM5FG44mXDTFMW14TNvrzAd3lV0hRW"


class DemoFailed(LinewitnessError):
    """A part of the demo did not do what it should."""


@dataclass(frozen=True, slots=True)
class Devices:
    """The simulated devices, with the handles to operate them."""

    torque: "TorqueSimulator"
    scanner: "RunningScanner"
    press: "RunningPress"
    oven: "RunningOvens"


class Process:
    """One `linewitness` process, its output in a file.

    `wrapper` is a command that starts it in turn (strace, setpriv), `environment` is added to ours.
    """

    def __init__(self, name: str, folder: Path, *arguments: str) -> None:
        """Describe the process; `start` starts it."""
        self.name = name
        self.wrapper: tuple[str, ...] = ()
        self.environment: dict[str, str] = {}
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, as often as you like one after the other."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.wrapper,
                sys.executable,
                "-m",
                "linewitness",
                *self._arguments,
                cwd=self._folder,
                env=os.environ | self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def running(self) -> bool:
        """Return whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process's id."""
        if self._process is None:
            raise DemoFailed(f"{self.name} was not started")
        return self._process.pid

    async def run(self) -> str:
        """Start it and wait for its end; DemoFailed with its output unless it ends with 0."""
        await self.start()
        code = await self.wait()
        text = self.log.read_text(encoding="utf-8")
        if code != 0:
            raise DemoFailed(f"{self.name} ended with {code}: {text}")
        return text

    async def wait(self) -> int:
        """Wait for its end and return its exit code."""
        if self._process is None:
            return 0
        return await self._process.wait()

    async def kill(self) -> None:
        """End it without any warning: SIGKILL."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask it to stop and wait for its end; return its exit code."""
        await self._end(signal.SIGTERM)
        return await self.wait()

    async def _end(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()


class Plant:
    """Everything that the demo starts, in one folder."""

    def __init__(self, folder: Path, devices: Devices, broker: Broker) -> None:
        """Use `open_plant` instead."""
        self.folder = folder
        self.devices = devices
        self.broker = broker
        self.line_file = folder / "line.yaml"
        self.store_file = folder / "store.yaml"
        self.gateway = Process("gateway", folder, "run", str(self.line_file))
        self.store = Process("store", folder, "store", "run", str(self.store_file))

    @property
    def config(self) -> "Config":
        """The line's configuration."""
        from linewitness.config import load  # noqa: PLC0415 (costs time, and only the demo asks)

        return load(self.line_file)

    def journal(self) -> JournalReader:
        """Open the gateway's journal to look into it."""
        return JournalReader(self.folder / "journal")

    async def command(self, name: str, *arguments: str) -> str:
        """Run one command of `linewitness` to its end and return what it printed."""
        return await Process(name, self.folder, *arguments).run()

    async def own_process(self, *arguments: str) -> str:
        """Run one command in a process of its own; its log has the command's name."""
        name = "-".join(itertools.takewhile(str.isalpha, arguments))
        return await self.command(name, *arguments)

    async def enroll(self, command: Callable[..., Awaitable[object]] | None = None) -> None:
        """Make store and stream, and let them know each other.

        `command` runs one command of `linewitness`, given its words; in a process of its own unless told
        otherwise.
        """
        command = command or self.own_process
        await command("store", "init", str(self.store_file))
        text = self.line_file.read_text(encoding="utf-8")
        self.line_file.write_text(text.replace(_VKEY, str(self.cosigner().vkey)), encoding="utf-8")
        await command("init", str(self.line_file))
        with self.journal() as journal:
            log_vkey, record_0 = str(journal.log_vkey), journal.record_0_hash
        line = self.config.line
        await command(
            *("store", "enroll", str(self.store_file), "--tenant", line.tenant, "--gateway", line.gateway),
            *("--log-vkey", log_vkey, "--record0", record_0),
        )

    def cosigner(self) -> Cosigner:
        """Return the store's key."""
        from linewitness.base.secrets import Secret  # noqa: PLC0415 (as above)

        return Cosigner.load(STORE_NAME, Secret(file=self.folder / "store.key"))

    async def receipted(self, size: int, *, timeout_s: float = 60.0) -> None:
        """Wait until a receipt covers at least `size` records."""
        deadline = monotonic() + timeout_s
        with self.journal() as journal:
            while journal.figures().receipted < size:
                if monotonic() > deadline:
                    raise DemoFailed(f"no receipt over {size} records within {timeout_s:.0f} s")
                await asyncio.sleep(0.1)


@asynccontextmanager
async def open_plant(folder: Path, *, mosquitto: bool | None = None) -> AsyncIterator[Plant]:
    """Start devices and broker, and write the files of line and store into an empty folder.

    `mosquitto` chooses the broker: True for mosquitto, False for the embedded one, None for whatever is
    there.
    """
    _empty(folder)
    async with AsyncExitStack() as stack:
        broker = _broker(folder, free_port(), mosquitto=mosquitto)
        stack.push_async_callback(broker.stop)
        await broker.start()
        devices = await _devices(stack, folder)
        plant = Plant(folder, devices, broker)
        _write_files(plant)
        stack.push_async_callback(plant.store.stop)
        stack.push_async_callback(plant.gateway.kill)
        yield plant


def _empty(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _broker(folder: Path, port: int, *, mosquitto: bool | None) -> Broker:
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found and mosquitto is not False:
        return Mosquitto(folder, port, Path(found))
    if mosquitto:
        raise DemoFailed("mosquitto is not installed", hint="apt-get install mosquitto")
    return EmbeddedBroker(folder, port)


async def _devices(stack: AsyncExitStack, folder: Path) -> Devices:
    from linewitness_simulators.oven import server as oven  # noqa: PLC0415 (simulators only where simulated)
    from linewitness_simulators.press import server as press  # noqa: PLC0415
    from linewitness_simulators.scanner import server as scanner  # noqa: PLC0415
    from linewitness_simulators.torque import server as torque  # noqa: PLC0415
    from linewitness_simulators.torque.options import TorqueOptions  # noqa: PLC0415

    return Devices(
        torque=await stack.enter_async_context(torque.serve(TorqueOptions(state=folder / "controller.db"))),
        scanner=await stack.enter_async_context(scanner.serve(scanner.ScannerSimulation())),
        press=await stack.enter_async_context(press.serve(press.PressSimulation())),
        oven=await stack.enter_async_context(oven.serve(oven.OvenServerOptions())),
    )


def _write_files(plant: Plant) -> None:
    text = resources.files("linewitness.demo").joinpath("line.yaml").read_text(encoding="utf-8")
    ports = {
        "torque": plant.devices.torque.port,
        "scanner": plant.devices.scanner.port,
        "press": plant.devices.press.port,
        "oven": plant.devices.oven.port,
        "broker": plant.broker.port,
    }
    for name, port in ports.items():
        text = text.replace(_PORTS[name], str(port))
    protocol = f'protocol: "{plant.broker.protocol}"'
    text = text.replace("\nuplink:\n", f"\nuplink:\n  {protocol}\n")
    plant.line_file.write_text(text.replace("demo-run/journal", "journal"), encoding="utf-8")
    plant.store_file.write_text(
        f"database: sqlite:///store.db\nname: {STORE_NAME}\nkey: {{file: store.key}}\n"
        f"mqtt: {{url: mqtt://127.0.0.1:{plant.broker.port}, {protocol}}}\n",
        encoding="utf-8",
    )


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
