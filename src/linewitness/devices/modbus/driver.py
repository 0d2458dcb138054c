"""Poll one Modbus device on a steady grid, block by block."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from types import MappingProxyType
from typing import Final

from ulid import ULID

from linewitness.base.clock import NS_PER_S, Clock, Stamp
from linewitness.base.errors import DeviceError
from linewitness.devices.base import Gap, Memory, Observation
from linewitness.devices.context import DriverContext
from linewitness.devices.giving_way import TelemetryAdmission
from linewitness.devices.modbus.absence import Absence
from linewitness.devices.modbus.commands import Commands
from linewitness.devices.modbus.device_clock import DeviceClock
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.points import ModbusPoint
from linewitness.devices.modbus.polling.blocks import BlockState, Origin
from linewitness.devices.modbus.polling.plan import RegisterBlock, limits_of, plan
from linewitness.devices.modbus.polling.rounds import Rounds
from linewitness.devices.modbus.results import ResultPoller
from linewitness.devices.modbus.wire.bus import Buses, awaken, unavailable
from linewitness.devices.modbus.wire.link import LinkBroken, ModbusError, NoAnswer
from linewitness.devices.modbus.wire.protocol import Table
from linewitness.devices.modbus.wire.reader import Reader
from linewitness.devices.polling import PollFigures, PollGrid

#: What stands for the device's clock among the ids of points, none of which has a space.
CLOCK: Final = "the clock"


def build(options: ModbusOptions, context: DriverContext) -> "ModbusDriver":
    """Return the driver of one device; devices of a line that name the same place share its connection."""
    return ModbusDriver(options, clock=context.clock, buses=context.shared(Buses))


class ModbusDriver:
    """How to reach one Modbus device."""

    def __init__(self, options: ModbusOptions, *, clock: Clock, buses: Buses) -> None:
        """Plan the reads; nothing is opened yet."""
        self._options = options
        self._clock = clock
        self._buses = buses
        self._blocks = plan(options.points, limits_of(options))
        self._last_read: Stamp | None = None

    @property
    def device(self) -> str:
        """The device's id in the YAML."""
        return self._options.id

    @asynccontextmanager
    async def connect(self, memory: Memory) -> AsyncIterator["ModbusSession"]:
        """Open a session: the connection stands and the device itself has answered.

        Raises DeviceUnavailable, or DeviceRefused where its certificate is not trusted.
        """
        async with self._buses.use(self._options) as bus:
            reader = Reader(bus, self._options)
            await awaken(bus, reader.probe_request(*self._somewhere()), self._options)
            session = ModbusSession(
                self._options,
                reader=reader,
                blocks=self._blocks,
                clock=self._clock,
                last_read=self._last_read,
            )
            await session.recall(memory)
            try:
                yield session
            finally:
                self._last_read = session.last_read

    def _somewhere(self) -> tuple[Table, int]:
        """Return a place to ask for a sign of life."""
        if self._blocks:
            return self._blocks[0].table, self._blocks[0].first
        for result in self._options.results:
            return "holding", result.fifo if result.fifo is not None else result.numbered_by.address
        return "holding", 0


class ModbusSession:
    """One connection to a device, polling."""

    def __init__(
        self,
        options: ModbusOptions,
        *,
        reader: Reader,
        blocks: tuple[RegisterBlock[ModbusPoint], ...],
        clock: Clock,
        last_read: Stamp | None,
    ) -> None:
        """Start with the planned blocks; `last_read` is when the session before this one last read them."""
        self._session_id = str(ULID())
        self._options = options
        self._clock = clock
        self._grid = PollGrid(period_s=options.period_ms / 1000, clock=clock)
        self.last_read = last_read
        self.known_until: Stamp | None = None
        self._broken: DeviceError | None = None
        origin = Origin(
            device=options.id,
            session_id=self._session_id,
            order=options.order,
            repeat_ns=options.repeat_s * NS_PER_S,
        )
        self._commands = Commands(options, reader)
        self._rounds = Rounds(blocks, origin=origin, reader=reader, clock=clock, last_read=last_read)
        self._results = [
            ResultPoller(each, options, origin=origin, reader=reader, clock=clock) for each in options.results
        ]
        self._absence = Absence(options, origin=origin, clock=clock, last_read=last_read)
        self._admission = TelemetryAdmission(self._grid, has_evidence=self._absence.has_evidence)
        self._device_clock = (
            DeviceClock(options.clock, origin=origin, reader=reader, clock=clock) if options.clock else None
        )

    @property
    def session_id(self) -> str:
        """Name this connection."""
        return self._session_id

    @property
    def identity(self) -> Mapping[str, str]:
        """Where the device is; Modbus itself says no more."""
        return MappingProxyType({"place": self._options.place, "unit": str(self._options.device_id)})

    @property
    def polls(self) -> PollFigures:
        """How many polls were due, and how many of them were not made."""
        return self._grid.figures

    def missed_polls(self, *, final: bool = False) -> Gap | None:
        """Return, once, which polls of evidence were not made."""
        missed = self._grid.report(final=final)
        if missed is None or not self._absence.has_evidence:
            return None
        return missed.gap(self._options.id, self._session_id)

    @property
    def refused_points(self) -> Mapping[str, str] | None:
        """Why the device does not give points, results or its clock; None while not all were asked for."""
        refused = self._rounds.refused_points
        others = {each.id: each.refusal for each in self._results}
        if self._device_clock is not None:
            others[CLOCK] = self._device_clock.refusal
        if refused is None or None in others.values():
            return None
        return refused | {name: why for name, why in others.items() if why}

    async def recall(self, memory: Memory) -> None:
        """Learn from the memory which results are durable."""
        await self._absence.load(memory)
        for results in self._results:
            await results.load(memory, self.last_read)

    async def confirm(self, observation: Observation) -> None:
        """Write back the number of a durable result. Raises DeviceUnavailable or DeviceRefused."""
        try:
            for results in self._results:
                if results.waits_for(observation):
                    await results.confirm(observation)
        except DeviceError as error:
            # The PLC would wait forever for what cannot be written: end the session, not only this call.
            self._broken = error
            raise

    async def command(self, point: str | None, value: str) -> str:
        """Write a point for a gate, and return what reading it back gives."""
        return await self._commands.write(point, value)

    async def observations(self) -> AsyncIterator[Observation]:
        """Yield what is new, tick by tick, until DeviceUnavailable or DeviceRefused is raised."""
        for gap in self._absence.gaps():
            yield gap
        while True:
            await self._grid.tick()
            if self._broken is not None:
                raise self._broken
            begun = self._clock.stamp()
            try:
                async with aclosing(self._round()) as found:
                    async for observation in found:
                        with self._grid.handing_over():
                            yield observation
            except (NoAnswer, LinkBroken, ModbusError) as error:
                raise unavailable(self._options, error) from None
            self.last_read = self.known_until = begun
            if (missed := self.missed_polls()) is not None:
                yield missed
            if (sign := self._absence.sign_of_life(begun)) is not None:
                yield sign

    async def _round(self) -> AsyncGenerator[Observation, None]:
        """Ask for everything once, evidence first, and yield what is new."""
        if self._device_clock is not None and (notice := await self._device_clock.look()) is not None:
            yield notice
        for state in self._rounds.evidence:
            for observation in await self._visit(state):
                yield observation
        for results in self._results:
            with self._grid.asking():
                found = await results.poll()
            for observation in found:
                yield observation
        async with aclosing(self._telemetry()) as signals:
            async for observation in signals:
                yield observation

    async def _telemetry(self) -> AsyncGenerator[Observation, None]:
        """Ask for the blocks of signals alone, as long as the next round's evidence will be in time."""
        self._admission.begin()
        for state in self._rounds.telemetry:
            if not self._admission.admits():
                self._rounds.resume_with(state)
                return
            for observation in await self._visit(state):
                yield observation
        self._rounds.resume_with(None)

    async def _visit(self, state: BlockState) -> list[Observation]:
        with self._admission.asking():
            return await self._rounds.visit(state)
