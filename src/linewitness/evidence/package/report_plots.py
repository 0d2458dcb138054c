"""Draw what the report shows: a time axis of devices, and measured values between their limits, as SVG."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 960
_LEFT: Final = 170
_RIGHT: Final = 20
_LANE: Final = 30
_TICKS: Final = 5
_PLOT_WIDTH: Final = 460
_PLOT_HEIGHT: Final = 170
_MARGIN: Final = 34


@dataclass(frozen=True, slots=True)
class Mark:
    """One record on the time axis: `time_s` Unix seconds; `tone` is `plain`, `ok`, `nok` or `gap`."""

    lane: str
    time_s: float
    tone: str
    label: str


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A stretch of time in which a device was not heard."""

    lane: str
    first_s: float
    last_s: float
    label: str


@dataclass(frozen=True, slots=True)
class PlottedValue:
    """One measured value with its limits, as numbers only for drawing."""

    label: str
    value: float
    low: float | None
    high: float | None
    good: bool


def time_axis(marks: Sequence[Mark], spans: Sequence[TimeSpan], *, tick_label: Callable[[float], str]) -> str:
    """Return an SVG with a lane for each device, or nothing if there is nothing to draw."""
    if not marks:
        return ""
    lanes = sorted({mark.lane for mark in marks} | {span.lane for span in spans})
    first = min(mark.time_s for mark in marks)
    last = max(*(mark.time_s for mark in marks), first + 1.0)
    height = _LANE * len(lanes) + 40

    def x(time_s: float) -> float:
        place = min(max((time_s - first) / (last - first), 0.0), 1.0)
        return _LEFT + place * (WIDTH - _LEFT - _RIGHT)

    def y(lane: str) -> float:
        return _LANE * (lanes.index(lane) + 0.5)

    parts = [_svg(WIDTH, height, "Records of each device over time")]
    for lane in lanes:
        parts.append(f'<line class="lane" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(lane)}" y2="{y(lane)}"/>')
        parts.append(f'<text x="0" y="{y(lane) + 4}">{escape(_short(lane))}</text>')
    for span in spans:
        width = max(x(span.last_s) - x(span.first_s), 3)
        parts.append(
            f'<rect class="lost" x="{x(span.first_s):.1f}" y="{y(span.lane) - 9}" width="{width:.1f}"'
            f' height="18"><title>{escape(span.label)}</title></rect>'
        )
    parts += [
        f'<circle class="{mark.tone}" cx="{x(mark.time_s):.1f}" cy="{y(mark.lane)}" r="4.5">'
        f"<title>{escape(mark.label)}</title></circle>"
        for mark in marks
    ]
    for tick in range(_TICKS):
        at = first + (last - first) * tick / (_TICKS - 1)
        anchor = "start" if tick == 0 else "end" if tick == _TICKS - 1 else "middle"
        parts.append(
            f'<text class="tick" text-anchor="{anchor}" x="{x(at):.1f}" y="{height - 12}">'
            f"{escape(tick_label(at))}</text>"
        )
    return "".join([*parts, "</svg>"])


def value_plot(title: str, values: Sequence[PlottedValue]) -> str:
    """Return an SVG of measured values in their order, with the band that the limits allow."""
    numbers = [
        number for each in values for number in (each.value, each.low, each.high) if number is not None
    ]
    bottom, top = min(numbers), max(numbers)
    reach = (top - bottom) or abs(top) or 1.0
    bottom, top = bottom - reach * 0.08, top + reach * 0.08
    inner = _PLOT_WIDTH - 2 * _MARGIN

    def x(index: int) -> float:
        return _MARGIN + inner * (index + 0.5) / len(values)

    def y(number: float) -> float:
        return _PLOT_HEIGHT - 22 - (number - bottom) / (top - bottom) * (_PLOT_HEIGHT - 44)

    parts = [
        _svg(_PLOT_WIDTH, _PLOT_HEIGHT, title),
        f'<text class="title" x="0" y="12">{escape(title)}</text>',
    ]
    step = inner / len(values)
    for index, each in enumerate(values):
        if each.low is not None and each.high is not None:
            parts.append(
                f'<rect class="band" x="{x(index) - step / 2:.1f}" y="{y(each.high):.1f}"'
                f' width="{step + 0.3:.1f}" height="{max(y(each.low) - y(each.high), 1):.1f}"/>'
            )
    for index, each in enumerate(values):
        tone = "ok" if each.good else "nok"
        parts.append(
            f'<circle class="{tone}" cx="{x(index):.1f}" cy="{y(each.value):.1f}" r="3.5">'
            f"<title>{escape(each.label)}</title></circle>"
        )
    limits = sorted({limit for each in values for limit in (each.low, each.high) if limit is not None})
    parts += [
        f'<text class="tick" text-anchor="end" x="30" y="{y(limit) + 4:.1f}">{limit:g}</text>'
        for limit in dict.fromkeys(limits[:1] + limits[-1:])
    ]
    return "".join([*parts, "</svg>"])


def _svg(width: int, height: int, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        f' aria-label="{escape(title)}">'
    )


def _short(text: str, limit: int = 22) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
