"""What one answer of a time source proves: an interval in which UTC lay, if the source's claim holds."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from linewitness.base.clock import NS_PER_S, Stamp

DAY_NS: Final = 86_400 * NS_PER_S


class Leap(StrEnum):
    """A leap second that a source announces for the end of the day."""

    NONE = "none"
    INSERT = "insert"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """UTC minus CLOCK_BOOTTIME lies from `low_ns` to `high_ns`, both included."""

    low_ns: int
    high_ns: int

    @property
    def width_ns(self) -> int:
        """How little is known."""
        return self.high_ns - self.low_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One good answer.

    It is kept against CLOCK_BOOTTIME, which nobody steps: `utc_ns` is UTC at `boottime_ns`, wrong by at most
    `half_ns` if the source's claim holds. A step of CLOCK_REALTIME later on cannot spoil it.
    """

    source: str
    boottime_ns: int
    utc_ns: int
    half_ns: int
    offset_ns: int
    delay_ns: int
    root_dispersion_ns: int
    stratum: int
    reference: str
    leap: Leap = Leap.NONE

    def interval(self, boottime_ns: int, drift_ppm: int) -> Interval:
        """Return what the sample still says at another time; the oscillator is off by `drift_ppm` at most."""
        middle = self.utc_ns - self.boottime_ns
        drift_ns = abs(boottime_ns - self.boottime_ns) * drift_ppm // 1_000_000 + 1
        half = self.half_ns + drift_ns
        low, high = middle - half, middle + half
        if self._is_before_leap(boottime_ns, half):
            low -= NS_PER_S * (self.leap is Leap.INSERT)
            high += NS_PER_S * (self.leap is Leap.DELETE)
        return Interval(low_ns=low, high_ns=high)

    def _is_before_leap(self, boottime_ns: int, half_ns: int) -> bool:
        """Return whether an announced leap second may lie between the sample and this boot time."""
        if self.leap is Leap.NONE:
            return False
        midnight_ns = (self.utc_ns // DAY_NS + 1) * DAY_NS
        latest_ns = self.utc_ns + (boottime_ns - self.boottime_ns) + half_ns
        return latest_ns >= midnight_ns - NS_PER_S


class SourceSilent(Exception):
    """The source gave no usable answer; the text says why."""


class SourceDeclined(SourceSilent):
    """The source asks not to be asked (a kiss of death), with its code."""

    def __init__(self, code: str) -> None:
        """Keep the four letters: RATE means less often, others mean never."""
        super().__init__(f"asks not to be asked: {code}")
        self.code = code


class TimeSource(Protocol):
    """Somebody who can be asked for the time."""

    @property
    def name(self) -> str:
        """How people know it."""

    async def ask(self) -> Sample:
        """Return one good answer; SourceSilent if there is none."""


class StampSource(Protocol):
    """The part of a clock that is needed here."""

    def stamp(self) -> Stamp:
        """Read both clocks now."""
