"""Figures as people read them, and the plot of the clock: pure functions for the page's template."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from linewitness.base.clock import to_rfc3339
from linewitness.devices.table import title_of
from linewitness.status.backlog import UNDERWAY

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 24 * _HOUR_S
_FEW: Final = 2
_KIB: Final = 1024
_MS_US: Final = 1000
_S_US: Final = 1_000_000

PLOT_WIDTH: Final = 600
PLOT_HEIGHT: Final = 80


class Plot(NamedTuple):
    """A line for an SVG of PLOT_WIDTH x PLOT_HEIGHT, and the value at its upper and lower edge."""

    points: str
    edge: str


def moment(realtime_ns: int) -> str:
    """Return a time to the second."""
    return to_rfc3339(realtime_ns)[:19].replace("T", " ")


def when(rfc3339: str, now_ns: int) -> str:
    """Return the time of day, with the date where it is not today's."""
    date, time = rfc3339[:10], rfc3339[11:19]
    return time if date == to_rfc3339(now_ns)[:10] else f"{date} {time}"


def forwarded(pending: int, uplink: str) -> str:
    """Return how much the store lacks: each receipt is a record too, which the next receipt covers."""
    if uplink == "none":
        return "No audit store configured"
    return "Up to date" if pending <= UNDERWAY else f"{number(pending)} on their way"


def driver(name: str) -> str:
    """Return a driver's name as the field writes it."""
    return title_of(name)


def duration(seconds: int | None) -> str:
    """Return a duration in its two largest fitting words, such as `3 min` or `2 days`."""
    if seconds is None:
        return "–"
    if seconds < _MINUTE_S:
        return f"{seconds} s"
    if seconds < _FEW * _HOUR_S:
        return f"{seconds // _MINUTE_S} min"
    if seconds < _FEW * _DAY_S:
        return f"{seconds // _HOUR_S} h"
    return f"{seconds // _DAY_S} days"


def hours(value: float | None) -> str:
    """Return the time that is left; nothing is promised where nothing grows."""
    if value is None:
        return "not limited by what comes now"
    return f"{duration(int(value * _HOUR_S))} left at this rate"


def size(count: int) -> str:
    """Return bytes with a binary unit."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < _KIB or unit == "TiB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"  # noqa: PLR2004 (three digits)
        value /= _KIB
    raise AssertionError


def number(count: int) -> str:
    """Return an integer in groups of three, with thin spaces."""
    return f"{count:,}".replace(",", "\u2009")


def microseconds(value: int | None) -> str:
    """Return a small time with its unit."""
    if value is None:
        return "unknown"
    if abs(value) < _MS_US:
        return f"{value} µs"
    if abs(value) < _S_US:
        return f"{value / _MS_US:.1f} ms"
    return f"{value / _S_US:.2f} s"


def plot(offsets_us: Sequence[int | None]) -> Plot | None:
    """Return the day's offsets as a line, or None where there is too little to draw."""
    known = [offset for offset in offsets_us if offset is not None]
    if len(known) < _FEW:
        return None
    edge = max(1000, *(abs(offset) for offset in known))
    step = PLOT_WIDTH / (len(offsets_us) - 1)
    middle = PLOT_HEIGHT / 2
    points = [
        f"{position * step:.1f},{middle - offset / edge * (middle - 4):.1f}"
        for position, offset in enumerate(offsets_us)
        if offset is not None
    ]
    return Plot(" ".join(points), microseconds(edge))


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "when": when,
    "forwarded": forwarded,
    "driver": driver,
    "duration": duration,
    "hours": hours,
    "size": size,
    "number": number,
    "microseconds": microseconds,
}
