"""Judge how far requirements are: counts, conditions, checks, waiting times, other stations."""

from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from linewitness.stations.checklist.live_values import LiveValue, LiveValues
from linewitness.stations.checklist.options import ENTERED
from linewitness.stations.checklist.progress import ClockMoment, Progress
from linewitness.stations.checklist.requirements import Requirement
from linewitness.stations.checklist.timed_options import (
    AfterRequirement,
    CheckRequirement,
    ConditionRequirement,
    WaitRequirement,
)
from linewitness.stations.unit.units import HeldUnit
from linewitness.stations.view import RequirementState


class JudgedState(NamedTuple):
    """What a requirement is now, and what is wrong where it is not done."""

    state: RequirementState
    wrong: str = ""


def judge_count(need: Requirement, progress: Progress) -> JudgedState:
    """Return whether something was done often enough."""
    if progress.done >= need.wanted:
        return JudgedState("done")
    return JudgedState("not_met" if progress.failed else "missing", progress.wrong)


def judge_after(
    need: AfterRequirement, progress: Progress, held: HeldUnit, before: str | None
) -> JudgedState:
    """Return whether the unit left another station with all that it needed; `before` is from the routes."""
    station = need.station or before
    if station is None:
        return JudgedState(
            "missing", f"the list of routes does not say what comes first for {held.variant.product}"
        )
    visit = held.known.visits.get(station) if held.known is not None else None
    if visit is None or not visit.attempts:
        return JudgedState("missing", f"it was not at {station}")
    # What happens there later is of the next visit here.
    if progress.state == "done" or visit.ending in ("complete", "overridden"):
        return JudgedState("done")
    why = f"it left {station} without all that it needs there"
    return JudgedState("missing", why if visit.ending else f"it has not left {station} yet")


def judge_check(need: CheckRequirement, progress: Progress, held: HeldUnit, live: LiveValues) -> JudgedState:
    """Return whether a point has its value, and for `once` that it took it while the unit was here."""
    value = live.get(need.point)
    if need.holds == "once" and progress.state == "done":
        return JudgedState("done")
    if value is None:
        return JudgedState("missing", f"{need.point} is not known")
    if value.value != need.value.lower() and value.value != need.value:
        return JudgedState("missing", f"{need.point} is {value.value}")
    if need.holds == "once" and not (value.changed and _is_since(value, held)):
        return JudgedState("missing", f"{need.point} was {value.value} before the unit came")
    return JudgedState("done")


def _is_since(value: LiveValue, held: HeldUnit) -> bool:
    entered = held.entered
    return (
        entered is not None
        and entered.boot_id == value.since.boot_id
        and value.since.boottime_ns >= entered.boottime_ns
    )


def judge_condition(
    need: ConditionRequirement, progress: Progress, held: HeldUnit, live: LiveValues, now: ClockMoment
) -> JudgedState:
    """Return whether a value stayed within its limits, and note since when it does.

    What is not known is not within limits: a stretch begins anew when the device is heard again, and only
    time in which the device said nothing else counts.
    """
    begun = start_of(need.since, held)
    reopened = need.until is not None and start_of(need.until, held) is None
    if (progress.state == "done" and not reopened) or begun is None:
        return JudgedState(progress.state, progress.wrong)
    value = live.get(need.point)
    wrong = _outside(need, value)
    if need.until is not None:
        if value is not None and not value.unbroken.is_by(begun):
            wrong = wrong or f"values of {need.point} are missing"
        return _until(need, progress, held, wrong)
    if wrong:
        progress.since = None
        return JudgedState("missing", wrong)
    if progress.since is None or progress.since.boot_id != now.boot_id:
        progress.since = now
    if value is not None and not value.unbroken.is_by(progress.since):
        progress.since = value.unbroken
    known_until = live.known_until(need.point)
    passed = progress.since.elapsed_s(known_until) if known_until is not None else 0.0
    return JudgedState("done") if need.for_s is not None and passed >= need.for_s else JudgedState("missing")


def _until(need: ConditionRequirement, progress: Progress, held: HeldUnit, wrong: str) -> JudgedState:
    """Judge a stretch that ends with another requirement: once broken, it stays broken."""
    if progress.state == "not_met":
        return JudgedState("not_met", progress.wrong)
    if wrong:
        return JudgedState("not_met", wrong)
    end = held.progress.get(need.until or "")
    return JudgedState("done" if end is not None and end.state == "done" else "missing")


def _outside(need: ConditionRequirement, value: LiveValue | None) -> str:
    if value is None:
        return f"{need.point} is not known"
    try:
        number = Decimal(value.value)
    except InvalidOperation:
        return f"{need.point} is {value.value}, which is no number"
    if number.is_nan() or (need.low is not None and number < need.low):
        return f"{need.point} is {value.value}, below {need.low}"
    if need.high is not None and number > need.high:
        return f"{need.point} is {value.value}, above {need.high}"
    return ""


def judge_wait(need: WaitRequirement, progress: Progress, held: HeldUnit, now: ClockMoment) -> JudgedState:
    """Return whether the time that must pass has passed, and the time that must not has not."""
    begun = start_of(need.since, held)
    if begun is None:
        return JudgedState("missing", "" if "/" not in need.since else f"{need.since} was not done")
    passed = begun.elapsed_s(now)
    if progress.state == "done" and progress.done_at is not None:
        # What is said late of missed polls has a time in the past; no time that has passed is undone by it.
        passed = max(passed, begun.elapsed_s(progress.done_at))
    if need.at_most_s is not None and (late := _too_late(need, progress, held, now)):
        return late
    if need.at_least_s is not None and passed < need.at_least_s:
        return JudgedState("missing")
    return JudgedState("done")


def _too_late(
    need: WaitRequirement, progress: Progress, held: HeldUnit, now: ClockMoment
) -> JudgedState | None:
    """Judge the time that must not pass; None where what ends it was done in time."""
    begun = start_of(need.since, held)
    if progress.state == "not_met" or begun is None or need.at_most_s is None:
        return JudgedState(progress.state, progress.wrong)
    end = start_of(need.before, held) if need.before is not None else None
    taken = begun.elapsed_s(end or now)
    unsure = begun.boot_id != now.boot_id and not begun.is_by(now)
    if unsure or (end is not None and not begun.is_by(end)):
        return JudgedState("not_met", "the clock was set back: nobody knows how much time passed")
    if taken > need.at_most_s:
        return JudgedState("not_met", f"{taken:.0f} s passed, {need.at_most_s:g} s are allowed")
    return JudgedState("missing") if need.before is not None and end is None else None


def start_of(name: str, held: HeldUnit) -> ClockMoment | None:
    """Return when a requirement was done, here or at another station; None where it is not."""
    if name == ENTERED:
        return held.entered
    station, slash, requirement = name.partition("/")
    if slash:
        visit = held.known.visits.get(station) if held.known is not None else None
        return visit.done_at.get(requirement) if visit is not None else None
    progress = held.progress.get(name)
    return progress.done_at if progress is not None and progress.state == "done" else None
