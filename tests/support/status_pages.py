"""A line to look at, and how tests ask its pages, without a server."""

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from linewitness.gateway.clock_watch import ClockBoard
from linewitness.journal.generations.ended import EndedRest
from linewitness.journal.journal import Journal
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.status.health import Health
from linewitness.status.page import application
from linewitness.status.rows import DeviceFacts, LineFacts
from linewitness.status.snapshot import Overview
from linewitness.status.stations.board import StationBoard
from support.clocks import ManualClock
from support.journals import create, running

FACTS = LineFacts(
    name="Axle <carriers>",
    tenant="acme",
    plant="ber-01",
    line="line-02",
    gateway="gw-02",
    stream="acme.example/ber-01/line-02/1",
    version="1.2.3",
    devices=(
        DeviceFacts("wrench-10", "open_protocol", "Four bolts", "st-10"),
        DeviceFacts("press-4", "opcua", "", None),
    ),
    stations=(("st-10", "Bolting"), ("st-20", "")),
)


class Looked:
    """A running journal with health, clock and pages around it."""

    def __init__(
        self,
        journal: Journal,
        buffer: TelemetryBuffer,
        clock: ManualClock,
        rests: tuple[EndedRest, ...] = (),
    ) -> None:
        self.journal, self.buffer, self.clock = journal, buffer, clock
        self.health, self.board, self.expiries = Health(), ClockBoard(), ()
        self.stations = StationBoard()
        self.overview = Overview(
            journal=journal,
            telemetry=buffer,
            health=self.health,
            board=self.board,
            clock=clock,
            line=lambda: FACTS,
            expiries=lambda: self.expiries,
            rests=rests,
        )

    async def get(
        self, path: str, *, host: str = "127.0.0.1:8460", method: str = "GET"
    ) -> tuple[int, dict[str, str], str]:
        """Return status, headers and text of an answer."""
        self.overview._taken = float("-inf")
        sent = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", host.encode())],
            "server": ("127.0.0.1", 8460),
            "client": ("127.0.0.1", 50_000),
        }
        await application(self.overview, self.stations, clock=self.clock)(scope, receive, send)
        headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], headers, body.decode()


@asynccontextmanager
async def looked_at(directory: Path, clock: ManualClock) -> AsyncIterator[Looked]:
    create(directory, clock)
    buffer = TelemetryBuffer(directory, max_bytes=2**20)
    try:
        async with running(directory, clock) as journal:
            yield Looked(journal, buffer, clock)
    finally:
        buffer.close()
