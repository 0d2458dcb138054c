"""Take over the results that a PLC keeps: each once, in order, and say which were lost."""

from collections import deque
from collections.abc import Sequence

from linewitness.base.clock import Clock, Stamp
from linewitness.base.errors import DeviceRefused
from linewitness.devices.base import Gap, Memory, Notice, Observation, Result, Seen
from linewitness.devices.modbus.numbering import Advance, Position, advance
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.polling.blocks import Origin, Trip
from linewitness.devices.modbus.polling.composing import Composed, Composer
from linewitness.devices.modbus.polling.plan import limits_of
from linewitness.devices.modbus.result_options import ModbusResult
from linewitness.devices.modbus.sources import registers_of, source_of
from linewitness.devices.modbus.wire.bus import unavailable
from linewitness.devices.modbus.wire.link import LinkBroken, ModbusError, NoAnswer
from linewitness.devices.modbus.wire.protocol import FROM_GATEWAY, NOT_WRITABLE, exception_words
from linewitness.devices.modbus.wire.reader import Reader


class ResultPoller:
    """One source of results in one session."""

    def __init__(
        self, options: ModbusResult, device: ModbusOptions, *, origin: Origin, reader: Reader, clock: Clock
    ) -> None:
        """Prepare to take over results; `load` says where the last session stopped."""
        self.id = options.id
        self._options = options
        self._device = device
        self._origin = origin
        self._reader = reader
        self._clock = clock
        self._composer = Composer(options, device.order)
        self._source = source_of(options, reader, limits_of(device), device.order)
        self._name = f"{device.id}/{options.id}"
        self._key = f"result/{options.id}"
        self._last: Position | None = None
        self._first_round = True
        #: Why the number of the newest result is refused; "" where it is not, None before it was asked for.
        self._trouble: str | None = None
        #: Why the last result that was asked for is refused.
        self._unreadable = ""
        self._last_read: Stamp | None = None
        self._unconfirmed: deque[tuple[Observation, int]] = deque()

    @property
    def refusal(self) -> str | None:
        """Why the device does not give results now, "" where it does; None before it was asked."""
        if self._trouble is None:
            return None
        return self._trouble or self._unreadable

    async def load(self, memory: Memory, last_read: Stamp | None) -> None:
        """Recall the last result that is durable, and when the session before this one looked last."""
        stored = await memory.get(self._key)
        self._last = Position.parse(stored) if stored else None
        self._last_read = last_read

    async def poll(self) -> list[Observation]:
        """Ask for news and return them. Raises NoAnswer, LinkBroken or the gateway's ModbusError."""
        sent = self._clock.stamp()
        try:
            stock = await self._source.stock()
        except ModbusError as error:
            if error.code in FROM_GATEWAY:
                raise
            return self._troubled(exception_words(error.code), sent)
        self._trouble = ""
        news: list[Observation] = []
        if stock.newest is not None:
            step = advance(self._last, stock.newest, held=stock.held, modulus=self._options.modulus)
            news = await self._take(step, stock.newest, sent)
        self._first_round = False
        self._last_read = sent
        return news

    async def confirm(self, observation: Observation) -> None:
        """Write the number of a durable result back. Raises DeviceUnavailable or DeviceRefused."""
        while self._unconfirmed:
            waiting, number = self._unconfirmed.popleft()
            if waiting is observation:
                await self._write_back(number)
                return

    def waits_for(self, observation: Observation) -> bool:
        """Tell whether this observation came from here and is not confirmed yet."""
        return any(waiting is observation for waiting, _ in self._unconfirmed)

    async def _take(self, step: Advance, newest: int, sent: Stamp) -> list[Observation]:
        news: list[Observation] = []
        if step.reset:
            news.append(self._new_epoch(newest, sent))
        if step.lost:
            news.append(self._gap(step.lost, "overwritten before they could be read", sent))
        news += [await self._fetch(position, sent) for position in step.fresh]
        if self._last is None:
            self._last = Position(0, newest)
        if self._first_round and not news:
            news += await self._left_unconfirmed(sent)
        return news

    async def _fetch(self, position: Position, sent: Stamp) -> Observation:
        try:
            pieces = await self._source.fetch(position.number)
        except ModbusError as error:
            if error.code in FROM_GATEWAY:
                raise
            self._unreadable = exception_words(error.code)
            return self._gap([position], f"cannot be read: {self._unreadable}", sent)
        self._unreadable = ""
        if pieces is None:
            return self._gap([position], "overwritten while it was read", sent)
        composed = self._composer.compose(pieces)
        if composed.number is not None and composed.number != position.number:
            return self._gap([position], f"its place holds result {composed.number}", sent)
        self._last = position
        return self._expected(self._result(position, composed, pieces, sent), position.number)

    async def _left_unconfirmed(self, sent: Stamp) -> list[Observation]:
        """Find a result that is durable but was never written back: the gateway stopped in between."""
        register, last = self._options.handshake, self._last
        if register is None or last is None or last.number == 0:
            return []
        expected = registers_of(self._options.numbered_by, last.number, self._device.order)
        if await self._written(register, len(expected)) == expected:
            return []
        trip = self._trip(sent)
        seen = Seen(
            device=self._origin.device,
            session_id=self._origin.session_id,
            received=trip.received,
            when=trip.sampled(),
            confirmable=True,
        )
        self._unconfirmed.append((seen, last.number))
        return [seen]

    async def _written(self, register: int, count: int) -> list[int] | None:
        """Return what stands in the handshake register, None where the device lets it only be written."""
        try:
            data = await self._reader.read("holding", register, count)
        except ModbusError as error:
            if error.code in FROM_GATEWAY:
                raise
            return None
        return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]

    def _expected(self, result: Result, number: int) -> Result:
        if result.confirmable:
            self._unconfirmed.append((result, number))
        return result

    def _result(
        self, position: Position, composed: Composed, pieces: Sequence[tuple[int, bytes, object]], sent: Stamp
    ) -> Result:
        trip = self._trip(sent)
        return Result(
            device=self._origin.device,
            session_id=self._origin.session_id,
            received=trip.received,
            when=trip.changed(self._last_read),
            raw=b"".join(data for _, data, _ in pieces),
            remember={self._key: str(position)},
            confirmable=self._options.handshake is not None,
            backfilled=self._first_round,
            kind="measurement.result",
            source=self._name,
            epoch=position.epoch,
            result_id=str(position.number),
            identifier=composed.identifier,
            ok=composed.ok,
            decided_by=self._options.decided_by,
            measured=composed.measured,
            facts=composed.facts,
            decoded=not composed.troubles,
            reason="; ".join(composed.troubles),
        )

    def _gap(self, lost: Sequence[Position], reason: str, sent: Stamp) -> Gap:
        self._last = lost[-1]
        trip = self._trip(sent)
        return Gap(
            device=self._origin.device,
            session_id=self._origin.session_id,
            received=trip.received,
            when=trip.changed(self._last_read),
            remember={self._key: str(lost[-1])},
            source=self._name,
            first=str(lost[0].number),
            last=str(lost[-1].number),
            count=len(lost),
            reason=reason,
        )

    def _new_epoch(self, newest: int, sent: Stamp) -> Notice:
        old = self._last or Position(0, 0)
        self._last = Position(old.epoch + 1, 0)
        trip = self._trip(sent)
        return Notice(
            device=self._origin.device,
            session_id=self._origin.session_id,
            received=trip.received,
            when=trip.changed(self._last_read),
            remember={self._key: str(self._last)},
            kind="source.epoch",
            resource_type="source",
            resource_id=self._name,
            changes=(
                ("epoch", old.epoch, self._last.epoch),
                ("number", str(old.number), str(newest)),
            ),
            reason="the device began to number its results anew",
        )

    def _troubled(self, words: str, sent: Stamp) -> list[Observation]:
        """Return that the results cannot be read at all, once until they can."""
        if self._trouble == words:
            return []
        self._trouble = words
        trip = self._trip(sent)
        gap = Gap(
            device=self._origin.device,
            session_id=self._origin.session_id,
            received=trip.received,
            when=trip.sampled(),
            source=self._name,
            first=str(self._last.number + 1) if self._last else None,
            last=None,
            reason=f"the results cannot be read: {words}",
        )
        return [gap]

    async def _write_back(self, number: int) -> None:
        register = self._options.handshake
        if register is None:
            return
        values = registers_of(self._options.numbered_by, number, self._device.order)
        try:
            await self._reader.write(register, values)
        except ModbusError as error:
            if error.code not in NOT_WRITABLE:
                raise unavailable(self._device, error) from None
            raise DeviceRefused(
                f"{self._device.id}: {self._name} cannot be confirmed in holding {register}: "
                f"{exception_words(error.code)}",
                hint="check handshake: it must be a register that the PLC lets others write",
            ) from None
        except (NoAnswer, LinkBroken) as error:
            # Crash here, or fail: the result is durable; the next session finds it unconfirmed.
            raise unavailable(self._device, error) from None

    def _trip(self, sent: Stamp) -> Trip:
        return Trip(sent=sent, received=self._clock.stamp())
