"""Write the report of an evidence package: one page for people, that proves nothing by itself."""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from html import escape
from math import isfinite, nan
from typing import Any, Final

from linewitness.evidence.format.record import unit_of
from linewitness.evidence.history.histories import DeviceHistories
from linewitness.evidence.history.page import HistoryPage, anchor
from linewitness.evidence.history.values import Place
from linewitness.evidence.package.report_plots import Mark, PlottedValue, TimeSpan, time_axis, value_plot
from linewitness.evidence.package.report_text import (
    BAD,
    STYLE,
    Ticks,
    changes_of,
    time_of,
    verdict_box,
    verdict_boxes,
)
from linewitness.evidence.verify.capture_stretches import StretchFinder
from linewitness.evidence.verify.signs import sign_of
from linewitness.evidence.verify.verdict import Verdict

#: More rows than these make no readable page; the others are in records.ndjson.
MAX_ROWS: Final = 2000
MAX_PLOTS: Final = 24
MAX_WHOLE: Final = 16

_GAPS: Final = {
    "source.gap": "results that the device made and that are not here",
    "source.conflict": "the device gave two different results under one number",
    "device.lost": "the device was not heard from here on",
    "clock.stepped": "the gateway's clock was set",
}
#: What is listed beside these: it says when something was not on watch, or that it was again.
_TOLD: Final = _GAPS | {
    "source.epoch": "the device began to number its results anew",
    "device.back": "the device was heard again",
    "gateway.stopped": "the gateway was stopped",
    "gateway.started": "the gateway was started",
    "journal.pressure": "the room for records changed",
}


def build_report(
    records: Iterable[dict[str, Any]],
    *,
    title: str,
    created_at: str,
    verdict: Verdict | None = None,
    verdicts: Mapping[str, Verdict | None] | None = None,
    telegram: Callable[[dict[str, Any]], str | None] = lambda _: None,
) -> bytes:
    """Return the page on parsed records, in their order; everything in it is escaped text, nothing runs.

    `telegram` returns what the device sent for a record, as text, where it is to be shown.
    Records of several streams have `verdicts` by the streams' names: then each is shown with its stream.
    """
    report = _Report(telegram, several=verdicts is not None)
    for record in records:
        report.add(record)
    style = b64encode(sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{style}'"
    head = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
    )
    return "".join(
        [
            head,
            f"<h1>{escape(title)}</h1>",
            f'<p class="quiet">Written {escape(created_at)}. All times are UTC.</p>',
            verdict_box(verdict) if verdicts is None else verdict_boxes(verdicts),
            report.summary(),
            report.history(),
            report.gaps(),
            report.stretches(),
            report.axis(),
            report.plots(),
            report.table(),
            "</body></html>\n",
        ]
    ).encode("utf-8", "replace")


class _Report:
    """What the records add up to."""

    def __init__(self, telegram: Callable[[dict[str, Any]], str | None], *, several: bool) -> None:
        self._telegram = telegram
        self._several = several
        self._count = 0
        self._kinds: Counter[str] = Counter()
        self._units: dict[str, int] = {}
        self._devices: set[str] = set()
        self._rows: list[str] = []
        self._shown: set[Place] = set()
        self._histories = DeviceHistories()
        self._gaps: list[str] = []
        self._marks: list[Mark] = []
        self._spans: list[TimeSpan] = []
        self._lost: dict[str, float] = {}
        #: By stream; the only one has no name.
        self._stretches: dict[str, StretchFinder] = {}
        self._values: dict[str, list[PlottedValue]] = {}

    def add(self, record: dict[str, Any]) -> None:
        self._count += 1
        kind: str = record["kind"]
        self._kinds[kind] += 1
        device: str = record["context"].get("device_id", record["actor"]["id"])
        sign, stream = sign_of(record), ""
        if self._several:
            stream = record["integrity"]["stream"]
            record = record | {"sequence_no": f"{record['sequence_no']} of {stream}"}
            device = f"{device} of {stream}"
        self._stretches.setdefault(stream, StretchFinder()).follow([sign])
        self._devices.add(device)
        unit = unit_of(record) or ""
        if unit:
            self._units[unit] = self._units.get(unit, 0) + 1
        self._draw(record, kind, device, unit)
        self._histories.add(record)
        if kind in _TOLD and len(self._gaps) < MAX_ROWS:
            mark = ' class="gap"' if kind in _GAPS else ""
            self._gaps.append(
                f'<tr{mark}><td class="number">{escape(str(record["sequence_no"]))}</td>'
                f'<td class="number">{time_of(record["occurred_at"])}</td><td>{_whole(device)}</td>'
                f"<td>{escape(_TOLD[kind])}: {escape(record['reason'])}<br>{changes_of(record)}</td></tr>"
            )
        if len(self._rows) < MAX_ROWS:
            self._rows.append(_row(record, kind, device, unit, self._telegram(record)))
            self._shown.add(record["sequence_no"])

    def _draw(self, record: dict[str, Any], kind: str, device: str, unit: str) -> None:
        time_s = _seconds(record["occurred_at"])
        if kind == "device.lost":
            self._lost[device] = time_s
        elif kind == "device.back" and device in self._lost:
            self._spans.append(TimeSpan(device, self._lost.pop(device), time_s, f"{device} was not heard"))
        statuses = {change.get("status") for change in record["changes"]}
        bad = bool(statuses & BAD)
        tone = "gap" if kind in _GAPS else "nok" if bad else "ok" if "ok" in statuses else "plain"
        label = f"{record['sequence_no']} {kind} {unit} {record['occurred_at']}"
        if len(self._marks) < MAX_ROWS:
            self._marks.append(Mark(device, time_s, tone, label))
        for change in record["changes"]:
            value = _number(change["after"])
            if value is None or "status" not in change:
                continue
            name = f"{device}: {change['field']}" + (f" ({change['unit']})" if "unit" in change else "")
            series = self._values.setdefault(name, [])
            if len(series) < MAX_ROWS:
                low, high = _number(change.get("low")), _number(change.get("high"))
                text = f"{label}: {change['after']}"
                series.append(PlottedValue(text, value, low, high, change["status"] == "ok"))

    def summary(self) -> str:
        kinds = ", ".join(f"{count} {escape(kind)}" for kind, count in sorted(self._kinds.items()))
        units = ", ".join(escape(unit) for unit in list(self._units)[:50])
        more = f" and {len(self._units) - 50} others" if len(self._units) > 50 else ""  # noqa: PLR2004 (as above)
        return (
            "<h2>What is in it</h2><table>"
            f"<tr><th>Records</th><td>{self._count}: {kinds}</td></tr>"
            f"<tr><th>Units</th><td>{units or 'none'}{more}</td></tr>"
            f"<tr><th>Devices</th><td>{escape(', '.join(sorted(self._devices))) or 'none'}</td></tr></table>"
        )

    def history(self) -> str:
        return HistoryPage(self._histories, self._shown.__contains__).section()

    def gaps(self) -> str:
        head = "<h2>Gaps and disturbances</h2>"
        if not self._gaps:
            elsewhere = " as a record of its own; see below" if self._found else ""
            return f"{head}<p>None is on record{elsewhere}.</p>"
        columns = "<thead><tr><th>Record</th><th>Time</th><th>Device</th><th>What</th></tr></thead>"
        left = sum(self._kinds[kind] for kind in _TOLD) - len(self._gaps)
        note = f"<p>{left} further ones are in records.ndjson.</p>" if left else ""
        return f"{head}<table>{columns}{''.join(self._gaps)}</table>{note}"

    def stretches(self) -> str:
        rows = "".join(f"<tr><td>{escape(text)}</td></tr>" for text in self._found)
        left = sum(finder.left_out for finder in self._stretches.values())
        note = f"<p>{left} further ones are not listed.</p>" if left else ""
        none = "<p>None is on record.</p>"
        return f"<h2>Without capture</h2>{f'<table>{rows}</table>{note}' if rows else none}"

    @cached_property
    def _found(self) -> list[str]:
        """The stretches without capture, when all records were added."""
        return [
            f"{stream}: {one.text}" if stream else one.text
            for stream, finder in self._stretches.items()
            for one in finder.end()
        ]

    def axis(self) -> str:
        last = max((mark.time_s for mark in self._marks), default=0.0)
        open_ends = [
            TimeSpan(lane, first, last, f"{lane} was not heard") for lane, first in self._lost.items()
        ]
        first = min((mark.time_s for mark in self._marks), default=0.0)
        drawn = time_axis(self._marks, [*self._spans, *open_ends], tick_label=Ticks(last - first))
        return f"<h2>Time axis</h2>{drawn}" if drawn else ""

    def plots(self) -> str:
        # A single count is better read in the table than drawn.
        series = [
            (name, values) for name, values in self._values.items() if len(values) > 1 or name.endswith(")")
        ]
        drawn = [value_plot(name, values) for name, values in series[:MAX_PLOTS]]
        return (
            f'<h2>Measured values and limits</h2><div class="plots">{"".join(drawn)}</div>' if drawn else ""
        )

    def table(self) -> str:
        left = self._count - len(self._rows)
        note = f"<p>{left} further records are in records.ndjson.</p>" if left else ""
        columns = "".join(
            f"<th>{name}</th>"
            for name in ("Record", "When", "What", "Unit", "Values", "Who, where", "Clock", "Why")
        )
        rows = "".join(self._rows)
        return f"<h2>Records</h2><table><thead><tr>{columns}</tr></thead>{rows}</table>{note}"


def _row(record: dict[str, Any], kind: str, device: str, unit: str, telegram: str | None) -> str:
    sent = "" if telegram is None else f'<br><span class="quiet">the device sent: {escape(telegram)}</span>'
    clock = record["clock"]
    bound = f" <br>±{clock['bound_us'] / 1000:g} ms" if "bound_us" in clock else ""
    uncertain = f"<br>±{clock['occurred_unc_ms']} ms" if "occurred_unc_ms" in clock else ""
    actor = record["actor"].get("display_name", record["actor"]["id"])
    who = _whole(actor) + ("" if device == record["actor"]["id"] else f", {_whole(device)}")
    mark = ' class="gap"' if kind in _GAPS else ""
    number = record["sequence_no"]
    return (
        f'<tr{mark}><td class="number" id="{anchor(number)}">{escape(str(number))}</td>'
        f'<td class="number">{time_of(record["occurred_at"])}{uncertain}</td><td>{escape(kind)}</td>'
        f'<td>{escape(unit)}</td><td class="values">{changes_of(record)}{sent}</td><td>{who}</td>'
        f'<td class="number">{escape(clock["sync"])}{bound}</td><td>{escape(record["reason"])}</td></tr>'
    )


def _whole(name: str) -> str:
    """Return a name that is not cut at its hyphens, unless it is too long for its column."""
    short = len(name) <= MAX_WHOLE
    return f'<span class="number">{escape(name)}</span>' if short else escape(name)


def _number(value: object) -> float | None:
    """Return a decimal string as a float, for drawing only."""
    try:
        number = float(value) if isinstance(value, str | int) and not isinstance(value, bool) else nan
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _seconds(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
