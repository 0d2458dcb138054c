"""Stretches without capture: from when to when something was not on watch, and why (docs/format.md, 12.7)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from linewitness.evidence.format.times import TIME, text_of, unix_ns
from linewitness.evidence.tpm.starts import StartCounts
from linewitness.evidence.verify.clock_rules import SILENCE_US, is_silence
from linewitness.evidence.verify.signs import CaptureSign
from linewitness.evidence.verify.verdict import CaptureStretch, Remark

#: Stretches of the gateway itself that a verdict lists, and as many of everything else; more are counted.
MAX_STRETCHES: Final = 1000
#: Devices, sources and settings that are followed at a time, each: so memory does not grow with the stream.
MAX_FOLLOWED: Final = 10_000
GATEWAY: Final = "gateway"

#: What a start and a set clock put before the record that tells them: no sign that the line was on watch.
_BESIDE: Final = frozenset(("key.rotated", "clock.stepped"))
_DEVICE: Final = re.compile(r"devices\.([^.]+)\.id")
_RECORDED: Final = re.compile(r"devices\.([^.]+)\.(.+)\.record", re.DOTALL)
#: A point with this setting, or with none, makes no records.
_TELEMETRY: Final = "telemetry"
_NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _BegunStretch:
    """A stretch that has begun."""

    since: str | None
    first: int | None
    why: str


@dataclass(slots=True)
class StretchFinder:
    """Follow the records of a stream, or some of them, and collect the stretches without capture."""

    found: list[CaptureStretch] = field(default_factory=list)
    #: Stretches beyond those that are listed.
    left_out: int = 0
    _counts: dict[bool, int] = field(default_factory=dict)
    _last: CaptureSign | None = None
    _alive: CaptureSign | None = None
    _beside: int = 0
    _off: _BegunStretch | None = None
    _full: _BegunStretch | None = None
    _up: dict[str, None] = field(default_factory=dict)
    _away: dict[str, _BegunStretch] = field(default_factory=dict)
    _gaps: dict[str, _BegunStretch] = field(default_factory=dict)
    _unset: dict[str, _BegunStretch] = field(default_factory=dict)
    counts: StartCounts = field(default_factory=StartCounts)

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What is remarkable about the starts of the gateway."""
        return tuple(Remark(at, text) for at, text in self.counts.remarks)

    def follow(self, signs: Iterable[CaptureSign]) -> None:
        """Take the next records."""
        for sign in signs:
            self._silence(sign)
            self._tell(sign)
            if sign.tenant is not None:
                self._off = None  # nobody captures here, and nothing is to be started
            if sign.kind in _BESIDE:
                self._beside += 1
            else:
                self._alive, self._beside = sign, 0
            self._last = sign

    def end(self) -> tuple[CaptureStretch, ...]:
        """Return the stretches, when all records were followed: those without an end come last."""
        if self._off:
            self._add(GATEWAY, self._off, None)
        if self._full:
            self._add(GATEWAY, self._full, None)
        for opened in (self._away, self._gaps, self._unset):
            for subject, begun in opened.items():
                self._add(subject, begun, None)
        return tuple(self.found)

    def drain(self) -> tuple[CaptureStretch, ...]:
        """Return what was found and forget it: whoever keeps it elsewhere needs no limit."""
        found, self.found = tuple(self.found), []
        self._counts.clear()
        return found

    def _tell(self, sign: CaptureSign) -> None:
        match sign.kind:
            case "stream.created":
                self._off = _began(sign, "the stream was created, and the gateway had not been started")
            case "gateway.started":
                self._started(sign)
            case "gateway.stopped":
                self._off = self._off or _began(sign, f"the gateway was off: {sign.reason}")
            case "device.lost":
                self._lost(sign)
            case "device.back":
                self._back(sign)
            case "source.gap":
                self._gap(sign)
            case "config.applied":
                self._applied(sign)
            case "journal.pressure":
                self._pressure(sign)
            case "clock.stepped":
                self._stepped(sign)

    def _open(self, opened: dict[str, _BegunStretch], subject: str, begun: _BegunStretch) -> None:
        """Remember that a stretch has begun; where too many are open, it has no end here."""
        if subject in opened or len(opened) < MAX_FOLLOWED:
            opened[subject] = begun
        else:
            self._add(subject, begun, None)

    def _add(
        self, subject: str, begun: _BegunStretch, sign: CaptureSign | None, until: str | None = None
    ) -> None:
        own = subject == GATEWAY
        self._counts[own] = self._counts.get(own, 0) + 1
        if self._counts[own] > MAX_STRETCHES:
            self.left_out += 1
            return
        end = until if until or sign is None else sign.occurred_at
        self.found.append(
            CaptureStretch(
                subject=subject,
                since=begun.since,
                until=end,
                why=begun.why,
                first=begun.first,
                last=sign.sequence_no if sign else None,
            )
        )

    def _silence(self, sign: CaptureSign) -> None:
        last = self._last
        if last is None or self._off or sign.boot_id != last.boot_id or not is_silence(last.kind, sign.kind):
            return
        if sign.sequence_no == last.sequence_no + 1 and sign.boottime_us - last.boottime_us > SILENCE_US:
            begun = _BegunStretch(
                last.ingested_at, last.sequence_no, "nothing was recorded, not even a heartbeat"
            )
            self._add(GATEWAY, begun, sign, sign.ingested_at)

    def _started(self, sign: CaptureSign) -> None:
        begun = self._off or self._crashed(sign)
        counted = self.counts.take(
            sign.sequence_no, sign.changes, stream=sign.stream, prev_hash=sign.prev_hash
        )
        self._add(GATEWAY, replace(begun, why=f"{begun.why}; {counted}"), sign)
        if self._full:
            self._add(GATEWAY, self._full, sign)
        self._off = self._full = None
        for device in self._up:
            begun = _began(sign, "not connected yet after the start of the gateway")
            self._open(self._away, device, begun)
        self._up.clear()

    def _crashed(self, sign: CaptureSign) -> _BegunStretch:
        """Return what is known where no stop is on record: the last record before."""
        last = self._alive
        if last is None:
            return _BegunStretch(None, None, "the gateway was off: what came before is not in this evidence")
        if sign.sequence_no - last.sequence_no - 1 > self._beside:
            why = "the gateway was off: its stop and the last records before it are not in this evidence"
        else:
            why = "no stop is on record: the gateway crashed, was killed, or lost its power"
        if sign.boot_id != last.boot_id:
            why += "; the machine was started again"
        return _BegunStretch(last.ingested_at, last.sequence_no, why)

    def _lost(self, sign: CaptureSign) -> None:
        begun = self._away.get(sign.device) or _began(sign, "")
        begun = _BegunStretch(begun.since, begun.first, f"not connected: {sign.reason}")
        self._open(self._away, sign.device, begun)
        self._up.pop(sign.device, None)

    def _back(self, sign: CaptureSign) -> None:
        begun = self._away.pop(sign.device, None)
        away_ms = sign.after("away_ms")
        if begun is None and type(away_ms) is int and away_ms > 0:
            begun = _BegunStretch(_earlier(sign.occurred_at, away_ms), None, "not connected")
        if begun:
            self._add(sign.device, begun, sign)
        if len(self._up) < MAX_FOLLOWED:
            self._up[sign.device] = None

    def _gap(self, sign: CaptureSign) -> None:
        """Take a gap: between two times, between two numbers, or from one on without a stated end."""
        subject = f"{sign.device}/{sign.resource}"
        if begun := self._gaps.pop(subject, None):
            self._add(subject, begun, sign)
        first, last, count = sign.after("first"), sign.after("last"), sign.after("count")
        since = first if _is_time(first) else None
        why = f"source.gap: {sign.reason}"
        if is_open_gap(sign):
            begun = _BegunStretch(since or sign.occurred_at, sign.sequence_no, why)
            self._open(self._gaps, subject, begun)
            return
        if not since:
            begin = "the beginning" if first is None else _named(first)
            why += f" ({begin} to {_named(last)})"
        if type(count) is int:
            why += f" ({count} of them)"
        until = last if _is_time(last) else sign.occurred_at
        self._add(subject, _BegunStretch(since, sign.sequence_no, why), sign, until)

    def _applied(self, sign: CaptureSign) -> None:
        """Take settings: devices and points that are named no more, or recorded no more, and again."""
        devices = [_DEVICE.fullmatch(change["field"]) for change in sign.changes]
        gone = dict.fromkeys(
            found[1]
            for change, found in zip(sign.changes, devices, strict=True)
            if found and change["after"] is None
        )
        for change, device in zip(sign.changes, devices, strict=True):
            point = _RECORDED.fullmatch(change["field"])
            if device:
                self._set(device[1], sign, named=change["after"] is not None)
            elif point and point[1] not in gone:
                before, after = (_is_recorded(change[when]) for when in ("before", "after"))
                if before != after:
                    self._set(f"{point[1]}.{point[2]}", sign, named=after)
        for device_id in gone:
            self._up.pop(device_id, None)
            if begun := self._away.pop(device_id, None):
                self._add(device_id, begun, sign)

    def _set(self, subject: str, sign: CaptureSign, *, named: bool) -> None:
        begun = self._unset.pop(subject, None)
        if named and begun:
            self._add(subject, begun, sign)
        elif not named:
            begun = begun or _began(sign, "the configuration does not record it")
            self._open(self._unset, subject, begun)

    def _pressure(self, sign: CaptureSign) -> None:
        if sign.after("level") == "full":
            self._full = self._full or _began(sign, sign.reason)
        elif self._full:
            self._add(GATEWAY, self._full, sign)
            self._full = None

    def _stepped(self, sign: CaptureSign) -> None:
        step = next((change for change in sign.changes if change["field"] == "time"), None)
        if step is None or not (_is_time(step["before"]) and _is_time(step["after"])):
            return
        before, after = step["before"], step["after"]
        why = "no record bears these times" if before < after else "records bear these times twice"
        begun = _BegunStretch(min(before, after), sign.sequence_no, f"the clock was set: {why}")
        self._add("clock", begun, sign, max(before, after))


def is_open_gap(sign: CaptureSign) -> bool:
    """Return whether a `source.gap` says that something is missing from then on, without an end."""
    first, last = sign.after("first"), sign.after("last")
    return last is None or (_is_time(first) and first == last and sign.after("count") is None)


def _began(sign: CaptureSign, why: str) -> _BegunStretch:
    return _BegunStretch(sign.occurred_at, sign.sequence_no, why)


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and TIME.fullmatch(value) is not None


def _is_recorded(value: Any) -> bool:
    return isinstance(value, str) and value != _TELEMETRY


def _named(value: Any) -> str:
    return value if isinstance(value, str) else "an unknown one"


def _earlier(time: str, away_ms: int) -> str | None:
    """Return a time by so many milliseconds earlier, None where there is no such time after 1970."""
    try:
        since_ns = unix_ns(time) - away_ms * _NS_PER_MS
    except ValueError:
        return None
    return text_of(since_ns) if since_ns >= 0 else None
