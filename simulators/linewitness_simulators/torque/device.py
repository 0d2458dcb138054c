"""Tighten as a controller would: what comes out follows from the state, the inputs, the time and a seed."""

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from linewitness_simulators.torque.model import Inputs, ParameterSet, ResultType, Setup, State, StoredResult

NS_PER_S: Final = 1_000_000_000
IDENTIFIER_WIDTH: Final = 25
SYNC_ID_MAX: Final = 65_535
BATCH_NOT_OK, BATCH_OK, BATCH_UNUSED, BATCH_RUNNING = range(4)


class ToolDisabledError(Exception):
    """The tool is locked, so nothing can be tightened."""


def wall_time(unix_ns: int, zone: str, offset_s: float) -> str:
    """Return what the controller's clock shows, as text of 19 characters without zone or daylight flag."""
    moment = datetime.fromtimestamp(unix_ns // NS_PER_S, UTC) + timedelta(seconds=offset_s)
    return moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d:%H:%M:%S")


def offset_to_show(text: str, unix_ns: int, zone: str) -> float:
    """Return the offset in seconds that makes the clock show `text` now; ValueError if it is no time."""
    shown = datetime.strptime(text, "%Y-%m-%d:%H:%M:%S").replace(tzinfo=ZoneInfo(zone))
    return shown.timestamp() - unix_ns // NS_PER_S


def parameter_set(setup: Setup, state: State, number: int) -> ParameterSet:
    """Return a parameter set as it is now; KeyError where there is none of that number."""
    pset = setup.parameter_sets[number]
    return replace(pset, batch_size=dict(state.batch_sizes).get(number, pset.batch_size))


def set_batch_size(setup: Setup, state: State, number: int, size: int) -> State:
    """Change the batch of a parameter set; KeyError where there is none of that number."""
    sizes = {**dict(state.batch_sizes), setup.parameter_sets[number].id: size}
    return replace(state, batch_sizes=tuple(sizes.items()))


def select_parameter_set(setup: Setup, state: State, number: int) -> State:
    """Select a parameter set, which begins its batch anew; KeyError where there is none of that number."""
    return replace(state, parameter_set=setup.parameter_sets[number].id, batch_counter=0, batch_done=False)


def select_job(setup: Setup, state: State, number: int) -> State:
    """Start a job from its first tightening; 0 ends it. KeyError where there is none of that number."""
    if number == 0:
        return replace(state, job=0, job_counter=0)
    job = setup.jobs[number]
    chosen = select_parameter_set(setup, state, job.parameter_set)
    return replace(
        chosen, job=job.id, job_counter=0, job_sequence=(state.job_sequence + 1) % (SYNC_ID_MAX + 1)
    )


def identify(state: State, text: str, position: int = 0) -> State:
    """Take over an identifier (0: the VIN) as far as a result can carry it; a VIN begins a new batch."""
    identifiers = list(state.identifiers)
    identifiers[position] = text.strip()[:IDENTIFIER_WIDTH]
    first, second, third, fourth = identifiers
    fresh = replace(state, identifiers=(first, second, third, fourth))
    return fresh if position else replace(fresh, batch_counter=0, batch_done=False)


@dataclass(frozen=True, slots=True)
class _Measured:
    torque: int
    angle: int
    rundown_angle: int
    torque_status: int
    angle_status: int
    error_bits: int = field(default=0)


def _measure(setup: Setup, pset: ParameterSet, number: int, inputs: Inputs) -> _Measured:
    """Draw what the transducers see; the same seed and id always see the same."""
    rng = random.Random(f"{setup.seed}:{number}")
    torque = round(rng.gauss(pset.torque_target, (pset.torque_max - pset.torque_min) / 12))
    angle = round(rng.triangular(pset.angle_min + 1, pset.angle_max - 1))
    torque = min(max(torque, pset.torque_min), pset.torque_max)
    if not inputs.ok:
        way = rng.choice(("slips", "strips", "cross-threads"))
        if way == "slips":
            torque = max(pset.torque_min - rng.randint(50, 400), 0)
        elif way == "strips":
            torque, angle = (
                max(pset.torque_min - rng.randint(50, 900), 0),
                pset.angle_max + rng.randint(5, 200),
            )
        else:
            torque, angle = (
                pset.torque_max + rng.randint(20, 300),
                max(pset.angle_min - rng.randint(3, 15), 0),
            )
    torque = torque if inputs.torque is None else inputs.torque
    angle = angle if inputs.angle is None else inputs.angle
    rundown = rng.randint(600, 1200) if inputs.rundown_angle is None else inputs.rundown_angle
    torque_status = _place(torque, pset.torque_min, pset.torque_max)
    angle_status = _place(angle, pset.angle_min, pset.angle_max)
    bits = (4 if torque_status == 2 else 0) | (8 if angle_status == 2 else 0)
    return _Measured(torque, angle, rundown, torque_status, angle_status, bits)


def _place(value: int, low: int, high: int) -> int:
    """Return 0 below, 1 within and 2 above the limits."""
    if value < low:
        return 0
    return 1 if value <= high else 2


def _count(state: State, pset: ParameterSet, *, counts: bool) -> tuple[State, int]:
    """Return the state after the batch took notice, and the status of the batch."""
    if not pset.batch_size:
        return state, BATCH_UNUSED
    counter = 0 if state.batch_done else state.batch_counter
    counter += 1 if counts else 0
    done = counter >= pset.batch_size
    return replace(state, batch_counter=counter, batch_done=done), BATCH_OK if done else BATCH_RUNNING


def tighten(
    setup: Setup, state: State, station_id: int, times: tuple[int, str], inputs: Inputs
) -> tuple[State, StoredResult]:
    """Make one result at `times` (Unix nanoseconds, and what the controller's clock shows then).

    Raises ToolDisabledError while the tool is locked.
    """
    if not state.tool_enabled:
        raise ToolDisabledError("the tool is disabled; enable it with MID 0043")
    if inputs.vin is not None:
        state = identify(state, inputs.vin) if inputs.vin != state.identifiers[0] else state
    pset = parameter_set(setup, state, state.parameter_set)
    seen = _measure(setup, pset, state.next_id, inputs)
    good = inputs.ok and seen.torque_status == 1 and seen.angle_status == 1
    tightened = inputs.result_type in (ResultType.TIGHTENING, ResultType.SYNC_TIGHTENING)
    counts = (good and tightened) or inputs.result_type == ResultType.BATCH_INCREMENT
    state, batch_status = _count(state, pset, counts=counts)
    if tightened and not good and batch_status == BATCH_RUNNING:
        batch_status = BATCH_NOT_OK
    sync_id = 0
    if setup.spindles > 1:
        sync_id = state.sync_id
        state = replace(state, sync_id=(state.sync_id + 1) % (SYNC_ID_MAX + 1))
    made_ns, shown = times
    result = StoredResult(
        id=state.next_id,
        station_id=station_id if inputs.station_id is None else inputs.station_id,
        made_ns=made_ns,
        time=shown,
        vin=state.identifiers[0],
        identifiers=state.identifiers[1:],
        job_id=state.job,
        job_sequence=state.job_sequence if state.job else 0,
        pset=pset,
        batch_counter=state.batch_counter,
        batch_status=batch_status,
        ok=good,
        torque=seen.torque,
        angle=seen.angle,
        rundown_angle=seen.rundown_angle,
        torque_status=seen.torque_status,
        angle_status=seen.angle_status,
        error_bits=seen.error_bits,
        result_type=inputs.result_type,
        tool_serial=setup.tool.serial,
        sync_id=sync_id,
        spindles=setup.spindles,
    )
    following = replace(
        state,
        next_id=setup.after_last if state.next_id == setup.last_id else state.next_id + 1,
        tightenings=state.tightenings + (1 if tightened else 0),
        job_counter=state.job_counter + (1 if counts and state.job else 0),
    )
    return following, result
