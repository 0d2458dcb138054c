"""Put the simulated scale on a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal

from linewitness.base.clock import monotonic
from linewitness.base.listening import stop_accepting
from linewitness_simulators.scale.device import ScaleDevice


@dataclass(frozen=True, kw_only=True)
class ScaleSimulation:
    """Where the scale is found."""

    host: str = "127.0.0.1"
    port: int = 0
    device: ScaleDevice = field(default_factory=ScaleDevice)


class RunningScale:
    """A scale that is switched on, and what can go wrong with it."""

    def __init__(self, options: ScaleSimulation) -> None:
        """Start with an empty pan and nobody connected."""
        self.changed = asyncio.Event()
        self._heard = asyncio.Event()
        self._answered = asyncio.Event()
        self.port = options.port
        self.device = options.device
        self.asked: list[str] = []
        self.silent: set[str] = set()
        self._clients: dict[asyncio.StreamWriter, str] = {}

    def load(self, grams: Decimal | str | int) -> None:
        """Put something else on the pan."""
        self.device.load(grams, monotonic())
        self.changed.set()

    async def load_after_answer(self, grams: Decimal | str | int) -> None:
        """Put something else on the pan once every command was answered."""
        while any(self._clients.values()):
            self._answered.clear()
            await self._answered.wait()
        self.load(grams)

    def press_print(self) -> None:
        """Press the print key: the scale says its weight without being asked."""
        self.say(*(self.device.answer("SI", monotonic()) or []))

    def power_cycle(self) -> None:
        """Switch the scale off and on behind its serial converter: the connection stays."""
        self._clients = dict.fromkeys(self._clients, "")
        self.say(self.device.power_up())

    def say(self, *lines: str) -> None:
        """Send lines that nobody asked for."""
        for writer in self._clients:
            writer.write("".join(f"{line}\r\n" for line in lines).encode("ascii"))

    async def heard(self, command: str) -> None:
        """Wait until this is the newest command."""
        while not self.asked or self.asked[-1] != command:
            self._heard.clear()
            await self._heard.wait()

    def drop(self) -> None:
        """Break all connections at once."""
        for writer in list(self._clients):
            writer.transport.abort()

    def ask(self, writer: asyncio.StreamWriter, command: str) -> None:
        """Take a command; the newest one replaces what is still awaited, as in the device."""
        self.asked.append(command)
        self._heard.set()
        self._clients[writer] = "" if command in self.silent else command
        self.changed.set()

    def settle(self) -> None:
        """Answer what can be answered now."""
        now = monotonic()
        for writer, command in list(self._clients.items()):
            lines = self.device.answer(command, now) if command else None
            if lines is not None:
                self._clients[writer] = ""
                self._answered.set()
                writer.write("".join(f"{line}\r\n" for line in lines).encode("ascii"))

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it hangs up."""
        self._clients[writer] = ""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                line = await reader.readuntil(b"\n")
                self.ask(writer, line.decode("ascii", "replace").strip())
        self._clients.pop(writer, None)
        writer.close()


@contextlib.asynccontextmanager
async def serve(options: ScaleSimulation) -> AsyncIterator[RunningScale]:
    """Switch the scale on."""
    running = RunningScale(options)
    async with asyncio.TaskGroup() as tasks:
        server = await asyncio.start_server(
            lambda reader, writer: _started(tasks, running, reader, writer), options.host, options.port
        )
        running.port = server.sockets[0].getsockname()[1]
        answering = tasks.create_task(_answering(running), name="scale:answers")
        try:
            yield running
        finally:
            await stop_accepting(server)
            running.drop()
            answering.cancel()


def _started(
    tasks: asyncio.TaskGroup,
    running: RunningScale,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    tasks.create_task(running.client(reader, writer), name="scale:client")


async def _answering(running: RunningScale) -> None:
    while True:
        running.settle()
        running.changed.clear()
        wait_s = max(running.device.stable_at() - monotonic(), 0.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s or None):
                await running.changed.wait()
