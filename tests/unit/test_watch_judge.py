"""The machine's clock is judged by what the sources said, and by how long ago."""

import random
from dataclasses import replace

import pytest

from linewitness.base.clock import NS_PER_S, ClockState, Stamp
from linewitness.timesources.judge import Judge
from linewitness.timesources.options import ClockOptions
from linewitness.timesources.sample import DAY_NS, Leap, Sample

MS = 1_000_000
START_NS = 1_795_000_000 * NS_PER_S


def stamp(at_s: float, *, ahead_ms: float = 0) -> Stamp:
    """CLOCK_REALTIME is ahead of UTC by `ahead_ms`; CLOCK_BOOTTIME began at START."""
    boottime_ns = int(at_s * NS_PER_S)
    return Stamp(START_NS + boottime_ns + int(ahead_ms * MS), boottime_ns)


def sample(
    source: str, at_s: float, *, wrong_ms: float = 0, half_ms: float = 1, leap: Leap = Leap.NONE
) -> Sample:
    boottime_ns = int(at_s * NS_PER_S)
    return Sample(
        source=source,
        boottime_ns=boottime_ns,
        utc_ns=START_NS + boottime_ns + int(wrong_ms * MS),
        half_ns=int(half_ms * MS),
        offset_ns=0,
        delay_ns=MS,
        root_dispersion_ns=MS,
        stratum=2,
        reference="GPS",
        leap=leap,
    )


def judge(*servers: str, **settings: object) -> Judge:
    return Judge(
        ClockOptions.model_validate({"ntp": servers or ("a", "b", "c"), "chrony": "auto", **settings})
    )


def test_before_any_answer_nothing_is_known() -> None:
    verdict = judge().at(stamp(0))
    assert verdict.state == ClockState("unsynced", None)
    assert verdict.reason == "no source has answered yet"
    assert {view.standing for view in verdict.sources} == {"unheard"}


def test_an_answer_locks_and_bounds_the_clock() -> None:
    asked = judge("a")
    asked.heard(sample("a", 0, half_ms=1))
    verdict = asked.at(stamp(0, ahead_ms=3))
    assert verdict.state.sync == "locked"
    assert verdict.state.bound_us is not None
    assert 4_400 <= verdict.state.bound_us <= 4_410  # 3 + 1 ms, and what drifts until the next look
    assert verdict.offset_us == -3_000


def test_the_bound_grows_by_the_drift_and_then_it_is_holdover_and_then_unsynced() -> None:
    asked = judge("a", drift_ppm=100, holdover_s=300, fail_ms=1000)
    asked.heard(sample("a", 0))
    states = {at: asked.at(stamp(at)).state for at in (0, 300, 301, 9_000, 10_100)}
    assert [state.sync for state in states.values()] == [
        "locked",
        "locked",
        "holdover",
        "holdover",
        "unsynced",
    ]
    bounds = [state.bound_us or 0 for state in states.values()]
    assert bounds == sorted(bounds)
    assert 900_000 <= bounds[3] <= 902_000
    assert bounds[4] > 1_000_000  # unsynced, but what is known is still said


def test_a_step_is_seen_in_the_bound_at_once_without_a_new_answer() -> None:
    asked = judge("a")
    asked.heard(sample("a", 0))
    assert asked.at(stamp(10)).state.sync == "locked"
    stepped = asked.at(stamp(10, ahead_ms=3_600_000))
    assert stepped.state.sync == "unsynced"
    assert abs((stepped.state.bound_us or 0) - 3_600_000_000) < 10_000
    assert asked.at(stamp(10, ahead_ms=-1000)).offset_us == 1_000_000


def test_one_liar_of_three_is_named_and_not_believed() -> None:
    asked = judge("a", "b", "liar")
    asked.heard(sample("a", 0))
    asked.heard(sample("b", 0))
    asked.heard(sample("liar", 0, wrong_ms=500))
    verdict = asked.at(stamp(1))
    assert verdict.named("false") == "liar"
    assert verdict.named("agrees") == "a, b"
    assert (verdict.state.bound_us or 0) < 2_000


def test_two_that_contradict_each_other_prove_nothing() -> None:
    asked = judge("a", "b")
    asked.heard(sample("a", 0))
    asked.heard(sample("b", 0, wrong_ms=500))
    verdict = asked.at(stamp(1))
    assert verdict.state == ClockState("unsynced", None)
    assert "contradict" in verdict.reason


def test_the_dead_have_no_vote_while_others_answer() -> None:
    asked = judge("a", "dead")
    asked.heard(sample("dead", 0, wrong_ms=500))
    asked.not_heard("dead", "no answer within 2 s")
    asked.heard(sample("a", 400))
    verdict = asked.at(stamp(401))
    assert verdict.state.sync == "locked"
    assert {view.name: view.standing for view in verdict.sources}["dead"] == "old"


def test_chrony_is_believed_while_it_answers_and_the_servers_after_that() -> None:
    asked = judge("a")
    asked.heard(sample("a", 0, wrong_ms=50))
    asked.heard(sample("chrony", 0))
    assert asked.at(stamp(1)).offset_us == 0
    asked.heard(sample("a", 350, wrong_ms=50))
    assert asked.at(stamp(351)).offset_us == 50_000


def test_why_nobody_answers_is_said() -> None:
    asked = judge("a")
    asked.heard(sample("a", 0))
    asked.not_heard("a", "it cannot be reached")
    assert asked.at(stamp(500)).reason == "no source has answered for 300 s: a: it cannot be reached"


def test_a_limit_counts_as_passed_until_the_bound_is_well_below_it() -> None:
    asked = judge("a", warn_ms=100)
    for at_s, ahead_ms, warning in [(0, 90, False), (1, 110, True), (2, 90, True), (3, 70, False)]:
        asked.heard(sample("a", at_s))
        assert asked.at(stamp(at_s, ahead_ms=ahead_ms)).warning is warning


@pytest.mark.parametrize(("announcing", "leap"), [(1, Leap.NONE), (2, Leap.INSERT), (3, Leap.INSERT)])
def test_a_leap_second_needs_a_majority(announcing: int, leap: Leap) -> None:
    asked = judge("a", "b", "c")
    for number, name in enumerate("abc"):
        asked.heard(sample(name, 0, leap=Leap.INSERT if number < announcing else Leap.NONE))
    assert asked.at(stamp(1)).leap is leap


@pytest.mark.heavy
@pytest.mark.parametrize("drift_ppm", [50, -50])
@pytest.mark.parametrize("outage_h", [0, 2])
def test_over_a_drifting_day_the_true_offset_is_always_within_the_bound(
    drift_ppm: int, outage_h: int
) -> None:
    """The oscillator is 50 ppm off, nobody corrects it, and the servers vanish for hours."""
    luck = random.Random(drift_ppm)
    asked = judge("a", "b", "c", drift_ppm=100, fail_ms=10_000, warn_ms=10_000)
    syncs = set()
    for true_s in range(0, 86_400, 16):
        boottime_ns = true_s * NS_PER_S + true_s * drift_ppm * 1000
        utc_ns = START_NS + true_s * NS_PER_S
        if true_s % 64 == 0 and not 30_000 <= true_s < 30_000 + outage_h * 3600:
            for name in "abc":
                half_ns = luck.randint(MS, 30 * MS)
                wrong_ns = luck.randint(-half_ns, half_ns) + (5_000 * MS if name == "c" else 0)
                asked.heard(
                    Sample(
                        source=name,
                        boottime_ns=boottime_ns,
                        utc_ns=utc_ns + wrong_ns,
                        half_ns=half_ns,
                        offset_ns=0,
                        delay_ns=MS,
                        root_dispersion_ns=MS,
                        stratum=2,
                        reference="GPS",
                    )
                )
        verdict = asked.at(Stamp(START_NS + boottime_ns, boottime_ns))
        true_offset_us = abs(boottime_ns - true_s * NS_PER_S) / 1000
        assert verdict.state.bound_us is not None
        assert true_offset_us <= verdict.state.bound_us
        assert verdict.state.bound_us <= true_offset_us + (800_000 if outage_h else 70_000)
        syncs.add(verdict.state.sync)
    assert syncs == ({"locked", "holdover"} if outage_h else {"locked"})


@pytest.mark.parametrize("leap", [Leap.INSERT, Leap.DELETE])
@pytest.mark.parametrize("kernel_knows", [True, False])
@pytest.mark.parametrize("phase_s", [0, 1, 33, 63])
def test_truth_stays_inside_through_a_leap_second(leap: Leap, kernel_knows: bool, phase_s: int) -> None:
    """Servers announce it until midnight; the kernel either steps the clock with it or does not."""
    midnight_ns = (START_NS // DAY_NS + 1) * DAY_NS
    jump_ns = -NS_PER_S if leap is Leap.INSERT else NS_PER_S
    asked = judge("a", fail_ms=3_000)
    bounds = []
    for at_s in range(-600, 600):
        boottime_ns = (1_000 + at_s) * NS_PER_S
        utc_ns = midnight_ns + at_s * NS_PER_S + (jump_ns if at_s >= 0 else 0)
        if (at_s - phase_s) % 64 == 0:
            announced = leap if at_s < 0 else Leap.NONE
            asked.heard(replace(sample("a", 0, leap=announced), boottime_ns=boottime_ns, utc_ns=utc_ns))
        if at_s < -500:
            continue
        realtime_ns = utc_ns if kernel_knows else midnight_ns + at_s * NS_PER_S
        bound_us = asked.at(Stamp(realtime_ns, boottime_ns)).state.bound_us
        assert bound_us is not None
        assert abs(realtime_ns - utc_ns) / 1000 <= bound_us
        bounds.append(bound_us)
    assert max(bounds) < 1_100_000
    if kernel_knows:
        assert bounds[-1] < 10_000
