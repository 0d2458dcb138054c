"""Press parts as a hydraulic press would: everything follows from the time, the set point and a seed."""

import math
import random
from dataclasses import dataclass
from typing import Final

PROFILE_POINTS: Final = 10
#: Bounds of a good part, kN and mm.
FORCE_LOW: Final = 40.0
FORCE_HIGH: Final = 60.0
POSITION_LOW: Final = 118.0
POSITION_HIGH: Final = 122.0
STROKE_MM: Final = 120.0
OVERHEATED_C: Final = 60.0
OPERATORS: Final = ("anna.b", "jonas.k", "mira.s")
CYCLES_PER_SHIFT: Final = 20


@dataclass(frozen=True, slots=True)
class Part:
    """What one cycle made."""

    cycle: int
    serial: str
    peak_kn: float
    end_mm: float
    profile: tuple[float, ...]

    @property
    def ok(self) -> bool:
        """Whether force and position are within bounds."""
        return FORCE_LOW <= self.peak_kn <= FORCE_HIGH and POSITION_LOW <= self.end_mm <= POSITION_HIGH


@dataclass(frozen=True, slots=True)
class Moment:
    """What the press's sensors show at one time."""

    force_kn: float
    position_mm: float
    temperature_c: float
    running: bool
    cycle: int
    serial: str
    operator: str
    overheated: bool


class Press:
    """A press that makes one part a cycle."""

    def __init__(self, *, seed: int, cycle_s: float) -> None:
        """Take the seed of the scatter and the length of a cycle in seconds."""
        self._seed = seed
        self._cycle_s = cycle_s

    def part(self, cycle: int, holding_bar: float) -> Part:
        """Return what the given cycle made at this holding pressure; the first cycle is 1."""
        scatter = random.Random(f"{self._seed}/{cycle}")
        peak = holding_bar * 0.4 + scatter.gauss(0, 1.5)
        end = STROKE_MM + scatter.gauss(0, 0.6)
        profile = tuple(
            round(peak * math.sin(math.pi / 2 * (step + 1) / PROFILE_POINTS), 3)
            for step in range(PROFILE_POINTS)
        )
        return Part(cycle, self.serial(cycle), round(peak, 3), round(end, 3), profile)

    def serial(self, cycle: int) -> str:
        """Return the serial number of the unit that is pressed in this cycle."""
        return f"SN{self._seed:03d}-{cycle:06d}"

    def at(self, seconds: float, holding_bar: float) -> Moment:
        """Return what the sensors show `seconds` after the start."""
        cycle = int(seconds // self._cycle_s)
        phase = seconds / self._cycle_s - cycle
        part = self.part(cycle + 1, holding_bar)
        stroke = (1 - math.cos(2 * math.pi * phase)) / 2
        force = part.peak_kn * max(0.0, stroke * 2 - 1)
        temperature = 45.0 + 10.0 * math.sin(2 * math.pi * seconds / (60 * self._cycle_s)) + part.peak_kn / 10
        return Moment(
            force_kn=round(force, 3),
            position_mm=round(part.end_mm * stroke, 3),
            temperature_c=round(temperature, 2),
            running=0.05 < phase < 0.95,
            cycle=cycle,
            serial=part.serial,
            operator=OPERATORS[cycle // CYCLES_PER_SHIFT % len(OPERATORS)],
            overheated=temperature > OVERHEATED_C,
        )
