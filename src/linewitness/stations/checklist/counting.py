"""Whether a result counts towards a requirement: what it is of, our own limits, its tool and its operator."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation

from linewitness.base.clock import NS_PER_MS, Stamp, to_rfc3339
from linewitness.devices.base import Result
from linewitness.evidence.format.record import Change, Event
from linewitness.stations.checklist.options import LimitOptions, ResultRequirement
from linewitness.stations.checklist.progress import ClockMoment
from linewitness.stations.lists.book import ListBook
from linewitness.stations.options import StationOptions
from linewitness.stations.unit.units import HeldUnit, program_of
from linewitness.stations.work_options import ToolOptions


@dataclass(frozen=True, slots=True)
class CountedResult:
    """A result of the unit at the station: `result` has the verdict that counts, `event` is its record.

    `operator` is who is known to have made it, None where nobody is.
    """

    result: Result
    event: Event
    measured: Sequence[Change]
    operator: str | None


def concerns(need: ResultRequirement, result: Result) -> bool:
    """Return whether a result is one of those that a requirement asks for, good or not."""
    if result.device != need.device or result.kind.partition(".")[0] != need.kind:
        return False
    return need.program is None or program_of(result) == need.program


def outside(need: ResultRequirement, measured: Sequence[Change]) -> str:
    """Return which value is outside the requirement's own limits, in words; empty where none is."""
    if not need.limits:
        return ""
    values = {change.field: change.after for change in measured}
    for name, limits in need.limits.items():
        if name not in values:
            return f"{name} was not measured"
        if why := _beyond(values[name], limits):
            return f"{name} {why}"
    return ""


def _beyond(value: object, limits: LimitOptions) -> str:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return f"{value!r} is no number"
    if number.is_nan():
        return "is no number"
    if limits.low is not None and number < limits.low:
        return f"{value} is below {limits.low}"
    if limits.high is not None and number > limits.high:
        return f"{value} is above {limits.high}"
    return ""


def late_refusal(need: ResultRequirement, result: Result, held: HeldUnit) -> str:
    """Return why a result that was fetched afterwards does not count for this visit; empty where it does."""
    if not result.backfilled:
        return ""
    if held.entered is not None and _made_before(result, held.entered):
        return f"it was made before {held.serial} came"
    if need.out_of_order == "refuse" and (first := made_before_its_turn(need, result, held)):
        return f"out of order: it was made before {first} was done"
    return ""


def made_before_its_turn(need: ResultRequirement, result: Result, held: HeldUnit) -> str:
    """Return which requirement was done only after a result was made that was fetched afterwards."""
    for name in need.after if result.backfilled else ():
        progress = held.progress.get(name)
        if progress is not None and progress.done_at is not None and _made_before(result, progress.done_at):
            return name
    return ""


def _made_before(result: Result, moment: ClockMoment) -> bool:
    """Return whether a result was made before a moment, or whether nobody can say."""
    when = result.when
    if when.unc_ms is None:
        return when.occurred_from == "poll" or when.occurred_ns < moment.realtime_ns
    own = when.occurred_from in ("device", "server")
    doubt_ns = when.unc_ms * NS_PER_MS
    return when.occurred_ns + (doubt_ns if own else -doubt_ns) < moment.realtime_ns


def tool_of(result: Result) -> str | None:
    """Return the serial number of the tool that made a result, None where the device does not say."""
    for name, value in result.facts:
        if name == "tool_serial" and value is not None:
            return str(value)
    return None


def _named_tool_of(result: Result) -> str | None:
    """Return the serial number of the tool that a result itself names.

    What the controller said of its tool when it was asked is no name: another one may be connected since.
    """
    told_apart = any(name == "tool_serial_from" for name, _ in result.facts)
    return None if told_apart else tool_of(result)


def tool_refusal(result: Result, tools: ToolOptions, lists: ListBook, now: Stamp) -> str:
    """Return why a result does not count for its tool's calibration; empty where it does."""
    if tools.calibration == "any":
        return ""
    serial = _named_tool_of(result)
    tool = f"tool {serial}" if serial else f"the tool at {result.device}"
    by_list = tools.calibration == "list"
    due = _listed_due(result, tool, lists, now) if by_list else _controllers_due(result, tool, tools, now)
    if isinstance(due, str):
        return due
    made = day_of(result.when.occurred_ns)
    return (
        f"the calibration of {tool} was due on {due}" if made > due or day_of(now.realtime_ns) > due else ""
    )


def _listed_due(result: Result, tool: str, lists: ListBook, now: Stamp) -> date | str:
    """Return until when the list says that a result's tool is calibrated, or why it says nothing."""
    if why := lists.unusable("calibrations", now.realtime_ns):
        return f"{tool}: {why}"
    # A serial number says more than the device: another tool may be connected to it now.
    serial = _named_tool_of(result)
    due = lists.calibrations.get(serial or result.device)
    if due is None:
        unnamed = "" if serial else ", and the result does not name it"
        return f"{tool} is not in the list of calibrations{unnamed}"
    # Where the result does not name it, it may be the one that was there when the controller was asked.
    return min(due, lists.calibrations.get(tool_of(result) or "", due))


def _controllers_due(result: Result, tool: str, tools: ToolOptions, now: Stamp) -> date | str:
    """Return until when the controller's date lets a result's tool count, or why it does not."""
    if _named_tool_of(result) is None and tool_of(result) is not None:
        return f"{tool} is not known: the result does not name it, and another one may be connected by now"
    last = _day_in(result, "tool_last_calibration")
    if last is None:
        return f"{tool}: the controller does not say when it was calibrated"
    if last > day_of(now.realtime_ns) + timedelta(days=1):
        return f"{tool}: the controller says that it was calibrated on {last}, which is to come"
    # A controller may say a day at the end of the calendar.
    return date.fromordinal(min(date.max.toordinal(), last.toordinal() + (tools.interval_days or 0)))


def person_refusal(person: str | None, options: StationOptions, lists: ListBook, now: Stamp) -> str:
    """Return why what was done does not count for who did it; empty where it does."""
    needed = options.operator.needed
    if needed == "no":
        return ""
    if person is None:
        return "nobody is known to be signed on"
    return "" if needed == "signed_on" else unqualified(person, options.id, lists, now)


def unqualified(person: str, station: str, lists: ListBook, now: Stamp) -> str:
    """Return why a person is not qualified for a station now; empty where he or she is."""
    if why := lists.unusable("qualifications", now.realtime_ns):
        return why
    until = lists.qualified_until(person, station)
    if until is None:
        return f"{person} is not qualified for {station}"
    if day_of(now.realtime_ns) > until:
        return f"the qualification of {person} for {station} ended on {until}"
    return ""


def day_of(realtime_ns: int) -> date:
    """Return the day of a Unix time, in UTC."""
    return date.fromisoformat(to_rfc3339(realtime_ns)[:10])


def _day_in(result: Result, fact: str) -> date | None:
    for name, value in result.facts:
        if name == fact and isinstance(value, str):
            try:
                return date.fromisoformat(value[:10])
            except ValueError:
                return None
    return None
