from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.base.clock import from_datetime
from linewitness_simulators.torque.device import (
    ToolDisabledError,
    identify,
    offset_to_show,
    select_job,
    select_parameter_set,
    tighten,
    wall_time,
)
from linewitness_simulators.torque.model import Inputs, ResultType, Setup, State, StoredResult, Tool
from linewitness_simulators.torque.options import JOBS, PARAMETER_SETS

SETUP = Setup({p.id: p for p in PARAMETER_SETS}, {j.id: j for j in JOBS}, Tool(), seed=3)
TIMES = (0, "1970-01-01:00:00:00")


def make(state: State, **inputs: Any) -> tuple[State, StoredResult]:
    return tighten(SETUP, state, 1, TIMES, Inputs(**inputs))


@given(number=st.integers(1, 10**9), ok=st.booleans(), pset=st.sampled_from([7, 8, 9]))
def test_what_is_measured_agrees_with_its_status_and_repeats_with_the_seed(
    number: int, ok: bool, pset: int
) -> None:
    state = State(next_id=number, parameter_set=pset)
    _, made = make(state, ok=ok)
    assert made.ok is ok
    inside = made.pset.torque_min <= made.torque <= made.pset.torque_max
    assert (made.torque_status == 1) is inside
    assert (made.torque_status == 1 and made.angle_status == 1) is ok
    assert make(state, ok=ok)[1] == made


def test_another_seed_measures_something_else() -> None:
    other = replace(SETUP, seed=4)
    assert tighten(other, State(), 1, TIMES, Inputs())[1].torque != make(State())[1].torque


def test_ids_go_up_by_one_and_the_state_given_is_left_alone() -> None:
    state = State(next_id=41)
    following, made = make(state)
    assert (made.id, following.next_id, state.next_id) == (41, 42, 41)
    assert following.tightenings == 1


def test_a_batch_counts_what_is_ok_and_begins_anew_when_it_is_full() -> None:
    state, seen = State(parameter_set=8), []
    for ok in (True, False, True, True):
        state, made = make(state, ok=ok)
        seen.append((made.batch_counter, made.batch_status))
    assert seen == [(1, 3), (1, 0), (2, 1), (1, 3)]


def test_a_parameter_set_without_a_batch_says_so() -> None:
    _, made = make(State(parameter_set=9))
    assert (made.batch_counter, made.batch_status) == (0, 2)


def test_a_new_unit_begins_a_new_batch_and_the_same_unit_does_not() -> None:
    state, _ = make(State(), vin="SN1")
    state, made = make(state, vin="SN1")
    assert made.batch_counter == 2
    _, made = make(state, vin="SN2")
    assert (made.vin, made.batch_counter) == ("SN2", 1)


def test_bookkeeping_takes_an_id_and_is_no_tightening() -> None:
    state, made = make(State(), result_type=ResultType.BATCH_INCREMENT)
    assert (made.id, made.is_tightening, made.batch_counter) == (1, False, 1)
    state, made = make(state, result_type=ResultType.LOOSENING)
    assert (made.id, made.batch_counter, state.tightenings) == (2, 1, 0)


def test_an_identifier_is_cut_to_what_a_result_can_carry() -> None:
    assert identify(State(), " " + "x" * 30).identifiers == ("x" * 25, "", "", "")
    assert identify(State(batch_counter=2), "LOT", 1).batch_counter == 2


def test_a_job_selects_its_parameter_set_and_ends() -> None:
    state = select_job(SETUP, State(job_sequence=65_535), 2)
    assert (state.job, state.parameter_set, state.job_sequence) == (2, 8, 0)
    assert select_job(SETUP, state, 0).job == 0
    with pytest.raises(KeyError):
        select_job(SETUP, state, 9)
    with pytest.raises(KeyError):
        select_parameter_set(SETUP, state, 99)


def test_a_locked_tool_tightens_nothing() -> None:
    with pytest.raises(ToolDisabledError):
        make(State(tool_enabled=False))


def test_sync_ids_wrap() -> None:
    setup = replace(SETUP, spindles=2)
    state, made = tighten(setup, State(sync_id=65_535), 1, TIMES, Inputs())
    assert (made.sync_id, state.sync_id) == (65_535, 0)


def test_the_clock_shows_the_autumn_hour_twice_and_can_be_off() -> None:
    first = from_datetime(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    second = from_datetime(datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
    assert wall_time(first, "Europe/Vienna", 0) == wall_time(second, "Europe/Vienna", 0)
    assert wall_time(first, "UTC", -1.0) == "2026-10-25:00:29:59"


@given(shift=st.integers(-(10**8), 10**8))
def test_a_clock_that_was_set_shows_what_it_was_set_to(shift: int) -> None:
    now = from_datetime(datetime(2026, 6, 1, 12, 0, tzinfo=UTC))
    text = wall_time(now, "UTC", shift)
    assert offset_to_show(text, now, "UTC") == shift
