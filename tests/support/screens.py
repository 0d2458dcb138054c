"""Pictures of stations, the server that shows them, and a viewer that reads its events from a socket."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal, NamedTuple

from linewitness.base.clock import Clock
from linewitness.stations.view import RequirementView, StationView
from linewitness.status import page
from linewitness.status.snapshot import Snapshot
from linewitness.status.stations.board import StationBoard
from support.waiting import until_listening

WAIT_S = 60.0


def view(station: str = "st-10", **values: Any) -> StationView:
    return StationView(station=station, **values)


def requirement(
    name: str, state: Literal["missing", "done", "not_met"] = "missing", **values: Any
) -> RequirementView:
    return RequirementView(
        **{"id": name, "kind": "tightening", "title": f"Bolt {name}", "state": state} | values
    )


class NoLine:
    """Stations are shown without a look at the journal."""

    async def snapshot(self) -> Snapshot:
        raise AssertionError("the journal was asked")


class Event(NamedTuple):
    name: str
    data: str


class Viewer:
    """One open stream of events."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.head = ""
        self._text = ""

    async def begin(self, path: str, *, method: str = "GET", host: str = "localhost") -> str:
        """Ask, and return the answer's status line and headers."""
        self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        async with asyncio.timeout(WAIT_S):
            self.head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        return self.head

    async def rest(self) -> str:
        """Return what the connection still brings, until it ends."""
        async with asyncio.timeout(WAIT_S):
            return (await self._reader.read()).decode()

    async def event(self, name: str = "picture") -> Event:
        """Return the next event of this name."""
        async with asyncio.timeout(WAIT_S):
            while True:
                while "\n\n" not in self._text:
                    self._text += await self._chunk()
                block, _, self._text = self._text.partition("\n\n")
                lines = [line.partition(": ")[::2] for line in block.split("\n")]
                event = Event(lines[0][1], "\n".join(value for key, value in lines if key == "data"))
                if event.name == name:
                    return event

    async def _chunk(self) -> str:
        size = int(await self._reader.readline(), 16)
        data = await self._reader.readexactly(size + 2)
        if not size:
            raise EOFError
        return data[:-2].decode()

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return


class Served:
    """The pages of a board on a real socket."""

    def __init__(self, board: StationBoard, port: int, task: asyncio.Task[None]) -> None:
        self.board = board
        self.port = port
        self.task = task

    @asynccontextmanager
    async def viewer(self, path: str = "/station/st-10/events", **asked: str) -> AsyncIterator[Viewer]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        viewer = Viewer(reader, writer)
        try:
            await viewer.begin(path, **asked)
            yield viewer
        finally:
            await viewer.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


async def _served(board: StationBoard, port: int, clock: Clock | None) -> None:
    await page.serve(NoLine(), host="127.0.0.1", port=port, stations=board, clock=clock)


@asynccontextmanager
async def served(
    board: StationBoard, *, clock: Clock | None = None, port: int | None = None
) -> AsyncIterator[Served]:
    """Serve a board; the end of the block is the gateway's stop."""
    port = port or free_port()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_served(board, port, clock))
        await until_listening(port)
        try:
            yield Served(board, port, task)
        finally:
            task.cancel()


class BoardElsewhere:
    """A board in the loop of another thread."""

    def __init__(self, board: StationBoard, loop: asyncio.AbstractEventLoop, port: int) -> None:
        self._board = board
        self._loop = loop
        self.port = port

    def publish(self, view: StationView) -> None:
        self._loop.call_soon_threadsafe(self._board.publish, view)


@contextmanager
def served_in_a_thread(*views: StationView, port: int | None = None) -> Iterator[BoardElsewhere]:
    """Serve these pictures while a test talks to a browser, which waits; the end is the gateway's stop."""
    board, loop, up = StationBoard(), asyncio.new_event_loop(), threading.Event()
    for each in views:
        board.publish(each)
    stop, port = asyncio.Event(), port or free_port()

    async def run() -> None:
        async with served(board, port=port):
            up.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert up.wait(WAIT_S)
        yield BoardElsewhere(board, loop, port)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
