"""Compare a device's own clock with ours now and then, and say how far it is ahead."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from linewitness.base.clock import NS_PER_MS, NS_PER_S, Clock, from_datetime, monotonic
from linewitness.devices.base import Notice, When
from linewitness.devices.modbus.clock_options import ModbusClock
from linewitness.devices.modbus.points import Order
from linewitness.devices.modbus.polling import rounds
from linewitness.devices.modbus.polling.blocks import Origin, Trip
from linewitness.devices.modbus.polling.decode import struct_order, swapped, swaps_bytes
from linewitness.devices.modbus.polling.numbers import bcd
from linewitness.devices.modbus.wire.link import ModbusError
from linewitness.devices.modbus.wire.protocol import FROM_GATEWAY, exception_words
from linewitness.devices.modbus.wire.reader import Reader

#: A clock that moved by less than this against what was last said is no news: it counts in seconds.
NEWS_MS: Final = 1500
BCD_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What a clock shows: the Unix time of its middle, half of its resolution, and the text for people."""

    unix_ns: int
    half_ns: int
    text: str


def read_clock(options: ModbusClock, order: Order, data: bytes) -> ClockReading:
    """Return what the registers show; ValueError says why that is no time."""
    order = options.order or order
    turned = swapped(data) if swaps_bytes(order) else data
    byteorder: Literal["big", "little"] = "big" if struct_order(order) == ">" else "little"
    if options.form in ("unix", "unix-ms"):
        number = int.from_bytes(turned, byteorder)
        unit_ns = NS_PER_S if options.form == "unix" else NS_PER_MS
        return ClockReading(number * unit_ns + unit_ns // 2, unit_ns // 2, str(number))
    fields = [int.from_bytes(turned[at : at + 2], byteorder) for at in range(0, len(turned), 2)]
    if options.form == "fields-bcd":
        decimal = [bcd(field, BCD_DIGITS) for field in fields]
        fields = [field for field in decimal if field is not None]
        if len(fields) != len(decimal):
            raise ValueError("the registers hold no decimal digits")
    year, month, day, hour, minute, second = fields
    local = datetime(year, month, day, hour, minute, second, tzinfo=options.zone)
    half_ns = NS_PER_S // 2
    return ClockReading(from_datetime(local) + half_ns, half_ns, f"{local:%Y-%m-%dT%H:%M:%S}")


class DeviceClock:
    """One device's clock and what was last said of it in this session."""

    def __init__(self, options: ModbusClock, *, origin: Origin, reader: Reader, clock: Clock) -> None:
        """Look for the first time at once."""
        self._options = options
        self._origin = origin
        self._reader = reader
        self._clock = clock
        self._due: float | None = None
        self._told: int | str | None = None
        #: Why the device refuses the registers now, "" where it gives them; None before it was asked.
        self.refusal: str | None = None

    async def look(self) -> Notice | None:
        """Read the clock if it is time to, and return what is new.

        Raises NoAnswer or LinkBroken when the device is gone, ModbusError when its gateway says so.
        """
        if self._due is not None and monotonic() < self._due:
            return None
        self._due = monotonic() + self._options.every_s
        sent = self._clock.stamp()
        try:
            data = await self._reader.read(self._options.table, self._options.address, self._options.width)
            shown = read_clock(self._options, self._origin.order, data)
        except ModbusError as error:
            if error.code in FROM_GATEWAY:
                raise
            why = exception_words(error.code)
            self.refusal = f"{self._options.table} {self._options.address}: {why}"
            # Asked again as soon as points are: the problem ends when it is over, not at the next comparison.
            self._due = monotonic() + min(self._options.every_s, rounds.MISSING_RETRY_S)
            return self._trouble(why, Trip(sent=sent, received=self._clock.stamp()))
        except ValueError as error:
            self.refusal = ""
            return self._trouble(str(error), Trip(sent=sent, received=self._clock.stamp()))
        self.refusal = ""
        return self._measured(shown, Trip(sent=sent, received=self._clock.stamp()))

    def _measured(self, shown: ClockReading, trip: Trip) -> Notice | None:
        # The request took as long as the answer, as far as we know: the clock was read half way.
        half_trip_ns = (trip.received.boottime_ns - trip.sent.boottime_ns) // 2
        offset_ms = (shown.unix_ns - (trip.received.realtime_ns - half_trip_ns)) // NS_PER_MS
        before = self._told if isinstance(self._told, int) else None
        if before is not None and abs(offset_ms - before) < NEWS_MS:
            return None
        self._told = offset_ms
        unc_ms = (shown.half_ns + half_trip_ns) // NS_PER_MS + 1
        return self._notice(
            trip,
            "the device's clock was compared with the gateway's",
            (("offset_ms", before, offset_ms), ("offset_unc_ms", None, unc_ms)),
            device_time=shown.text,
            offset_ms=offset_ms,
        )

    def _trouble(self, why: str, trip: Trip) -> Notice | None:
        """Say once that the clock cannot be read."""
        if self._told == why:
            return None
        before = self._told if isinstance(self._told, int) else None
        self._told = why
        reason = f"the device's clock cannot be read: {why}, at {self._options.table} {self._options.address}"
        return self._notice(trip, reason, (("offset_ms", before, None),))

    def _notice(
        self,
        trip: Trip,
        reason: str,
        changes: tuple[tuple[str, int | None, int | None], ...],
        *,
        device_time: str | None = None,
        offset_ms: int | None = None,
    ) -> Notice:
        sampled = trip.sampled()
        return Notice(
            device=self._origin.device,
            session_id=self._origin.session_id,
            received=trip.received,
            when=When(
                occurred_ns=sampled.occurred_ns,
                occurred_from="poll",
                unc_ms=sampled.unc_ms,
                device_time=device_time,
                device_offset_ms=offset_ms,
            ),
            kind="clock.status",
            resource_type="device",
            resource_id=self._origin.device,
            changes=changes,
            reason=reason,
        )
