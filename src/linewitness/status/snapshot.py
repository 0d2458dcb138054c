"""The whole line at one moment, gathered for the status page, the metrics and the health check."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Final, Protocol

from linewitness.base.certificates import Expiry
from linewitness.base.clock import NS_PER_S, Clock, monotonic, to_rfc3339
from linewitness.base.log_limits import LogFigures
from linewitness.evidence.format.record import parse
from linewitness.journal.generations.ended import EndedRest
from linewitness.journal.generations.generation import Conflict
from linewitness.journal.journal import Journal
from linewitness.journal.pressure import Level, Room
from linewitness.journal.reader import Figures, JournalReader
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.status.backlog import DrainRate, drain_rate
from linewitness.status.health import Health, NoticeCounts
from linewitness.status.list_rows import ListRow
from linewitness.status.problems.line import problems_of
from linewitness.status.problems.problem import LineProblem
from linewitness.status.rows import (
    DeviceRow,
    EventRow,
    LineFacts,
    StationRow,
    device_row,
    event_row,
    station_row,
)
from linewitness.status.running_file import RunningList, RunningPolls, RunningProblem, RunningState
from linewitness.status.signed_size import SignedSize
from linewitness.timesources.judge import ClockVerdict

#: The journal is asked at most this often, whatever the number of requests.
FRESH_S: Final = 1.0
EVENTS: Final = 20
#: Heartbeats, clock states and receipts are recorded each minute: they would hide the rest.
ROUTINE: Final = frozenset({"gateway.heartbeat", "clock.status", "custody.received"})
_LOOKED_AT: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything at one moment; times in nanoseconds of Unix time, or seconds where the name says so."""

    now_ns: int
    line: LineFacts
    devices: tuple[DeviceRow, ...]
    stations: tuple[StationRow, ...]
    uplink_state: str
    uplink_why: str
    answers_ignored: int
    figures: Figures
    signed: SignedSize | None
    drain: DrainRate
    notices: NoticeCounts
    room: Room
    level: Level
    verdict: ClockVerdict | None
    offsets_us: tuple[int | None, ...]
    dropped: dict[str, int]
    expiries: tuple[Expiry, ...]
    log: LogFigures
    events: tuple[EventRow, ...]
    problems: tuple[LineProblem, ...]
    lists: tuple[ListRow, ...] = ()

    @property
    def healthy(self) -> bool:
        """Return whether there is no alarm."""
        return not any(problem.alarm for problem in self.problems)


class Board(Protocol):
    """Where the clock watch leaves its verdicts."""

    @property
    def verdict(self) -> ClockVerdict | None:
        """The newest verdict."""

    @property
    def history(self) -> Iterable[ClockVerdict]:
        """A day of verdicts, one a minute."""


class SnapshotSource(Protocol):
    """What the status page asks."""

    async def snapshot(self) -> Snapshot:
        """Return the line as it is."""


class Overview:
    """Gather snapshots from the figures that the parts keep; the journal is asked in its reader's thread."""

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
        rests: Sequence[EndedRest] = (),
        lists: Callable[[], tuple[ListRow, ...]] = tuple,
    ) -> None:
        """Take the parts; nothing is read yet. `rests` are of ended journals, which grow no more."""
        self._lists = lists
        self._journal = journal
        self._telemetry = telemetry
        self._health = health
        self._board = board
        self._clock = clock
        self._line = line
        self._expiries = expiries
        self._rests = rests
        self._taken = float("-inf")
        self._newest: Snapshot | None = None
        self._uplink_since: tuple[float | None, str] = (None, "")

    async def snapshot(self) -> Snapshot:
        """Return the line as it is, at most a second old."""
        if self._newest is None or monotonic() - self._taken > FRESH_S:
            self._taken = monotonic()
            self._newest = await self._take()
        return self._newest

    async def running_state(self) -> RunningState:
        """Return what `linewitness status` is to know, without the journal's figures."""
        now_ns, health = self._clock.stamp().realtime_ns, self._health
        if self._uplink_since[0] != health.uplink_at:
            for_s = monotonic() - health.uplink_at
            for_ns = int(for_s * NS_PER_S) if isfinite(for_s) else 0
            self._uplink_since = (health.uplink_at, to_rfc3339(now_ns - for_ns))
        devices = tuple(device_row(facts, health, {}, now_ns) for facts in self._line().devices)
        frozen = await self._journal.read(_why_frozen)
        problems = self._problems(devices, tuple(self._expiries()), now_ns, frozen)
        return RunningState(
            health.uplink_state,
            health.uplink_why,
            self._uplink_since[1],
            tuple(RunningProblem(**asdict(problem)) for problem in problems),
            self._journal.pressure.room_left.hours_left,
            {
                row.facts.id: RunningPolls(polls.due, polls.missed, polls.cut)
                for row in devices
                if (polls := row.health.polls).due
            },
            tuple(RunningList.of(row, now_ns) for row in self._lists()),
        )

    def _problems(
        self, devices: tuple[DeviceRow, ...], expiries: tuple[Expiry, ...], now_ns: int, frozen: str
    ) -> tuple[LineProblem, ...]:
        self._health.wait_for_receipt(self._journal.head.size - self._health.receipted)
        return problems_of(
            self._health,
            level=self._journal.pressure.level,
            refusal=self._journal.pressure.refusal,
            devices=devices,
            verdict=self._board.verdict,
            expiries=expiries,
            now_ns=now_ns,
            rests=self._rests,
            frozen=frozen,
            lists=self._lists(),
        )

    async def _take(self) -> Snapshot:
        now_ns = self._clock.stamp().realtime_ns
        figures, signed, drain, state, events = await self._journal.read(lambda reader: _look(reader, now_ns))
        frozen = await self._journal.read(_why_frozen)
        line, health, pressure = self._line(), self._health, self._journal.pressure
        devices = tuple(device_row(facts, health, state, now_ns) for facts in line.devices)
        expiries = tuple(self._expiries())
        return Snapshot(
            now_ns=now_ns,
            line=line,
            devices=devices,
            stations=tuple(station_row(*station, state) for station in line.stations),
            uplink_state=health.uplink_state,
            uplink_why=health.uplink_why,
            answers_ignored=health.answers_ignored,
            figures=figures,
            signed=signed,
            drain=drain,
            notices=replace(health.notices),
            room=pressure.room_left,
            level=pressure.level,
            verdict=self._board.verdict,
            offsets_us=tuple(past.offset_us for past in self._board.history),
            dropped=dict(self._telemetry.dropped),
            expiries=expiries,
            log=health.log(),
            events=events,
            problems=self._problems(devices, expiries, now_ns, frozen),
            lists=self._lists(),
        )


def _why_frozen(reader: JournalReader) -> str:
    """Return why the stream is frozen, or nothing where it is not."""
    if not reader.frozen:
        return ""
    known = Conflict.of(reader)
    return f"the stream is frozen: {known.what if known else 'another history of it exists'}"


def _look(
    reader: JournalReader, now_ns: int
) -> tuple[Figures, SignedSize | None, DrainRate, dict[str, str], tuple[EventRow, ...]]:
    figures = reader.figures()
    drain = drain_rate(reader, pending=figures.pending, now_ns=now_ns)
    first = max(figures.oldest, figures.size - _LOOKED_AT)
    found: list[EventRow] = []
    for sequence_no, data in reversed(list(reader.records(first, figures.size))):
        members = parse(data)
        if members["kind"] not in ROUTINE:
            found.append(event_row(sequence_no, members))
        if len(found) == EVENTS:
            break
    state = {**reader.state("capture/"), **reader.state("station/")}
    return figures, SignedSize.of(reader), drain, state, tuple(found)
