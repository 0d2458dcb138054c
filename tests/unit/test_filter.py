"""The best sample of a source, and what a majority of sources agrees on."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from linewitness.base.clock import NS_PER_S
from linewitness.timesources.filter import KEPT, SourceFilter, agreement, falsetickers
from linewitness.timesources.sample import Interval, Sample

MS = 1_000_000


def sample(*, at_s: float = 0, offset_ms: float = 0, half_ms: float = 1) -> Sample:
    boottime_ns = int(at_s * NS_PER_S)
    return Sample(
        source="ntp-1",
        boottime_ns=boottime_ns,
        utc_ns=boottime_ns + int(offset_ms * MS),
        half_ns=int(half_ms * MS),
        offset_ns=0,
        delay_ns=int(half_ms * 2 * MS),
        root_dispersion_ns=0,
        stratum=1,
        reference="GPS",
    )


def span(low: int, high: int) -> Interval:
    return Interval(low_ns=low, high_ns=high)


def test_the_quickest_answer_counts_until_drift_makes_a_newer_one_better() -> None:
    kept = SourceFilter()
    quick, slow = sample(at_s=0, half_ms=1), sample(at_s=60, half_ms=5)
    kept.add(quick, 10)
    kept.add(slow, 10)
    assert kept.best(60 * NS_PER_S, 10) is quick
    assert kept.best(60 * NS_PER_S, 1000) is slow
    assert kept.newest is slow


def test_an_interval_grows_by_the_drift_in_both_directions_of_time() -> None:
    found = sample(half_ms=1).interval(1000 * NS_PER_S, 100)
    assert found == Interval(low_ns=-101 * MS - 1, high_ns=101 * MS + 1)
    assert sample(half_ms=1).interval(-1000 * NS_PER_S, 100).width_ns == found.width_ns


def test_an_answer_that_contradicts_older_ones_replaces_them() -> None:
    kept = SourceFilter()
    for at_s in range(4):
        kept.add(sample(at_s=at_s, half_ms=1), 100)
    after_leap = sample(at_s=5, offset_ms=-1000, half_ms=20)
    kept.add(after_leap, 100)
    assert kept.best(5 * NS_PER_S, 100) is after_leap


def test_only_the_last_samples_are_kept() -> None:
    kept = SourceFilter()
    for at_s in range(KEPT + 3):
        kept.add(sample(at_s=at_s), 100)
    best = kept.best(0, 100)
    assert best is not None
    assert best.boottime_ns == 3 * NS_PER_S
    assert replace(best, boottime_ns=0) == replace(sample(at_s=3), boottime_ns=0)


def test_one_of_three_may_lie() -> None:
    said = {"a": span(0, 10), "b": span(5, 15), "liar": span(1000, 1010)}
    agreed = agreement(said)
    assert agreed == span(5, 10)
    assert list(falsetickers(said, agreed)) == ["liar"]


def test_a_liar_beside_the_truth_widens_the_answer_instead_of_moving_it() -> None:
    assert agreement({"a": span(0, 10), "b": span(4, 6), "liar": span(9, 20)}) == span(4, 10)


def test_two_that_contradict_each_other_prove_nothing() -> None:
    assert agreement({"a": span(0, 10), "b": span(11, 20)}) is None


def test_touching_is_agreeing() -> None:
    assert agreement({"a": span(0, 10), "b": span(10, 20)}) == span(10, 10)


def test_one_source_is_believed_and_none_is_not() -> None:
    assert agreement({"a": span(3, 4)}) == span(3, 4)
    assert agreement({}) is None


@given(
    honest=st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=6),
    liars=st.lists(st.tuples(st.integers(-3000, 3000), st.integers(0, 2000)), max_size=5),
    truth=st.integers(-500, 500),
)
def test_truth_lies_inside_as_long_as_fewer_than_half_lie(
    honest: list[tuple[int, int]], liars: list[tuple[int, int]], truth: int
) -> None:
    said = {f"honest-{n}": span(truth - low, truth + high) for n, (low, high) in enumerate(honest)}
    false = liars[: max(0, len(honest) - 1)]
    said |= {f"liar-{n}": span(low, low + width) for n, (low, width) in enumerate(false)}
    agreed = agreement(said)
    assert agreed is not None
    assert agreed.low_ns <= truth <= agreed.high_ns
    assert not [name for name in falsetickers(said, agreed) if name.startswith("honest")]
