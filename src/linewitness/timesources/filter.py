"""Weigh samples: the best one of each source, and what a majority of the sources agrees on."""

from collections.abc import Iterable, Mapping
from typing import Final

from linewitness.timesources.sample import Interval, Sample

#: Samples kept of each source (the clock filter of RFC 5905 keeps as many).
KEPT: Final = 8


class SourceFilter:
    """The last samples of one source.

    Round trips differ by queues; the quickest is the most exact. A sample is preferred by the width of what
    it still says, so an old one loses its lead as the local oscillator drifts.
    """

    def __init__(self, *, kept: int = KEPT) -> None:
        """Start without a sample."""
        self._kept = kept
        self._samples: list[Sample] = []

    def add(self, sample: Sample, drift_ppm: int) -> None:
        """Keep a sample, and forget older ones that contradict it.

        Both cannot be true: the source was set, a leap second passed, or our oscillator was steered.
        """
        agreeing = [
            older
            for older in self._samples
            if _overlap(
                older.interval(sample.boottime_ns, drift_ppm), sample.interval(sample.boottime_ns, drift_ppm)
            )
        ]
        self._samples = [*agreeing, sample][-self._kept :]

    def best(self, boottime_ns: int, drift_ppm: int) -> Sample | None:
        """Return the sample that says most at this time, or None before the first one."""
        return min(
            self._samples,
            key=lambda sample: sample.interval(boottime_ns, drift_ppm).width_ns,
            default=None,
        )

    @property
    def newest(self) -> Sample | None:
        """The sample that came last."""
        return self._samples[-1] if self._samples else None


def agreement(intervals: Mapping[str, Interval]) -> Interval | None:
    """Return where truth lies if a majority of the sources is right, or None if no majority agrees.

    It is the smallest interval that holds every point that more than half of the sources allow: as long as
    fewer than half of them are false, truth is one of these points.
    """
    edges = sorted(
        [(interval.low_ns, 0) for interval in intervals.values()]
        + [(interval.high_ns, 1) for interval in intervals.values()]
    )  # at one point, beginnings come before ends: touching is agreeing
    majority = len(intervals) // 2 + 1
    inside = 0
    low: int | None = None
    high: int | None = None
    for edge, is_end in edges:
        if is_end:
            if inside >= majority:
                high = edge
            inside -= 1
        else:
            inside += 1
            if inside >= majority and low is None:
                low = edge
    if low is None or high is None:
        return None
    return Interval(low_ns=low, high_ns=high)


def falsetickers(intervals: Mapping[str, Interval], agreed: Interval) -> Iterable[str]:
    """Return the sources that allow no point of what the majority agrees on, by name."""
    return sorted(name for name, interval in intervals.items() if not _overlap(interval, agreed))


def _overlap(one: Interval, other: Interval) -> bool:
    return one.low_ns <= other.high_ns and other.low_ns <= one.high_ns
