"""What a selection's own records say is missing from it: results, what met requirements, starts, losses.

docs/format.md, 12.3. A selection holds some records of a stream, and nobody can see the others. Yet each
record carries marks of what came before it, so that some omissions show: they become remarks.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from linewitness.evidence.format.times import NS_PER_S, unix_ns
from linewitness.evidence.history.met_by import MET_BY, ids_in, requirement_in
from linewitness.evidence.verify.seen_ids import SeenIds
from linewitness.evidence.verify.signs import MEETING, RESULTS, CaptureSign
from linewitness.evidence.verify.verdict import MAX_REMARKS, Remark

#: What a starting gateway writes before the record that tells the start.
_STARTING: Final = frozenset(("key.rotated", "stream.continuity"))
#: Units that a remark names.
_NAMED: Final = 10
_NS_PER_MS: Final = 1_000_000


@dataclass(slots=True)
class _Tally:
    """Results of one unit at one station since it last left, as the selection holds them."""

    ok: int = 0
    not_ok: int = 0


@dataclass(slots=True)
class UnitHistory:
    """Follow a selection's records in their order, and say what they show to be missing."""

    _remarks: list[Remark] = field(default_factory=list)
    _last: CaptureSign | None = None
    _first_ns: int | None = None
    _away: set[str] = field(default_factory=set)
    _sessions: dict[str, str] = field(default_factory=dict)
    _tallies: dict[tuple[str, str], _Tally] = field(default_factory=dict)
    _units: dict[str, None] = field(default_factory=dict)
    _open: dict[tuple[str, str], None] = field(default_factory=dict)
    _ids: SeenIds = field(default_factory=SeenIds)

    def follow(self, signs: Iterable[CaptureSign]) -> None:
        """Take the next records, with the values of those that count results."""
        for sign in signs:
            self._continues(sign)
            self._connected(sign)
            self._came_back(sign)
            self._counted(sign)
            self._met(sign)
            if sign.kind not in _STARTING:
                self._last = sign

    def remarks(self) -> tuple[Remark, ...]:
        """Return what is missing, when all records were followed."""
        if self._open:
            units = dict.fromkeys(unit for unit, _ in self._open)
            named = ", ".join(list(units)[:_NAMED]) + (", …" if len(units) > _NAMED else "")
            text = (
                f"{len(units)} of the {len(self._units)} units have no unit.left after their last result"
                f" here, so that nothing states how many results they had: {named}"
            )
            self._say(None, text)
        return tuple(self._remarks)

    def _say(self, index: int | None, text: str) -> None:
        if len(self._remarks) < MAX_REMARKS:
            self._remarks.append(Remark(index, text))

    def _continues(self, sign: CaptureSign) -> None:
        """Compare the boot and the count of clock steps with those of the record before."""
        last = self._last
        if last is None or sign.kind == "gateway.started" or sign.kind in _STARTING or sign.tenant:
            return
        if sign.boot_id != last.boot_id:
            self._missing(sign, last, "the machine was started again", "gateway.started")
        elif sign.step < last.step:
            self._missing(sign, last, "the gateway was started again", "gateway.started")
        elif sign.step > last.step and sign.kind != "clock.stepped":
            self._missing(sign, last, "the clock was set", "clock.stepped")

    def _connected(self, sign: CaptureSign) -> None:
        """Compare a device's connection with the one of its record before."""
        if not sign.session or not sign.device:
            return
        before = self._sessions.get(sign.device)
        self._sessions[sign.device] = sign.session
        if before is not None and before != sign.session and sign.kind != "device.back":
            text = f"{sign.device} was connected anew before it, and the device.back that says so is missing"
            self._say(sign.sequence_no, f"{text} here")

    def _came_back(self, sign: CaptureSign) -> None:
        """Compare how long a device says it was away with the losses that are here."""
        if self._first_ns is None:
            self._first_ns = _ns_of(sign.occurred_at)
        if sign.kind == "device.lost":
            self._away.add(sign.device)
        elif sign.kind == "device.back":
            away_ms = sign.after("away_ms")
            began_here = type(away_ms) is int and self._is_within(sign, away_ms)
            if began_here and sign.device not in self._away:
                text = f"{sign.device} was away before it, and the device.lost that says so is missing here"
                self._say(sign.sequence_no, text)
            self._away.discard(sign.device)

    def _is_within(self, back: CaptureSign, away_ms: int) -> bool:
        """Return whether a device was lost a second or more after the first record that is here."""
        since_ns = _ns_of(back.occurred_at)
        if since_ns is None or self._first_ns is None or away_ms <= 0:
            return False
        return since_ns - away_ms * _NS_PER_MS >= self._first_ns + NS_PER_S

    def _counted(self, sign: CaptureSign) -> None:
        """Compare the count of a `unit.left` with the results of the unit at its station."""
        if sign.unit is None:
            return
        key = sign.unit, sign.station
        if sign.kind in RESULTS:
            self._add(key, sign)
        elif sign.kind == "unit.entered":
            self._await(key)
        elif sign.kind == "unit.left":
            self._left(key, sign)

    def _await(self, key: tuple[str, str]) -> None:
        self._units[key[0]] = None
        self._open[key] = None

    def _add(self, key: tuple[str, str], sign: CaptureSign) -> None:
        self._await(key)
        if sign.after("counts") is False and sign.after("decoded") is not False:
            return
        tally = self._tallies.setdefault(key, _Tally())
        if sign.after("result") == "ok":
            tally.ok += 1
        else:
            tally.not_ok += 1

    def _left(self, key: tuple[str, str], sign: CaptureSign) -> None:
        self._units[key[0]] = None
        self._open.pop(key, None)
        here = self._tallies.pop(key, None) or _Tally()
        ok, not_ok = sign.after("results_ok"), sign.after("results_not_ok")
        if type(ok) is not int or type(not_ok) is not int:
            return
        if here.ok < ok or here.not_ok < not_ok:
            text = (
                f"the unit {key[0]} left with {ok} good results and {not_ok} others, and here are {here.ok}"
                f" and {here.not_ok} of them: some are missing"
            )
            self._say(sign.sequence_no, text)

    def _met(self, sign: CaptureSign) -> None:
        """Compare what met a requirement with the records before it, of which it must be one."""
        if sign.kind in MEETING and sign.unit is not None:
            for requirement, event_ids in _met_requirements(sign):
                if missing := [each for each in event_ids if each not in self._ids]:
                    self._say(sign.sequence_no, _not_here(sign, sign.unit, requirement, missing))
        self._ids.add(sign.event_id)

    def _missing(self, sign: CaptureSign, last: CaptureSign, what: str, kind: str) -> None:
        text = f"{what} since record {last.sequence_no}, and the {kind} that says so is missing here"
        self._say(sign.sequence_no, text)


def _ns_of(time: str) -> int | None:
    """Return the Unix nanoseconds of a record's time, None where it is no date."""
    try:
        return unix_ns(time)
    except ValueError:
        return None


def _met_requirements(sign: CaptureSign) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each requirement of which a record says by which others it was met, with the ids of these."""
    for change in sign.changes:
        field = change["field"]
        if sign.kind == "unit.left":
            requirement = requirement_in(field)
        else:
            requirement = sign.resource if field == MET_BY else None
        if requirement is not None:
            yield requirement, ids_in(change["after"])


def _not_here(sign: CaptureSign, unit: str, requirement: str, missing: list[str]) -> str:
    """Say by which missing records a requirement was met."""
    named = ", ".join(missing[:_NAMED]) + (", …" if len(missing) > _NAMED else "")
    by = f"record {named}, which is" if len(missing) == 1 else f"records {named}, which are"
    if sign.kind == "unit.left":
        return f"the unit {unit} left with the requirement {requirement} met by {by} missing here"
    return f"the requirement {requirement} of the unit {unit} was met by {by} missing here"
