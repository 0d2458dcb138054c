"""Share one connection between all devices behind it, so that a silent one costs the others little."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from pymodbus.pdu.pdu import ModbusPDU

from linewitness.base.clock import monotonic
from linewitness.base.errors import DeviceRefused, DeviceUnavailable
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.wire.link import (
    NOT_OPEN,
    LinkBroken,
    MalformedAnswer,
    ModbusError,
    ModbusLink,
    NoAnswer,
)
from linewitness.devices.modbus.wire.protocol import FROM_GATEWAY, exception_words

#: So many unanswered requests in a row, whoever sent them, and the connection itself is in doubt.
SILENT_LIMIT: Final = 3
#: A silent device on a shared bus is tried again after so long at first, and so long at most, in seconds.
FIRST_REST_S: Final = 1.0
LONGEST_REST_S: Final = 8.0

FRAME_GAP_CHARACTERS: Final = 3.5
CHARACTER_BITS: Final = 11
SHORTEST_FRAME_GAP_S: Final = 0.00175


@dataclass(slots=True)
class _Silence:
    """How long a silent device is left alone."""

    until: float
    rest_s: float


@dataclass(slots=True)
class _Traffic:
    """What the bus must remember between two requests."""

    unanswered: int = 0
    free_at: float = 0.0
    silent: dict[int, _Silence] = field(default_factory=dict)
    stale_until: dict[int, float] = field(default_factory=dict)


class Bus:
    """One place (host and port, or a serial port) with the connection that its devices share."""

    def __init__(self, options: ModbusOptions) -> None:
        """Prepare a bus as the first of its devices describes it; nothing is opened yet."""
        self._options = options
        self._link: ModbusLink | None = None
        self._ended = NOT_OPEN
        self._lock = asyncio.Lock()
        self._traffic = _Traffic()
        self._has_ids = options.has_transaction_ids
        self._silence_s = _silence_s(options)
        self.users = 0

    @property
    def options(self) -> ModbusOptions:
        """The options of the device that came first."""
        return self._options

    async def open(self) -> None:
        """Make sure that the connection stands. Raises DeviceUnavailable or DeviceRefused."""
        async with self._lock:
            if self._link is not None and self._link.is_open:
                return
            self.close()
            link = ModbusLink(self._options)
            await link.open()
            self._link = link

    def close(self, why: str = NOT_OPEN) -> None:
        """Close the connection; `why` is what the other devices behind it are told."""
        if self._link is not None:
            self._link.close()
            self._link = None
            self._ended = why
        self._traffic.unanswered = 0
        self._traffic.stale_until.clear()

    async def rested(self, unit: int) -> None:
        """Wait until a silent device may be tried again; at once where nobody else would suffer."""
        silence = self._traffic.silent.get(unit)
        if silence is not None and self.users > 1:
            await asyncio.sleep(max(0.0, silence.until - monotonic()))

    def is_silent(self, unit: int) -> bool:
        """Tell whether the device left its last request unanswered."""
        return unit in self._traffic.silent

    async def ask(self, request: ModbusPDU, *, timeout_s: float, pause_s: float = 0.0) -> bytes:
        """Send one request when the bus is free; the others get their turn between two of ours.

        Raises NoAnswer, MalformedAnswer, LinkBroken or ModbusError.
        """
        unit = request.dev_id
        await self._until_not_stale(unit)
        async with self._lock:
            if self._link is None:
                raise LinkBroken(self._ended)
            await _until(self._traffic.free_at + max(pause_s, self._silence_s))
            # Where the wait for the answer is cancelled, a late one may still come.
            self._traffic.stale_until[unit] = monotonic() + timeout_s
            try:
                answer = await self._link.ask(request, timeout_s)
            except MalformedAnswer:
                # The device lives. On a serial line this may be a late answer, with the right one behind it.
                stale_until = self._traffic.stale_until[unit]
                self._answered(unit)
                self._traffic.stale_until[unit] = stale_until
                raise
            except NoAnswer:
                self._unanswered(unit, timeout_s)
                raise
            except ModbusError as error:
                self._answered(unit, by_gateway=error.code in FROM_GATEWAY)
                raise
            except LinkBroken as error:
                self.close(str(error))
                raise
            self._answered(unit)
        return answer

    async def _until_not_stale(self, unit: int) -> None:
        """Wait out a late answer: in RTU it has no transaction id and could pass for the next one."""
        if not self._has_ids:
            await _until(self._traffic.stale_until.get(unit, 0.0))

    def _answered(self, unit: int, *, by_gateway: bool = False) -> None:
        traffic = self._traffic
        traffic.free_at = monotonic()
        traffic.unanswered = 0
        traffic.stale_until.pop(unit, None)
        if by_gateway:
            self._leave_alone(unit)
        else:
            traffic.silent.pop(unit, None)

    def _unanswered(self, unit: int, timeout_s: float) -> None:
        traffic = self._traffic
        traffic.free_at = monotonic()
        traffic.stale_until[unit] = traffic.free_at + timeout_s
        traffic.unanswered += 1
        self._leave_alone(unit)
        if traffic.unanswered >= SILENT_LIMIT:
            self.close(f"no answer to {traffic.unanswered} requests in a row: we closed the connection")

    def _leave_alone(self, unit: int) -> None:
        known = self._traffic.silent.get(unit)
        rest = FIRST_REST_S if known is None else min(known.rest_s * 2, LONGEST_REST_S)
        self._traffic.silent[unit] = _Silence(monotonic() + rest, rest)


def _silence_s(options: ModbusOptions) -> float:
    """Return the silence that ends a frame on a serial line: 3.5 characters, 1.75 ms above 19200 baud."""
    if options.serial is None:
        return 0.0
    return max(FRAME_GAP_CHARACTERS * CHARACTER_BITS / options.serial.baudrate, SHORTEST_FRAME_GAP_S)


async def _until(moment: float) -> None:
    if moment > (now := monotonic()):
        await asyncio.sleep(moment - now)


class Buses:
    """The buses of one line, by place: its devices of one place find each other here."""

    def __init__(self) -> None:
        """Start with none."""
        self._buses: dict[tuple[str, str], Bus] = {}

    @asynccontextmanager
    async def use(self, options: ModbusOptions) -> AsyncIterator[Bus]:
        """Give the bus of these options, open; the last user's leaving closes it.

        Raises DeviceUnavailable, or DeviceRefused where two devices describe one place differently.
        """
        key = (options.transport, options.place)
        bus = self._buses.get(key)
        if bus is None:
            bus = self._buses[key] = Bus(options)
        elif (bus.options.serial, bus.options.tls) != (options.serial, options.tls):
            raise DeviceRefused(
                f"{options.id} and {bus.options.id} describe {options.place} differently",
                hint="give both the same serial and tls settings: they share one connection",
            )
        bus.users += 1
        try:
            await bus.open()
            yield bus
        finally:
            bus.users -= 1
            if bus.users == 0:
                bus.close()
                del self._buses[key]


async def awaken(bus: Bus, request: ModbusPDU, options: ModbusOptions) -> None:
    """Make sure that the device itself answers, whatever it answers. Raises DeviceUnavailable."""
    await bus.rested(options.device_id)
    cautious = bus.users > 1 and bus.is_silent(options.device_id)
    timeout_s = min(options.dead_timeout_s, options.timeout_s) if cautious else options.timeout_s
    try:
        await bus.ask(request, timeout_s=timeout_s, pause_s=options.pause_ms / 1000)
    except ModbusError as error:
        if error.code in FROM_GATEWAY:
            raise unavailable(options, error) from None
    except (NoAnswer, LinkBroken) as error:
        raise unavailable(options, error) from None


def unavailable(options: ModbusOptions, error: Exception) -> DeviceUnavailable:
    """Return what the caller of a session must know when the device is gone."""
    unit = f"unit {options.device_id} at {options.place}"
    if isinstance(error, LinkBroken):
        return DeviceUnavailable(
            f"{options.place}: {error}",
            hint="check cable and device, and whether it takes one connection more",
        )
    if isinstance(error, ModbusError):
        return DeviceUnavailable(
            f"{unit}: {exception_words(error.code)}", hint="check device_id and the bus behind the gateway"
        )
    if isinstance(error, MalformedAnswer):
        return DeviceUnavailable(
            f"{unit} does not answer what is asked: {error}",
            hint="check device_id, and that nothing else answers on this bus",
        )
    # Where there is nothing to ask for, nothing was asked, and no time has passed.
    return DeviceUnavailable(f"{unit}: {error or 'no answer'}", hint="check power, cable and device_id")
