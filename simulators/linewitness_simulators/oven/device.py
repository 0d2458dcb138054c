"""A curing oven: zones that follow their set points, cycles that end with a result. No I/O.

Everything that the oven says follows from the time, what was written to it, and a seed.

| table | address | what |
|---|---|---|
| input | 0-3 | zone temperatures, int16, 0.1 °C |
| input | 4 | humidity, uint16, 0.1 % |
| input | 5 | status bits: 0 heating, 1 door open, 2 too hot, 3 cycle running |
| input | 6-7 | power in kW, float32 (ABCD) |
| input | 8-9 | energy in Wh, uint32 (CDAB) |
| input | 10 | state: 0 idle, 1 heating, 2 soaking, 3 cooling |
| input | 11 | firmware, four BCD digits |
| holding | 0 | program |
| holding | 1-4 | set points of the zones, int16, 0.1 °C |
| holding | 10-19 | batch, 20 characters |
| holding | 100 | number of the published result, uint16 |
| holding | 101 | number of the result that was taken over, written by the reader |
| holding | 110-122 | the published result, laid out as below |
| holding | 200 | number of the newest result in the ring, uint16 |
| holding | 210-337 | ring of 8 results, 16 registers each; result n is in slot n modulo 8 |
| holding | 400 | FIFO queue of (number, peak, ok), the newest 10; holding 401 takes the number taken over |
| coil | 0-1 | door open, fan |
| discrete | 0-1 | door open, too hot |

A result: 8 registers of text (the unit's serial number), float32 peak in °C, uint16 soak time in s,
uint16 ok, uint16 number.
"""

import math
import random
import struct
from dataclasses import dataclass, field

ZONES = 4
RING_SLOTS = 8
RING_STRIDE = 16
RING_START = 210
QUEUE_LENGTH = 10
AMBIENT_C = 22.0
WARM_UP_S = 60.0
TOO_HOT_C = 240.0


class NoSuchAddress(Exception):
    """The oven has no such register."""


class BadValue(Exception):
    """The oven does not take this value."""


@dataclass(frozen=True, slots=True)
class CycleResult:
    """What a cycle ended with."""

    number: int
    serial: str
    peak_c: float
    soak_s: int
    ok: bool

    def registers(self) -> list[int]:
        """Return the thirteen registers of the result."""
        text = self.serial.encode("ascii").ljust(16, b"\0")
        rest = struct.pack(">fHHH", self.peak_c, self.soak_s, self.ok, self.number & 0xFFFF)
        return list(struct.unpack(">13H", text + rest))


@dataclass(slots=True)
class OvenInputs:
    """What people and readers did to the oven."""

    program: int = 1
    set_points: list[int] = field(default_factory=lambda: [1800, 1850, 1850, 1800])
    batch: str = "LOT-0001"
    door_open: bool = False
    fan: bool = True
    taken_over: int = 0
    taken_from_queue: int = 0


class Oven:
    """The oven at one moment; `advance` moves the time."""

    def __init__(self, *, seed: int = 1, cycle_s: float = 10.0, handshake: bool = False) -> None:
        """Start cold; with `handshake` a result is published only when the one before was taken over."""
        self.inputs = OvenInputs()
        self._seed = seed
        self._cycle_s = cycle_s
        self._handshake = handshake
        self._now = 0.0
        self._published = 0
        self._more = 0

    @property
    def completed(self) -> int:
        """How many cycles have ended."""
        return int(self._now / self._cycle_s) + self._more

    @property
    def published(self) -> int:
        """The number of the result that is shown."""
        return self._published

    def advance(self, now_s: float) -> None:
        """Move to a time in seconds since the oven was switched on; never back."""
        self._now = max(self._now, now_s)
        if not self._handshake:
            self._published = self.completed
        elif self._published < self.completed and self.inputs.taken_over == self._published & 0xFFFF:
            self._published += 1

    def complete_cycles(self, count: int = 1) -> None:
        """End cycles now, whatever the time is."""
        self._more += count
        self.advance(self._now)

    def result(self, number: int) -> CycleResult:
        """Return the result of a cycle: always the same for the same number and seed."""
        noise = random.Random(f"{self._seed}:{number}")
        peak = struct.unpack(">f", struct.pack(">f", round(noise.uniform(178.0, 192.0), 1)))[0]
        return CycleResult(
            number, f"OV{self._seed:02d}-{number:06d}", peak, noise.randint(280, 320), peak < 190
        )

    def read(self, table: str, first: int, count: int) -> list[int]:
        """Return registers (or bits as 0 and 1). Raises NoSuchAddress."""
        values = self._tables()[table]
        try:
            return [values[address] for address in range(first, first + count)]
        except KeyError:
            raise NoSuchAddress from None

    def queue(self, address: int) -> list[int]:
        """Return what is in the FIFO queue at an address. Raises NoSuchAddress."""
        if address != 400:
            raise NoSuchAddress
        newest = self.completed
        oldest = max(self.inputs.taken_from_queue + 1, newest - QUEUE_LENGTH + 1)
        results = [self.result(number) for number in range(oldest, newest + 1)]
        return [word for each in results for word in (each.number & 0xFFFF, round(each.peak_c * 10), each.ok)]

    def write(self, table: str, first: int, values: list[int]) -> None:
        """Set registers or coils. Raises NoSuchAddress or BadValue."""
        for address, value in enumerate(values, start=first):
            self._write_one(table, address, value)
        self.advance(self._now)

    def temperature_c(self, zone: int) -> float:
        """Return the temperature of a zone, 0 to 3."""
        target = self.inputs.set_points[zone] / 10
        warm = 1 - math.exp(-self._now / WARM_UP_S)
        noise = random.Random(f"{self._seed}:{zone}:{int(self._now * 2)}").uniform(-0.4, 0.4)
        return AMBIENT_C + (target - AMBIENT_C) * warm + noise

    def _write_one(self, table: str, address: int, value: int) -> None:
        inputs = self.inputs
        if table == "coil" and address in (0, 1):
            setattr(inputs, ("door_open", "fan")[address], bool(value))
        elif table == "holding" and address == 0:
            if not 1 <= value <= 99:
                raise BadValue
            inputs.program = value
        elif table == "holding" and 1 <= address <= ZONES:
            inputs.set_points[address - 1] = _signed(value)
        elif table == "holding" and address == 101:
            inputs.taken_over = value
        elif table == "holding" and address == 401:
            inputs.taken_from_queue = value
        else:
            raise NoSuchAddress

    def _tables(self) -> dict[str, dict[int, int]]:
        return {
            "input": dict(enumerate(self._live())),
            "holding": self._holding(),
            "coil": {0: int(self.inputs.door_open), 1: int(self.inputs.fan)},
            "discrete": {0: int(self.inputs.door_open), 1: int(self._too_hot())},
        }

    def _live(self) -> list[int]:
        temperatures = [round(self.temperature_c(zone) * 10) & 0xFFFF for zone in range(ZONES)]
        humidity = 300 + random.Random(f"{self._seed}:h:{int(self._now)}").randint(-20, 20)
        heating = self.temperature_c(0) < self.inputs.set_points[0] / 10 - 1
        status = heating | self.inputs.door_open << 1 | self._too_hot() << 2 | 1 << 3
        power = struct.unpack(">HH", struct.pack(">f", 12.1 if heating else 3.3))
        energy_high, energy_low = divmod(int(self._now * 2), 1 << 16)
        return [*temperatures, humidity, status, *power, energy_low, energy_high, 1 if heating else 2, 0x0312]

    def _too_hot(self) -> bool:
        return any(self.temperature_c(zone) > TOO_HOT_C for zone in range(ZONES))

    def _holding(self) -> dict[int, int]:
        values = {0: self.inputs.program, 401: self.inputs.taken_from_queue}
        values |= {1 + zone: point & 0xFFFF for zone, point in enumerate(self.inputs.set_points)}
        text = self.inputs.batch.encode("ascii").ljust(20, b"\0")
        values |= dict(enumerate(struct.unpack(">10H", text), start=10))
        values |= {100: self._published & 0xFFFF, 101: self.inputs.taken_over, 200: self.completed & 0xFFFF}
        if self._published:
            values |= dict(enumerate(self.result(self._published).registers(), start=110))
        else:
            values |= dict.fromkeys(range(110, 123), 0)
        return values | self._ring()

    def _ring(self) -> dict[int, int]:
        values = dict.fromkeys(range(RING_START, RING_START + RING_SLOTS * RING_STRIDE), 0)
        newest = self.completed
        for number in range(max(1, newest - RING_SLOTS + 1), newest + 1):
            start = RING_START + number % RING_SLOTS * RING_STRIDE
            values |= dict(enumerate(self.result(number).registers(), start=start))
        return values


def _signed(value: int) -> int:
    return value - 0x10000 if value >= 0x8000 else value
