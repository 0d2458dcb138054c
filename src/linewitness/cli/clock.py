"""`linewitness clock`: query the time sources, and show the state and history of the clocks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linewitness.cli.run import LineFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table

    from linewitness.status.clock_history import ClockHistory
    from linewitness.timesources.judge import ClockVerdict, SourceView

_UNKNOWN = "-"


def clock(
    file: LineFile,
    *,
    hours: Annotated[float, typer.Option(min=0.1, help="Hours of history to read from the journal.")] = 24,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Query the time sources once and show the clock history of the journal. Reads only."""
    import asyncio
    from dataclasses import asdict

    import orjson

    from linewitness.base.clock import SystemClock
    from linewitness.config import load
    from linewitness.timesources.polling import measure, sources_of

    config = load(file)
    system = SystemClock()
    sources = sources_of(config.clock, system)
    verdict = asyncio.run(measure(config.clock, clock=system, sources=sources))
    history = _history(config.journal.directory, hours)
    if as_json:
        members = {"now": asdict(verdict), "history": history.to_json() if history else None}
        typer.echo(orjson.dumps(members, option=orjson.OPT_INDENT_2).decode())
        return
    from rich.console import Console

    console = Console(highlight=False, emoji=False, markup=False)
    _show_now(console, verdict)
    if history is None:
        console.print("no journal yet: `linewitness init` begins one")
    else:
        _show_history(console, history, hours, config.clock.device_warn_ms)


def _history(directory: Path, hours: float) -> "ClockHistory | None":
    from linewitness.base.errors import JournalError
    from linewitness.journal.reader import JournalReader
    from linewitness.status.clock_history import history_of, last_hours

    try:
        reader = JournalReader(directory)
    except JournalError:
        return None
    with reader:
        return history_of(last_hours(reader, hours))


def _show_now(console: "Console", verdict: "ClockVerdict") -> None:
    from linewitness.base.clock import to_rfc3339
    from linewitness.status.clock_history import in_units

    def line(text: str) -> None:
        console.print(text, soft_wrap=True)

    state = verdict.state
    bound = "unknown" if state.bound_us is None else "at most " + in_units(state.bound_us).removeprefix("+")
    line(f"now        {to_rfc3339(verdict.stamp.realtime_ns)}")
    line(f"state      {state.sync}: {verdict.reason.partition(': ')[0]}")
    line(f"wrong by   {bound}{' (warning)' if verdict.warning else ''}")
    if verdict.offset_us is not None:
        line(f"offset     {in_units(verdict.offset_us)} (UTC is ahead of this clock)")
    if verdict.leap != "none":
        line(f"leap       the servers announce a leap second at the end of the day: {verdict.leap}")
    console.print(_sources_table(verdict.sources))
    for one in verdict.sources:
        if one.trouble:
            line(f"  {one.name}: {one.trouble}")


def _sources_table(sources: "tuple[SourceView, ...]") -> "Table":
    from rich.table import Table

    from linewitness.status.clock_history import in_units

    table = Table(box=None, pad_edge=False)
    for title in ("source", "standing", "offset", "half width", "delay", "stratum", "follows"):
        table.add_column(title, no_wrap=True)
    for one in sources:
        offset, half, delay = (
            _UNKNOWN if value is None else in_units(value)
            for value in (one.offset_us, one.half_us, one.delay_us)
        )
        stratum = _UNKNOWN if one.stratum is None else str(one.stratum)
        table.add_row(one.name, one.standing, offset, half, delay, stratum, one.reference or _UNKNOWN)
    return table


def _show_history(console: "Console", history: "ClockHistory", hours: float, limit_ms: int) -> None:
    console.print(f"\nthe last {hours:g} hours in the journal: {len(history.points)} entries")
    for line in _history_lines(history, limit_ms):
        console.print(line, soft_wrap=True)


def _history_lines(history: "ClockHistory", limit_ms: int) -> "Iterator[str]":
    from linewitness.base.clock import to_rfc3339
    from linewitness.status.clock_history import WIDTH, in_units, plot

    drawn = plot(history.points)
    if drawn:
        yield from drawn
        first, last = to_rfc3339(history.points[0].at_ns), to_rfc3339(history.points[-1].at_ns)
        yield f"{'':>13}{first}{last:>{WIDTH - len(first)}}"
    yield f"\nsteps      {history.stepped}"
    for step in history.steps:
        jump = in_units(step.step_ms * 1000)
        yield f"  record {step.sequence_no}: {step.before} became {step.after} ({jump})"
    yield "\ndevices    " + ("offset of their clocks" if history.devices else "no device reported its time")
    for one in history.devices:
        now, worst = in_units(one.offset_ms * 1000), in_units(one.worst_ms * 1000)
        mark = f"  BEYOND {limit_ms} ms" if abs(one.offset_ms) > limit_ms else ""
        yield f"  {one.device}: {now} at {one.at}, {worst} at most{mark}"
