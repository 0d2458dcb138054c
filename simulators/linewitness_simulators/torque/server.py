"""Run a simulated torque controller on a real socket, and let a test or a demo operate it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from linewitness.base.clock import Clock, SystemClock, from_datetime
from linewitness.base.listening import stop_accepting
from linewitness_simulators.failures import ungrouped
from linewitness_simulators.torque.control import serve_control
from linewitness_simulators.torque.controller import Controller
from linewitness_simulators.torque.device import ToolDisabledError
from linewitness_simulators.torque.dispatch import Dispatcher
from linewitness_simulators.torque.model import Inputs, ResultType, StoredResult
from linewitness_simulators.torque.options import ClientLog, TorqueFaults, TorqueOptions
from linewitness_simulators.torque.session import ClientSession
from linewitness_simulators.workplace import MadeWith, Workplace


class TorqueSimulator:
    """A running controller: operate it, look into it, disturb it.

    `faults` may be changed at any time. `ledger` is what clients were told and what they confirmed.
    `workplace` is what is really there, and `made_with` keeps it for each result that `tighten` made.
    """

    def __init__(self, options: TorqueOptions, *, clock: Clock, group: asyncio.TaskGroup) -> None:
        """Load the memory; `plug_in` opens the port."""
        self.options = options
        self.faults = TorqueFaults()
        self.ledger = ClientLog()
        self.workplace = Workplace()
        self.made_with: dict[int, MadeWith] = {}
        self.port = options.port
        self.control_port: int | None = None
        self._clock = clock
        self._group = group
        self._controller = self._load()
        self._dispatch = Dispatcher()
        self._server: asyncio.Server | None = None
        self._sessions: dict[int, tuple[asyncio.Task[None], asyncio.StreamWriter]] = {}
        self._count = 0
        self._powered = True

    def _load(self) -> Controller:
        return Controller(self.options, clock=self._clock, faults=self.faults, ledger=self.ledger)

    @property
    def url(self) -> str:
        """Where clients find the controller."""
        return f"tcp://{self.options.host}:{self.port}"

    @property
    def controller(self) -> Controller:
        """The device behind the socket, for what the methods here do not offer."""
        return self._controller

    # Operating it.

    def tighten(
        self,
        vin: str | None = None,
        *,
        ok: bool = True,
        torque: int | None = None,
        angle: int | None = None,
        rundown_angle: int | None = None,
        result_type: int = ResultType.TIGHTENING,
        at: datetime | None = None,
    ) -> int:
        """Make a result, store it durably, push it to the subscribers, and return its id.

        Torque in hundredths of a newton metre, angles in degrees; None is drawn from the seed. `at` is
        the true time of the tightening. Raises ToolDisabledError while the tool is locked.
        """
        if not self._powered:
            raise ToolDisabledError("the controller has no power")
        inputs = Inputs(ok, vin, torque, angle, rundown_angle, result_type)
        if vin:
            self.workplace.unit = vin
        # Who listens to the controller may be told of the result while it is made.
        self.made_with[self._controller.state.next_id] = self.workplace.made_with(
            self._controller.state.parameter_set
        )
        return self._controller.tighten(inputs, at_ns=None if at is None else from_datetime(at)).id

    def set_vin(self, vin: str) -> None:
        """Let a unit arrive."""
        self.workplace.unit = vin
        self._controller.identify(vin)

    def set_clock(self, moment: datetime) -> None:
        """Let the controller believe that it is this moment; its zone decides what it shows."""
        true_s = self._clock.stamp().realtime_ns / 1e9
        self._controller.shift_clock(
            from_datetime(moment) / 1e9 - true_s - self._controller.state.device_offset_s
        )

    def jump_clock(self, seconds: float) -> None:
        """Let the controller's clock jump."""
        self._controller.shift_clock(seconds)

    def purge(self, below: int | None = None) -> None:
        """Lose stored results below an id, or all; ids go on."""
        self._controller.forget(below)

    def reset(self, next_id: int = 1) -> None:
        """Lose all stored results and count from anew."""
        self._controller.forget()
        self._controller.count_from(next_id)

    def skip_ids(self, count: int) -> None:
        """Let ids pass that no result has."""
        self._controller.count_from(self._controller.state.next_id + count)

    def push_again(self, number: int, *, torque: int | None = None) -> None:
        """Tell subscribers of a stored result once more; another torque makes it a contradiction."""
        self._controller.push_again(number, torque)

    def set_sync_id(self, number: int) -> None:
        """Give the next multi-spindle result this id; after 65535 comes 0."""
        self._controller.set_sync_id(number)

    def alarm(self, code: str = "E404", text: str = "Transducer overload", count: int = 1) -> None:
        """Raise alarms: many make a storm."""
        for _ in range(count):
            self._controller.raise_alarm(code, text)

    def acknowledge_alarm(self) -> bool:
        """Let somebody acknowledge the oldest alarm at the controller."""
        return self._controller.acknowledge_alarm()

    # Looking into it.

    def results(self) -> list[StoredResult]:
        """Return every result that this station ever made, in order, whether or not it is still stored."""
        own = self.options.station.station_id
        return [made for made in self._controller.memory.made if made.station_id == own]

    def stored(self) -> list[int]:
        """Return the ids that 0064 can still find, this station's and others'."""
        return sorted(self._controller.memory.stored)

    @property
    def acked(self) -> list[int]:
        """Ids of the results that were confirmed, in the order of their first confirmation by each client."""
        return list(self._controller.memory.acked)

    @property
    def clients(self) -> int:
        """How many clients are let in."""
        return len(self._dispatch.inside)

    def subscribed(self, mid: int = 60) -> int:
        """Return how many clients hold a subscription."""
        return self._controller.subscribed(mid)

    # Disturbing it.

    def drop(self) -> None:
        """Break all connections with a reset."""
        for _, writer in self._sessions.values():
            writer.transport.abort()

    async def restart(self, down_s: float = 0.0) -> None:
        """Lose power: connections break, nothing is made for a while, and only the memory comes back."""
        await self.stop()
        await asyncio.sleep(down_s)
        if self.options.state is not None:
            self._controller = self._load()
        self._controller.alarms.clear()
        self._dispatch = Dispatcher()
        self._powered = True
        await self.plug_in()

    async def plug_in(self) -> None:
        """Open the port."""
        self._server = await asyncio.start_server(self._connected, self.options.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def unplug(self) -> None:
        """Take the network away: the port is closed, connections break, and the controller goes on."""
        server, self._server = self._server, None
        if server is not None:
            await stop_accepting(server)
        sessions = list(self._sessions.values())
        for task, writer in sessions:
            writer.transport.abort()
            task.cancel()
        if sessions:
            await asyncio.wait([task for task, _ in sessions])

    async def stop(self) -> None:
        """Take network and power away."""
        self._powered = False
        await self.unplug()
        self._controller.memory.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        session = ClientSession(number=self._count, controller=self._controller, dispatch=self._dispatch)
        task = self._group.create_task(self._serve(session, reader, writer), name=f"torque:{session.number}")
        self._sessions[session.number] = (task, writer)

    async def _serve(
        self, session: ClientSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        dispatch = self._dispatch
        try:
            await session.run(reader, writer)
        finally:
            dispatch.left(session)
            del self._sessions[session.number]

    async def run_by_itself(self) -> None:
        """Tighten once in each cycle, where a cycle time is set."""
        cycle_s = self.options.cycle_s
        while cycle_s is not None:
            await asyncio.sleep(cycle_s)
            if self._powered:
                with contextlib.suppress(ToolDisabledError):
                    self._controller.tighten_next()


@asynccontextmanager
async def serve(
    options: TorqueOptions | None = None, *, clock: Clock | None = None
) -> AsyncIterator[TorqueSimulator]:
    """Run a controller until the block ends; what the block raises comes out as it is."""
    chosen = options or TorqueOptions()
    with ungrouped():
        async with asyncio.TaskGroup() as group:
            simulator = TorqueSimulator(chosen, clock=clock or SystemClock(), group=group)
            await simulator.plug_in()
            cycle = group.create_task(simulator.run_by_itself(), name="torque:cycle")
            try:
                async with serve_control(simulator, chosen) as control_port:
                    simulator.control_port = control_port
                    yield simulator
            finally:
                cycle.cancel()
                await simulator.stop()
