"""Judge the machine's clock by what its sources said: is it locked, and how wrong may it be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from linewitness.base.clock import NS_PER_MS, NS_PER_S, ClockState, Stamp, Sync
from linewitness.timesources.filter import KEPT, SourceFilter, agreement, falsetickers
from linewitness.timesources.options import ClockOptions
from linewitness.timesources.sample import Interval, Leap, Sample

CHRONY: Final = "chrony"
#: A limit that was passed counts as passed until the bound is this much below it again.
HYSTERESIS: Final = 0.8

Standing = Literal["agrees", "false", "unused", "old", "unheard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceView:
    """What is known of one source now, for people."""

    name: str
    standing: Standing
    offset_us: int | None = None
    half_us: int | None = None
    delay_us: int | None = None
    root_dispersion_us: int | None = None
    stratum: int | None = None
    reference: str | None = None
    leap: Leap = Leap.NONE
    age_s: int | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockVerdict:
    """What is known of CLOCK_REALTIME at one stamp.

    `offset_us` is UTC minus CLOCK_REALTIME as best known; the clock is wrong by at most `state.bound_us`
    if fewer than half of the sources are false.
    """

    stamp: Stamp
    state: ClockState
    offset_us: int | None
    warning: bool
    leap: Leap
    reason: str
    sources: tuple[SourceView, ...]

    def named(self, standing: Standing) -> str:
        """Return the sources with this standing, as text."""
        return ", ".join(source.name for source in self.sources if source.standing == standing)


class Judge:
    """Keep what the sources said and judge at any time. Knows no network and no clock."""

    def __init__(self, options: ClockOptions) -> None:
        """Start without having heard anything."""
        self._options = options
        names = [CHRONY] if options.chrony != "off" else []
        names += [server for server in options.ntp if options.chrony != "on"]
        # chrony weighs its own samples and steers the oscillator: its newest word replaces the older ones.
        self._filters = {name: SourceFilter(kept=1 if name == CHRONY else KEPT) for name in names}
        self._troubles: dict[str, str] = {}
        self._warning = False
        self._failing = False

    def heard(self, sample: Sample) -> None:
        """Take a good answer."""
        self._filters[sample.source].add(sample, self._options.drift_ppm)
        self._troubles.pop(sample.source, None)

    def not_heard(self, source: str, why: str) -> None:
        """Record that a source gave no usable answer."""
        self._troubles[source] = why

    def is_fresh(self, source: str, stamp: Stamp) -> bool:
        """Return whether a source's newest answer is young enough to be locked to."""
        newest = self._filters[source].newest if source in self._filters else None
        limit_ns = self._options.holdover_s * NS_PER_S
        return newest is not None and stamp.boottime_ns - newest.boottime_ns <= limit_ns

    def at(self, stamp: Stamp) -> ClockVerdict:
        """Judge the clock as it reads at `stamp`."""
        best = self._best(stamp)
        voters = self._voters(best, stamp)
        intervals = {name: best[name].interval(stamp.boottime_ns, self._options.drift_ppm) for name in voters}
        agreed = agreement(intervals) if intervals else None
        liars = set(falsetickers(intervals, agreed)) if agreed else set(voters)
        state, offset_us, reason = self._state(agreed, voters, stamp)
        good = [name for name in voters if name not in liars]
        return ClockVerdict(
            stamp=stamp,
            state=state,
            offset_us=offset_us,
            warning=self._warning,
            leap=_leap([best[name] for name in good if self.is_fresh(name, stamp)]),
            reason=reason,
            sources=tuple(self._views(best, voters, liars, stamp)),
        )

    def _best(self, stamp: Stamp) -> dict[str, Sample]:
        drift = self._options.drift_ppm
        found = {name: kept.best(stamp.boottime_ns, drift) for name, kept in self._filters.items()}
        return {name: sample for name, sample in found.items() if sample is not None}

    def _voters(self, best: Mapping[str, Sample], stamp: Stamp) -> list[str]:
        """Return who counts: chrony alone while it answers, or the servers; the silent only if all are."""
        fresh = [name for name in best if self.is_fresh(name, stamp)]
        if CHRONY in fresh:
            return [CHRONY]
        if fresh:
            return fresh
        servers = [name for name in best if name != CHRONY]
        return servers or list(best)

    def _state(
        self, agreed: Interval | None, voters: list[str], stamp: Stamp
    ) -> tuple[ClockState, int | None, str]:
        if agreed is None:
            self._warning = True
            reason = "the sources contradict each other" if voters else "no source has answered yet"
            return ClockState("unsynced", None), None, self._with_troubles(reason)
        wrong_low = stamp.boottime_ns + agreed.low_ns - stamp.realtime_ns
        wrong_high = stamp.boottime_ns + agreed.high_ns - stamp.realtime_ns
        # The state is used until the next judgement, so it must hold until then.
        until_next_ns = int(2 * self._options.stamp_s * NS_PER_S) * self._options.drift_ppm // 1_000_000
        bound_ns = max(abs(wrong_low), abs(wrong_high)) + until_next_ns
        self._warning = _beyond(bound_ns, self._options.warn_ms, was=self._warning)
        self._failing = _beyond(bound_ns, self._options.fail_ms, was=self._failing)
        sync, reason = self._sync(voters, stamp)
        offset_us = (wrong_low + wrong_high) // 2 // 1000
        return ClockState(sync, -(-bound_ns // 1000)), offset_us, reason

    def _sync(self, voters: list[str], stamp: Stamp) -> tuple[Sync, str]:
        if self._failing:
            limit = self._options.fail_ms
            return "unsynced", self._with_troubles(f"the clock may be wrong by more than {limit} ms")
        if any(self.is_fresh(name, stamp) for name in voters):
            return "locked", f"{len(voters)} source{'s' * (len(voters) != 1)} answering"
        reason = f"no source has answered for {self._options.holdover_s} s"
        return "holdover", self._with_troubles(reason)

    def _with_troubles(self, reason: str) -> str:
        troubles = "; ".join(f"{name}: {why}" for name, why in sorted(self._troubles.items()))
        return f"{reason}: {troubles}" if troubles else reason

    def _views(
        self, best: Mapping[str, Sample], voters: Iterable[str], liars: set[str], stamp: Stamp
    ) -> Iterable[SourceView]:
        for name, kept in self._filters.items():
            sample, newest = best.get(name), kept.newest
            trouble = self._troubles.get(name, "")
            if sample is None or newest is None:
                yield SourceView(name=name, standing="unheard", trouble=trouble)
                continue
            half = sample.interval(stamp.boottime_ns, self._options.drift_ppm).width_ns // 2
            yield SourceView(
                name=name,
                standing=self._standing(name, set(voters), liars, stamp),
                offset_us=(sample.utc_ns - sample.boottime_ns + stamp.boottime_ns - stamp.realtime_ns)
                // 1000,
                half_us=half // 1000,
                delay_us=sample.delay_ns // 1000,
                root_dispersion_us=sample.root_dispersion_ns // 1000,
                stratum=newest.stratum,
                reference=newest.reference,
                leap=newest.leap,
                age_s=(stamp.boottime_ns - newest.boottime_ns) // NS_PER_S,
                trouble=trouble,
            )

    def _standing(self, name: str, voters: set[str], liars: set[str], stamp: Stamp) -> Standing:
        if name in liars:
            return "false"
        if not self.is_fresh(name, stamp):
            return "old"
        return "agrees" if name in voters else "unused"


def _beyond(bound_ns: int, limit_ms: int, *, was: bool) -> bool:
    limit_ns = limit_ms * NS_PER_MS
    return bound_ns > (limit_ns * HYSTERESIS if was else limit_ns)


def _leap(samples: list[Sample]) -> Leap:
    """Return the leap second that more than half of the sources announce."""
    for leap in (Leap.INSERT, Leap.DELETE):
        if sum(sample.leap is leap for sample in samples) * 2 > len(samples):
            return leap
    return Leap.NONE
