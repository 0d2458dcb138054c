"""Compare the times that records claim with those that other parties signed: docs/format.md, section 12.5.

What contradicts is a remark in every verdict. A clock whose bound is not known is compared like any other:
who sets a clock back says nothing of its bound.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Literal

from linewitness.evidence.format.columns import RecordColumns
from linewitness.evidence.verify.attestation_age import SeenLateRecords, span
from linewitness.evidence.verify.statements import TrustedStatement
from linewitness.evidence.verify.time_bounds import (
    CITING,
    LAST_S,
    MAX_BOUND_NS,
    Citation,
    SignedTimes,
    TimeLimit,
    citation_of,
    later,
)
from linewitness.evidence.verify.verdict import MAX_REMARKS, Attestation, Remark

#: Nobody states how wrong the clocks of stores and witnesses are: less than this contradicts nothing.
MARGIN_MS: Final = 10_000
#: Between two records that one clock has stamped, without a step, its setting moves by less.
SAME_SETTING_MS: Final = 1_000
#: A receipt comes within seconds while a line is connected; a day is beyond most outages.
LONG_AFTER_S: Final = 86_400

_MAX_BOUND_MS: Final = MAX_BOUND_NS // 1_000_000
_NONE: Final = -1


@dataclass(slots=True)
class ClaimedTimes:
    """What consecutive or selected records say of their time, packed to travel between processes.

    A setting is `ingested_at` minus boot time: what the clock was set to. `boots` names the boot from a
    position on, and `cited` is what the record at a position cites. A bound of -1 is not known.
    """

    places: "array[int]" = field(default_factory=lambda: array("q"))
    claimed_ms: "array[int]" = field(default_factory=lambda: array("q"))
    bounds_ms: "array[int]" = field(default_factory=lambda: array("q"))
    settings_ms: "array[int]" = field(default_factory=lambda: array("q"))
    boots: list[tuple[int, str]] = field(default_factory=list)
    cited: list[tuple[int, Citation]] = field(default_factory=list)

    def add(self, records: RecordColumns) -> None:
        """Take the next records."""
        first = len(self.places)
        boot_id = self.boots[-1][1] if self.boots else None
        if {boot_id} != set(records.boots):
            for at, boot in enumerate(records.boots, first):
                if boot != boot_id:
                    self.boots.append((at, boot))
                    boot_id = boot
        if not CITING.isdisjoint(records.kinds):
            for at, kind in enumerate(records.kinds):
                if kind in CITING and (citation := citation_of(records.members(at))):
                    self.cited.append((first + at, citation))
        claimed_ms = [time_us // 1000 for time_us in records.ingested_us]
        self.places.extend(records.numbers)
        self.claimed_ms.extend(claimed_ms)
        self.bounds_ms.extend([_NONE if bound is None else -(-bound // 1000) for bound in records.bounds_us])
        settings_ms = [ms - uptime // 1000 for ms, uptime in zip(claimed_ms, records.uptimes_us, strict=True)]
        self.settings_ms.extend(settings_ms)


class PlausibleTimes:
    """Take the records of a stream or a selection in their order, and say what cannot be true."""

    def __init__(self, believed: Iterable[TrustedStatement]) -> None:
        """Take the statements that the right keys signed about this history."""
        self._believed = list(believed)
        self._signed = SignedTimes(self._believed)
        self._newest: TimeLimit | None = None
        self._run = _ClockRun()
        self._found: _Contradiction | None = None
        self._remarks: list[Remark] = []
        #: The claims of the records at which a statement ends, by its size; and of the last record.
        self._claimed_ms = dict.fromkeys((one.checkpoint.size for one in self._believed), _NONE)
        self.last_ms: int | None = None
        #: Records that nobody outside had seen soon.
        self.seen_late = SeenLateRecords()

    def take(self, claims: ClaimedTimes) -> None:
        """Look at the next records."""
        boots, cited = dict(claims.boots), dict(claims.cited)
        rows = zip(claims.places, claims.claimed_ms, claims.bounds_ms, claims.settings_ms, strict=True)
        for at, (place, claimed_ms, bound_ms, setting_ms) in enumerate(rows):
            self._run.follow(place, boots.get(at), setting_ms)
            citation = cited.get(at)
            if citation:
                # A record is stored after what it cites was signed, and so is all that follows.
                self._newest = later(self._newest, self._signed.cited(citation))
            after = self._signed.after(place)
            self.seen_late.take(place, claimed_ms, after.time_s if after else None)
            found = self._compared(place, claimed_ms, bound_ms, after)
            if found or self._found:
                self._note(found)
            elif citation:
                self._run.agreed = True
            if place + 1 in self._claimed_ms:
                self._claimed_ms[place + 1] = claimed_ms
        if claims.claimed_ms:
            self.last_ms = claims.claimed_ms[-1]

    def remarks(self) -> list[Remark]:
        """Return what contradicts the records, when all were taken."""
        self._note(None)
        return self._remarks[:MAX_REMARKS]

    def _compared(
        self, place: int, claimed_ms: int, bound_ms: int, after: TimeLimit | None
    ) -> "_Contradiction | None":
        credited = min(max(bound_ms, 0), _MAX_BOUND_MS)
        before = self._newest
        if before and (excess := before.time_s * 1000 - claimed_ms - credited) > MARGIN_MS:
            return _Contradiction("earlier", place, place, excess, before.who, bound_ms)
        if after and (excess := claimed_ms - credited - (after.time_s + 1) * 1000) > MARGIN_MS:
            return _Contradiction("later", place, place, excess, after.who, bound_ms)
        return None

    def _note(self, found: "_Contradiction | None") -> None:
        """Add to the run of contradictions, which makes one remark, or end it."""
        run = self._found
        if run and (found is None or found.side != run.side):
            self._remarks.append(run.remark)
            self._found = run = None
        if found is None:
            return
        if run is None:
            if found.side == "earlier" and not self._run.agreed:
                # Everything that the same clock has stamped before is as much too early.
                found.first = self._run.first
            self._run.agreed = True
            self._found = found
            return
        run.last = found.last
        if found.excess_ms > run.excess_ms:
            run.excess_ms, run.who, run.bound_ms = found.excess_ms, found.who, found.bound_ms

    def long_after(self, attested: int) -> Iterator[Remark]:
        """Say if nobody signed in time for the last of the records that the quorum covers."""
        claimed_ms = self._claimed_ms.get(attested, _NONE)
        limit = self._signed.after(attested - 1) if attested else None
        if limit is None or claimed_ms == _NONE:
            return
        waited_s = limit.time_s - claimed_ms // 1000
        if waited_s > LONG_AFTER_S:
            yield Remark(
                attested - 1,
                f"nobody outside has signed for it until {span(waited_s)} after the time that it claims:"
                f" first {limit.who}",
            )


@dataclass(slots=True)
class _ClockRun:
    """The records that one clock has stamped without being set, and whether another party confirmed it."""

    first: int = 0
    boot_id: str | None = None
    setting_ms: int = 0
    agreed: bool = False

    def follow(self, place: int, boot_id: str | None, setting_ms: int) -> None:
        """Begin anew where the boot or the setting changes; `boot_id` is None where it is the one before."""
        other_boot = boot_id is not None and boot_id != self.boot_id
        if other_boot or abs(setting_ms - self.setting_ms) > SAME_SETTING_MS:
            self.first, self.agreed = place, False
            self.boot_id = boot_id or self.boot_id
        self.setting_ms = setting_ms


@dataclass(slots=True)
class _Contradiction:
    """Records one after the other that claim to be earlier or later than others' signatures allow."""

    side: Literal["earlier", "later"]
    first: int
    last: int
    excess_ms: int
    who: str
    bound_ms: int

    @property
    def remark(self) -> Remark:
        """The sentence, with the worst of them."""
        records = f"records {self.first} to {self.last} claim" if self.last > self.first else "it claims"
        return Remark(
            self.first,
            f"{records} to have been written up to {span(self.excess_ms // 1000)} {self.side} than possible"
            f" by the clock of {self.who}, {self._bound}",
        )

    @property
    def _bound(self) -> str:
        if self.bound_ms == _NONE:
            return "and the gateway states no bound for its own"
        if self.bound_ms > _MAX_BOUND_MS:
            return "beyond the hour that counts of the bound which the gateway states for its own"
        return "beyond the bound that the gateway states for its own"


def unlikely_times(believed: Iterable[TrustedStatement]) -> Iterator[Remark]:
    """Say which signatures bear a time that cannot be: of no calendar, or against another of the same key."""
    by_key: dict[tuple[str, str], list[Attestation]] = {}
    for one in believed:
        for each in one.attestations:
            if each.time_s < LAST_S:
                by_key.setdefault((each.party, each.name), []).append(each)
            else:
                yield Remark(None, f"{one.source}: {each.name} signed at a time that is no date")
    for signed in by_key.values():
        if pair := _against_each_other(signed):
            more, fewer = pair
            yield Remark(
                None,
                f"{more.name} signed {more.size} records {span(fewer.time_s - more.time_s)} before it signed"
                f" {fewer.size} of them: one of these times is not true",
            )


def _against_each_other(signed: Iterable[Attestation]) -> tuple[Attestation, Attestation] | None:
    """Return the two signatures of one key, over more and over fewer records, that contradict most."""
    worst: tuple[Attestation, Attestation] | None = None
    excess = MARGIN_MS // 1000
    latest: Attestation | None = None
    for _, group in groupby(sorted(signed, key=_size), key=_size):
        same = list(group)
        earliest = min(same, key=_time)
        if latest and latest.time_s - earliest.time_s > excess:
            excess, worst = latest.time_s - earliest.time_s, (earliest, latest)
        latest = max([*([latest] if latest else []), *same], key=_time)
    return worst


def _size(one: Attestation) -> int:
    return one.size


def _time(one: Attestation) -> int:
    return one.time_s
