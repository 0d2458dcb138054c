"""Put the press on a real socket as an OPC UA server, with faults that tests and people can switch on."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from asyncua.common.callback import CallbackType
from asyncua.server.history import HistoryDict

from linewitness.base.clock import NS_PER_S, Clock, SystemClock
from linewitness.devices.opcua.decoding.times import moment_of
from linewitness_simulators.failures import ungrouped
from linewitness_simulators.press.alarms import AlarmBell, Auditor
from linewitness_simulators.press.device import Part, Press
from linewitness_simulators.press.flood import Flood
from linewitness_simulators.press.library import make_server, ua
from linewitness_simulators.press.nodes import NAMESPACE, SPOTS, Spot, add, build
from linewitness_simulators.press.secure import Users, secure
from linewitness_simulators.press.wire import NetworkCable, laid

APPLICATION_URI: Final = "urn:linewitness:simulator"
#: The value after which the server's queue lost some (OPC 10000-4, 7.39.1: data value, overflow).
OVERFLOWED: Final = 0x480


@dataclass(frozen=True, kw_only=True)
class PressSimulation:
    """How a press is simulated."""

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    cycle_s: float = 4.0
    #: Seconds between two looks at the sensors; 0: nothing moves but what a test sets.
    tick_s: float = 0.1
    #: Further signals `Signal0`, `Signal1` …, all changed at every tick.
    extra: int = 0
    #: Names of variables that the server lacks.
    missing: frozenset[str] = frozenset()
    history: bool = False
    audit: bool = False
    #: Folder of the server's certificate and key, made when there are none; None: no security.
    certificates: Path | None = None
    #: Folder of client certificates that are let in; None: all are.
    trusted_clients: Path | None = None
    #: Passwords by user; a certificate in a user's name does as well. Empty: everybody is let in.
    users: dict[str, str] = field(default_factory=dict)
    clock_offset_s: float = 0.0


class RunningPress:
    """A press that is reachable, and what a test may do to it."""

    def __init__(self, options: PressSimulation, clock: Clock) -> None:
        """Build nothing yet."""
        self.options = options
        self.clock_offset_s = options.clock_offset_s
        #: Seconds by which the report of a write comes after the change that it made.
        self.audit_delay_s = 0.0
        self.wire = NetworkCable()
        self.port = 0
        #: How often the press has moved on.
        self.ticks = 0
        self.writes: dict[str, int] = {}
        self._clock = clock
        self._press = Press(seed=options.seed, cycle_s=options.cycle_s)
        self._server: Any = None
        self._nodes: dict[str, Any] = {}
        self._index = 0
        self._object: Any = None
        self._history = HistoryDict()
        self._values: dict[str, Any] = {spot.name: spot.start for spot in SPOTS}
        self._began = clock.stamp().boottime_ns
        self._cycle = 0
        self._bell: AlarmBell | None = None
        self._flood: Flood | None = None
        self._auditor: Auditor | None = None

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"opc.tcp://{self.options.host}:{self.port}"

    @property
    def server(self) -> Any:
        """The server that runs now."""
        if self._server is None:
            raise RuntimeError("the press is switched off")
        return self._server

    @property
    def sessions(self) -> int:
        """How many sessions clients have open."""
        return len(self.server.iserver._external_sessions)  # noqa: SLF001 - the library counts them nowhere else

    def now(self) -> Any:
        """Return the press's own idea of the time."""
        stamp = self._clock.stamp()
        return moment_of(stamp.realtime_ns + int(self.clock_offset_s * NS_PER_S))

    async def switch_on(self) -> None:
        """Start the server with an empty address space and the values it had."""
        server = make_server(user_manager=Users(self.options.users))
        server.iserver.disabled_clock = True  # the library's clock cannot be wrong, ours can
        server.iserver.bind_condition_methods = True
        await server.init()
        await server.set_application_uri(APPLICATION_URI)
        server.set_server_name("Linewitness press")
        server.set_endpoint(f"opc.tcp://{self.options.host}:0")
        server.iserver.min_session_timeout_ms = 1000
        await secure(
            server, self.options.certificates, self.options.trusted_clients, APPLICATION_URI, self._clock
        )
        self._index, self._nodes, self._object = await build(
            server, missing=self.options.missing, extra=self.options.extra, history=self.options.history
        )
        server.iserver.history_manager.set_storage(self._history)
        server.subscribe_server_callback(CallbackType.PostWrite, self._written)
        self._server = server
        signals = [node for name, node in self._nodes.items() if name.startswith("Signal")]
        self._flood = Flood(server, signals) if signals else None
        self._bell = AlarmBell(server, self._object)
        self._auditor = await Auditor.hired(server) if self.options.audit else None
        for name, value in list(self._values.items()):
            if name in self._nodes:
                await self.set(name, value)
        await self._tell_time()
        await server.start()
        if server.bserver is None:
            raise RuntimeError("the server did not start")
        self.wire.lead_to(self.options.host, server.bserver.port)

    async def switch_off(self) -> None:
        """Stop the server as a restart or a power cut of the PLC would."""
        server, self._server = self._server, None
        if server is not None:
            # The library's sessions outlive its sockets; their clients only see the socket go.
            for session in list(server.iserver._external_sessions.values()):  # noqa: SLF001 - it lists them nowhere else
                await session.close_session(True)
            await server.stop()
        self.wire.cut()

    async def restart(self) -> None:
        """Switch off and on again."""
        await self.switch_off()
        await self.switch_on()

    def silence(self) -> None:
        """Let all subscriptions die without a word, while the server goes on answering."""
        for subscription in self.server.iserver.subscription_service.subscriptions.values():
            if subscription.pub_request_callback is not None and subscription._task is not None:  # noqa: SLF001 - dying is no service of the library
                subscription._task.cancel()  # noqa: SLF001 - the same

    async def set(
        self, name: str, value: Any, *, status: int = 0, source: Any = None, record: bool = True
    ) -> None:
        """Change a value as the PLC program would; `source` is its stamp, now if left out."""
        node = self._nodes[name]
        kind = next((spot.type for spot in SPOTS if spot.name == name), ua.VariantType.Double)
        self._values[name] = value
        stamp = self.now()
        content = ua.DataValue(
            ua.Variant(value, kind),
            StatusCode=ua.StatusCode(status),
            SourceTimestamp=source or stamp,
            ServerTimestamp=stamp,
        )
        await self.server.write_attribute_value(node.nodeid, content)
        if record and self.options.history:
            await self._remember(node, content)

    async def _remember(self, node: Any, content: Any) -> None:
        if node.nodeid not in self._history._datachanges:  # noqa: SLF001 - it raises for a node it knows
            await self._history.new_historized_node(node.nodeid, None)
        await self._history.save_node_value(node.nodeid, content)

    async def overflow(self, name: str, value: Any) -> None:
        """Deliver a value that says that older ones were lost in the server's queue."""
        await self.set(name, value, status=OVERFLOWED)

    async def reveal(self, name: str) -> None:
        """Create a variable that was missing."""
        spot: Spot = next(spot for spot in SPOTS if spot.name == name)
        self._nodes[name] = await add(self._object, self._index, spot, history=self.options.history)

    async def alarm(self, name: str, *, active: bool, acked: bool = False, **more: str) -> None:
        """Report a condition: `comment` and `user` say who acknowledged it."""
        if self._bell is not None:
            await self._bell.ring(name, active=active, acked=acked, time=self.now(), **more)

    def part(self, cycle: int) -> Part:
        """Return what a cycle made, or would make, at the set point that holds now."""
        return self._press.part(cycle, float(self._values["Holding"]))

    def value(self, name: str) -> Any:
        """Return what a variable holds, whoever wrote it."""
        held = self.server.read_attribute_value(self._nodes[name].nodeid).Value
        return held.Value if held else None

    async def _written(self, event: Any, _dispatcher: Any = None) -> None:
        if not event.is_external:
            return
        names = {node.nodeid: name for name, node in self._nodes.items()}
        for write in event.request_params.NodesToWrite:
            name = names.get(write.NodeId)
            if name is None:
                continue
            before, self._values[name] = self._values.get(name), write.Value.Value.Value
            self.writes[name] = self.writes.get(name, 0) + 1
            stamped = dataclasses.replace(write.Value, SourceTimestamp=self.now(), ServerTimestamp=self.now())
            if self.options.history:
                await self._remember(self._nodes[name], stamped)
            if self._auditor is not None:
                await asyncio.sleep(self.audit_delay_s)
                user = event.user.name if event.user else None
                await self._auditor.written(write, before=before, user=user or "", time=self.now())

    async def run(self) -> None:
        """Move the press and its clock on until cancelled."""
        pause = self.options.tick_s or 0.1
        while True:
            await asyncio.sleep(pause)
            if self._server is None:
                continue
            await self._tell_time()
            if self.options.tick_s:
                await self.tick()

    async def _tell_time(self) -> None:
        stamp = self.now()
        content = ua.DataValue(
            ua.Variant(stamp, ua.VariantType.DateTime), SourceTimestamp=stamp, ServerTimestamp=stamp
        )
        node = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)
        await self.server.write_attribute_value(node, content)

    async def tick(self) -> None:
        """Bring all variables up to date."""
        self.ticks += 1
        seconds = (self._clock.stamp().boottime_ns - self._began) / NS_PER_S
        holding = float(self._values["Holding"])
        moment = self._press.at(seconds, holding)
        await self._show(
            Force=moment.force_kn,
            Position=moment.position_mm,
            Temperature=moment.temperature_c,
            Running=moment.running,
            Serial=moment.serial,
            Operator=moment.operator,
        )
        if self._flood is not None:
            await self._flood.rise(moment.force_kn, self.now())
        if moment.cycle > self._cycle:
            self._cycle = moment.cycle
            await self.finish(moment.cycle)

    async def finish(self, cycle: int) -> None:
        """Complete a part: its values first, then the counter that says that they stand."""
        part = self.part(cycle)
        await self._show(
            PeakForce=part.peak_kn, EndPosition=part.end_mm, PartOk=part.ok, Profile=list(part.profile)
        )
        await self._show(CycleCount=part.cycle)

    async def _show(self, **values: Any) -> None:
        for name, value in values.items():
            if name in self._nodes and self._values.get(name) != value:
                await self.set(name, value)


@contextlib.asynccontextmanager
async def serve(options: PressSimulation, *, clock: Clock | None = None) -> AsyncIterator[RunningPress]:
    """Run a press; yields it once clients can connect."""
    running = RunningPress(options, clock or SystemClock())
    await running.switch_on()
    try:
        async with laid(running.wire, options.host, options.port) as running.port:
            with ungrouped():
                async with asyncio.TaskGroup() as group:
                    task = group.create_task(running.run(), name="press")
                    try:
                        yield running
                    finally:
                        task.cancel()
    finally:
        await running.switch_off()


__all__ = ["NAMESPACE", "PressSimulation", "RunningPress", "serve"]
