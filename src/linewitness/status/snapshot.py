"""The whole line at one moment, gathered for the status page, the metrics and the health check."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from linewitness.base.certificates import WARN_DAYS, Expiry
from linewitness.base.clock import NS_PER_S, Clock, monotonic
from linewitness.evidence.format.record import parse
from linewitness.journal.journal import Journal
from linewitness.journal.pressure import Level, Room
from linewitness.journal.reader import Figures, JournalReader
from linewitness.journal.telemetry import TelemetryBuffer
from linewitness.status.health import DeviceHealth, Health
from linewitness.timesources.judge import ClockVerdict

#: However many look, the journal is asked at most this often.
FRESH_S: Final = 1.0
EVENTS: Final = 20
#: Heartbeats and statements about the clock and custody come by the minute: they would hide the rest.
ROUTINE: Final = frozenset({"gateway.heartbeat", "clock.status", "custody.received"})
_LOOKED_AT: Final = 400
#: Of a result so many values are shown.
_VALUES: Final = 3
_NOT_GOOD: Final = frozenset({"low", "high", "nok", "notok", "not_ok"})


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What the YAML says of a device."""

    id: str
    driver: str
    description: str
    station: str | None


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What the YAML says of the line, as it is now."""

    name: str
    tenant: str
    plant: str
    line: str
    gateway: str
    stream: str
    version: str
    devices: tuple[DeviceFacts, ...]
    stations: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device: what it is and how it does."""

    facts: DeviceFacts
    health: DeviceHealth
    since_s: int | None


@dataclass(frozen=True, slots=True)
class StationRow:
    """One station: its unit, how that was recognised, good results and others, and who works there."""

    id: str
    name: str
    unit: str | None
    by: str | None
    results: tuple[int, int]
    operator: str | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """One of the last records, for people."""

    sequence_no: int
    at: str
    kind: str
    resource: str
    where: str
    says: str
    good: bool


@dataclass(frozen=True, slots=True)
class LineProblem:
    """What needs attention: an alarm now, a warning in time; and what to do."""

    alarm: bool
    what: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything at one moment; times in nanoseconds of Unix time, or seconds where the name says so."""

    now_ns: int
    line: LineFacts
    devices: tuple[DeviceRow, ...]
    stations: tuple[StationRow, ...]
    uplink_state: str
    uplink_why: str
    figures: Figures
    room: Room
    level: Level
    verdict: ClockVerdict | None
    offsets_us: tuple[int | None, ...]
    dropped: dict[str, int]
    expiries: tuple[Expiry, ...]
    events: tuple[EventRow, ...]
    problems: tuple[LineProblem, ...]

    @property
    def healthy(self) -> bool:
        """Say whether nobody has to come at once."""
        return not any(problem.alarm for problem in self.problems)


class Board(Protocol):
    """Where the watch of the clock shows what it knows."""

    @property
    def verdict(self) -> ClockVerdict | None:
        """The newest verdict."""

    @property
    def history(self) -> Iterable[ClockVerdict]:
        """A day of verdicts, one a minute."""


class Overview:
    """Gather snapshots; the parts keep their figures anyway, the journal is asked in its reader's thread."""

    def __init__(
        self,
        *,
        journal: Journal,
        telemetry: TelemetryBuffer,
        health: Health,
        board: Board,
        clock: Clock,
        line: Callable[[], LineFacts],
        expiries: Callable[[], Sequence[Expiry]],
    ) -> None:
        """Take the parts; nothing is read yet."""
        self._journal = journal
        self._telemetry = telemetry
        self._health = health
        self._board = board
        self._clock = clock
        self._line = line
        self._expiries = expiries
        self._taken = float("-inf")
        self._newest: Snapshot | None = None

    async def snapshot(self) -> Snapshot:
        """Return the line as it is, at most a second old."""
        if self._newest is None or monotonic() - self._taken > FRESH_S:
            self._taken = monotonic()
            self._newest = await self._take()
        return self._newest

    async def _take(self) -> Snapshot:
        figures, state, events = await self._journal.read(_look)
        now_ns = self._clock.stamp().realtime_ns
        line, health, pressure = self._line(), self._health, self._journal.pressure
        devices = tuple(_device(facts, health, state, now_ns) for facts in line.devices)
        expiries = tuple(self._expiries())
        verdict = self._board.verdict
        return Snapshot(
            now_ns=now_ns,
            line=line,
            devices=devices,
            stations=tuple(_station(*station, state) for station in line.stations),
            uplink_state=health.uplink_state,
            uplink_why=health.uplink_why,
            figures=figures,
            room=pressure.room_left,
            level=pressure.level,
            verdict=verdict,
            offsets_us=tuple(past.offset_us for past in self._board.history),
            dropped=dict(self._telemetry.dropped),
            expiries=expiries,
            events=events,
            problems=(
                *_problems_of_custody(health, pressure.level),
                *(problem for device in devices for problem in _problems_of(device)),
                *_problems_of_clock(verdict),
                *_problems_of_certificates(expiries, now_ns),
            ),
        )


def _look(reader: JournalReader) -> tuple[Figures, dict[str, str], tuple[EventRow, ...]]:
    figures = reader.figures()
    first = max(figures.oldest, figures.size - _LOOKED_AT)
    found: list[EventRow] = []
    for sequence_no, data in reversed(list(reader.records(first, figures.size))):
        members = parse(data)
        if members["kind"] not in ROUTINE:
            found.append(_event(sequence_no, members))
        if len(found) == EVENTS:
            break
    return figures, {**reader.state("capture/"), **reader.state("station/")}, tuple(found)


def _event(sequence_no: int, members: dict[str, Any]) -> EventRow:
    context = members.get("context", {})
    where = [context[name] for name in ("station_id", "device_id") if name in context]
    parent = members["resource"].get("parent")
    resource = f"{members['resource']['id']} of {parent['id']}" if parent else members["resource"]["id"]
    changes = members["changes"]
    return EventRow(
        sequence_no,
        members["occurred_at"],
        members["kind"],
        resource,
        " · ".join(where),
        _says(members["kind"], changes) or members["reason"],
        not any(change.get("status") in _NOT_GOOD for change in changes),
    )


def _says(kind: str, changes: list[dict[str, Any]]) -> str:
    """Return the values of a change or a result in a few words, or nothing."""
    if kind == "parameter.changed" and changes:
        change = changes[0]
        before = "nothing" if change["before"] is None else change["before"]
        return f"{before} → {change['after']} {change.get('unit', '')}".rstrip()
    if kind in ("tightening.result", "measurement.result"):
        measured = [change for change in changes if "unit" in change][:_VALUES]
        return ", ".join(f"{change['field']} {change['after']} {change['unit']}" for change in measured)
    return ""


def _device(facts: DeviceFacts, health: Health, state: dict[str, str], now_ns: int) -> DeviceRow:
    seen = orjson.loads(state.get(f"capture/{facts.id}", "{}"))
    since_s = max(0, now_ns - seen["since_ns"]) // NS_PER_S if "since_ns" in seen else None
    return DeviceRow(facts, health.devices.get(facts.id, DeviceHealth()), since_s)


def _station(name: str, title: str, state: dict[str, str]) -> StationRow:
    operator = state.get(f"station/{name}/operator")
    if (held := state.get(f"station/{name}/unit")) is None:
        return StationRow(name, title, None, None, (0, 0), operator)
    serial, by, counts = orjson.loads(held)
    whole = [pair for key, pair in counts.items() if key.endswith("|")]
    return StationRow(
        name, title, serial, by, (sum(pair[0] for pair in whole), sum(pair[1] for pair in whole)), operator
    )


def _problems_of(device: DeviceRow) -> Iterable[LineProblem]:
    state, name = device.health.state, device.facts.id
    if state == "refused":
        yield LineProblem(
            True, f"{name} refuses us: {device.health.why}", "a person must act; asked again each minute"
        )
    elif state == "lost":
        yield LineProblem(
            False, f"{name} is away: {device.health.why}", "it is tried again every few seconds"
        )


def _problems_of_custody(health: Health, level: Level) -> Iterable[LineProblem]:
    if health.damage:
        yield LineProblem(
            True,
            f"the journal is damaged: {health.damage}",
            "export what is good, look at the disk; capture goes on",
        )
    if level is Level.FULL:
        yield LineProblem(
            True,
            "the journal is full: devices are no longer confirmed, they keep their results",
            "bring the audit store back, free the disk, or raise journal.max_size",
        )
    elif level > Level.NORMAL:
        yield LineProblem(
            level is Level.CRITICAL,
            "the journal fills up",
            "bring the audit store back, or give it more disk",
        )
    if health.uplink_state == "conflict":
        yield LineProblem(
            True, f"the audit store contradicts this journal: {health.uplink_why}", "call a person"
        )
    elif health.uplink_state == "refused":
        yield LineProblem(True, f"the broker refuses us: {health.uplink_why}", "records wait in the journal")
    elif health.uplink_state == "away":
        yield LineProblem(False, f"the broker is away: {health.uplink_why}", "records wait in the journal")


def _problems_of_clock(verdict: ClockVerdict | None) -> Iterable[LineProblem]:
    if verdict is not None and (verdict.warning or verdict.state.sync == "unsynced"):
        yield LineProblem(False, f"the clock: {verdict.reason}", "records say so; see docs/time.md")


def _problems_of_certificates(expiries: Iterable[Expiry], now_ns: int) -> Iterable[LineProblem]:
    for expiry in expiries:
        days = expiry.days_left(now_ns)
        if days < WARN_DAYS:
            when = f"ends in {days} days" if days >= 0 else f"ended {-days} days ago"
            yield LineProblem(days < 0, f"the certificate {expiry.setting} {when}", f"replace {expiry.file}")
