"""Read all blocks of a device, one round a tick, around the holes that turn up."""

from collections.abc import Iterable

from linewitness.base.clock import Clock, Stamp, monotonic
from linewitness.devices.base import Observation
from linewitness.devices.modbus.points import ModbusPoint
from linewitness.devices.modbus.polling.blocks import BlockState, EvidencePoint, Origin, Trip
from linewitness.devices.modbus.polling.plan import RegisterBlock, split
from linewitness.devices.modbus.wire.link import MalformedAnswer, ModbusError, NoAnswer
from linewitness.devices.modbus.wire.protocol import (
    DIVISIBLE,
    FROM_GATEWAY,
    ILLEGAL_FUNCTION,
    exception_words,
)
from linewitness.devices.modbus.wire.reader import Reader

#: What does not exist is tried again so rarely, in seconds: somebody may load another program.
MISSING_RETRY_S = 60.0
SILENT_WORDS = "the device answers elsewhere, but not for this register"
MALFORMED_WORDS = "the device's answer is not what was asked for"


class Rounds:
    """The blocks of one session and what became of them."""

    def __init__(
        self,
        blocks: Iterable[RegisterBlock[ModbusPoint]],
        *,
        origin: Origin,
        reader: Reader,
        clock: Clock,
        last_read: Stamp | None,
    ) -> None:
        """Begin with the planned blocks; `last_read` is when the session before this one last read them."""
        self._origin = origin
        self._reader = reader
        self._clock = clock
        self._known: dict[str, EvidencePoint] = {}
        self._states = [self._state(block, last_read) for block in blocks]
        self._resume: BlockState | None = None
        self._answering = self._states[0].block if self._states else None

    @property
    def blocks(self) -> tuple[RegisterBlock[ModbusPoint], ...]:
        """The blocks as they are read now."""
        return tuple(state.block for state in self._states)

    @property
    def refused_points(self) -> dict[str, str] | None:
        """Why the device does not give points, by their ids; None while not all were asked for."""
        refused = {}
        for state in self._states:
            if state.refusal is None:
                return None
            if state.refusal:
                for point in state.block.points:
                    refused[point.id] = f"{point.table} {point.address}: {state.refusal}"
        return refused

    @property
    def evidence(self) -> tuple[BlockState, ...]:
        """The blocks with evidence, which are visited in each round."""
        return tuple(state for state in self._states if state.has_evidence)

    @property
    def telemetry(self) -> tuple[BlockState, ...]:
        """The blocks of signals alone, first the one at which the last round ended."""
        found = [state for state in self._states if not state.has_evidence]
        at = found.index(self._resume) if self._resume in found else 0
        return (*found[at:], *found[:at])

    def resume_with(self, state: BlockState | None) -> None:
        """Begin the next round's signals with this block; None: with the first one."""
        self._resume = state

    def _state(self, block: RegisterBlock[ModbusPoint], last_read: Stamp | None) -> BlockState:
        return BlockState(block, self._origin, self._known, last_read=last_read)

    async def visit(self, state: BlockState) -> list[Observation]:
        """Read one block and return what is new.

        Raises NoAnswer or LinkBroken when the device is gone, ModbusError when its gateway says so.
        """
        if state.retry_at is not None and monotonic() < state.retry_at:
            return []
        sent = self._clock.stamp()
        try:
            data = await self._fetch(state.block)
        except ModbusError as error:
            if error.code in FROM_GATEWAY:
                raise
            words, absent = exception_words(error.code), error.code in DIVISIBLE
            for_long = absent or error.code == ILLEGAL_FUNCTION
        except _SilentHere as silent:
            words, absent, for_long = str(silent), True, True
        else:
            state.retry_at, state.refusal = None, ""
            return list(state.take(data, Trip(sent=sent, received=self._clock.stamp())))
        if absent and len(state.block.points) > 1:
            return await self._divide(state)
        state.retry_at = monotonic() + MISSING_RETRY_S if for_long else None
        state.refusal = words
        return list(state.take_failure(words, Trip(sent=sent, received=self._clock.stamp())))

    async def _divide(self, state: BlockState) -> list[Observation]:
        """Replace a block of which a part is missing by smaller ones, and read these now."""
        state.settle()
        smaller = [self._state(part, state.last_read) for part in split(state.block)]
        at = self._states.index(state)
        self._states[at : at + 1] = smaller
        return [observation for part in smaller for observation in await self.visit(part)]

    async def _fetch(self, block: RegisterBlock[ModbusPoint]) -> bytes:
        """Read a block; find out whether a silence is the device's or only this block's."""
        try:
            data = await self._reader.read(block.table, block.first, block.count)
        except NoAnswer:
            await self._ping()
            # It lives. One lost answer is no reason to cut the block to pieces: ask once more.
            try:
                data = await self._reader.read(block.table, block.first, block.count)
            except NoAnswer as error:
                await self._ping()
                malformed = isinstance(error, MalformedAnswer)
                raise _SilentHere(f"{MALFORMED_WORDS}: {error}" if malformed else SILENT_WORDS) from None
        self._answering = block
        return data

    async def _ping(self) -> None:
        """Ask where the device answered last. Raises NoAnswer if it does not now."""
        place = self._answering
        if place is None:
            raise NoAnswer
        try:
            await self._reader.read(place.table, place.first, 1)
        except ModbusError as error:
            if error.code in FROM_GATEWAY:
                raise


class _SilentHere(Exception):
    """The device answers, but not for this block; the text says what is wrong there."""
