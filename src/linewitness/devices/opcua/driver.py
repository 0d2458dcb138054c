"""Reach one OPC UA server, again and again, with one session at a time."""

import contextlib
from collections.abc import AsyncIterator

from ulid import ULID

from linewitness.base.clock import Clock, Stamp
from linewitness.devices.base import Memory
from linewitness.devices.context import DriverContext
from linewitness.devices.opcua.backfill.recall import Recall
from linewitness.devices.opcua.connection.client import opened
from linewitness.devices.opcua.connection.failures import spoken
from linewitness.devices.opcua.connection.server import ask_server
from linewitness.devices.opcua.monitor import plan
from linewitness.devices.opcua.options import OpcUaOptions
from linewitness.devices.opcua.session import OpcUaSession


class OpcUaDriver:
    """How to reach one server. Between sessions it holds only what it heard last."""

    def __init__(self, options: OpcUaOptions, *, clock: Clock) -> None:
        """Keep the options; nothing is opened yet."""
        self._options = options
        self._clock = clock
        self._contact: Stamp | None = None
        self._overlay: dict[str, str | None] = {}

    @property
    def device(self) -> str:
        """The device's id in the YAML."""
        return self._options.id

    @contextlib.asynccontextmanager
    async def connect(self, memory: Memory) -> AsyncIterator[OpcUaSession]:
        """Open a session and subscribe; the session before it was closed when its context ended."""
        async with opened(self._options, self._clock) as client:
            with spoken(self._options):
                server = await ask_server(client)
            session = OpcUaSession(
                client=client,
                options=self._options,
                clock=self._clock,
                session_id=str(ULID()),
                server=server,
                items=plan(self._options, server),
                recall=Recall(memory, self._overlay),
                contact=self._contact,
            )
            await session.start()
            try:
                yield session
            finally:
                self._contact = session.contact


def build(options: OpcUaOptions, context: DriverContext) -> OpcUaDriver:
    """Return the driver of one server."""
    return OpcUaDriver(options, clock=context.clock)
