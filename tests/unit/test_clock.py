"""Steps are found by comparing two clocks, and what is known of the clock is never older than it seems."""

import pytest

from linewitness.base.clock import NS_PER_S, ClockState, SharedClockState, Stamp, StepDetector

MS = 1_000_000
START = Stamp(1_772_352_000 * NS_PER_S, 60 * NS_PER_S)


def later(elapsed_ns: int, moved_ns: int = 0, since: Stamp = START) -> Stamp:
    return Stamp(since.realtime_ns + elapsed_ns + moved_ns, since.boottime_ns + elapsed_ns)


def steps(*stamps: Stamp) -> int:
    detector = StepDetector()
    for stamp in stamps:
        detector.observe(stamp)
    return detector.count


@pytest.mark.parametrize("moved_ms", [51, -51, 1000, -1000, 3_600_000, -3_600_000])
def test_a_jump_of_more_than_50_ms_is_a_step_with_what_the_clock_would_have_read(moved_ms: int) -> None:
    detector = StepDetector()
    assert detector.observe(START) is None
    step = detector.observe(later(100 * MS, moved_ms * MS))
    assert step is not None
    assert step.expected_ns == START.realtime_ns + 100 * MS
    assert step.found_ns - step.expected_ns == moved_ms * MS


def test_a_small_step_is_noticed_even_after_a_minute_of_silence() -> None:
    assert steps(START, later(60 * NS_PER_S, 150 * MS)) == 1
    assert steps(START, later(60 * NS_PER_S, -150 * MS)) == 1


@pytest.mark.parametrize("ppm", [500, -500])
@pytest.mark.parametrize("apart_s", [0.01, 2, 60, 3600])
def test_slewing_is_no_step_however_far_apart_the_stamps_are(ppm: int, apart_s: float) -> None:
    apart_ns = int(apart_s * NS_PER_S)
    stamps = [later(number * apart_ns, number * apart_ns * ppm // 1_000_000) for number in range(20)]
    assert steps(*stamps) == 0


def shared(bound_us: int | None = 900) -> SharedClockState:
    state = SharedClockState()
    state.set(ClockState("locked" if bound_us is not None else "unsynced", bound_us), START)
    return state


def test_the_state_holds_as_it_is_while_the_clock_runs() -> None:
    assert shared().at(later(2 * NS_PER_S)) == ClockState("locked", 900)


@pytest.mark.parametrize("moved_ms", [1000, -1000])
def test_a_step_unlocks_the_state_and_widens_the_bound_in_the_same_moment(moved_ms: int) -> None:
    assert shared().at(later(10 * MS, moved_ms * MS)) == ClockState("unsynced", 1_000_900)


def test_less_than_a_step_widens_the_bound_only() -> None:
    assert shared().at(later(10 * MS, -20 * MS)) == ClockState("locked", 20_900)


def test_the_next_judgement_counts_from_its_own_stamp() -> None:
    state, after = shared(), later(10 * MS, 1000 * MS)
    state.set(ClockState("locked", 1200), after)
    assert state.at(later(NS_PER_S, since=after)) == ClockState("locked", 1200)


def test_nothing_known_stays_nothing_known() -> None:
    assert SharedClockState().at(START) == ClockState("unsynced", None)
    assert shared(None).at(later(10 * MS, 1000 * MS)) == ClockState("unsynced", None)
