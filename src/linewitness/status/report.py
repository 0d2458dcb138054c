"""The state of a line, read from its journal alone, whether or not a gateway runs on it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

import orjson

from linewitness.base.clock import NS_PER_S, SystemClock, from_rfc3339
from linewitness.base.errors import ExitCode
from linewitness.evidence.format.record import parse
from linewitness.journal.attestations import FAILING
from linewitness.journal.generations.ended import HAND_OVER, rests_of
from linewitness.journal.generations.generation import Conflict
from linewitness.journal.options import JournalOptions
from linewitness.journal.pressure import bytes_left
from linewitness.journal.reader import JournalReader
from linewitness.stations.shares.allowance import PREFIX, AboveShare
from linewitness.status import views
from linewitness.status.backlog import DrainRate, drain_rate
from linewitness.status.clock_history import history_of
from linewitness.status.running_file import RunningList, RunningPolls, RunningState, read_running
from linewitness.status.signed_size import SignedSize

_LAST: int = 500
_HOUR_S: int = 3600

LineTrouble = Literal["frozen", "full", "stopped"]
#: What `linewitness status` ends with: that of the first trouble in this order.
TROUBLE_CODES: Final[Mapping[LineTrouble, ExitCode]] = MappingProxyType(
    {
        "frozen": ExitCode.BROKEN,
        "full": ExitCode.JOURNAL,
        # As of `systemctl status`: nothing runs.
        "stopped": ExitCode.REFUSED,
    }
)
_WHAT: Final[Mapping[LineTrouble, str]] = MappingProxyType(
    {
        "frozen": "another history of this stream exists: nothing is sent or deleted any more",
        "full": "there is no room: devices are not confirmed, they keep their results",
        "stopped": "no gateway runs: what follows is how it left the line",
    }
)


@dataclass(frozen=True, slots=True)
class DeviceLine:
    """One device: whether it is connected, and the sentence for people."""

    name: str
    state: str
    why: str
    clock_ahead_ms: int | None
    polls: RunningPolls | None = None

    @property
    def text(self) -> str:
        """The device in one line: its clock's offset where it was measured lately, and polls not made."""
        clock = "" if self.clock_ahead_ms is None else f"clock {self.clock_ahead_ms:+,} ms"
        polls = self.polls or RunningPolls(0, 0, 0)
        missed = f"{polls.missed:,} of {polls.due:,} polls not made" if polls.missed else ""
        cut = f"{polls.cut:,} polls without telemetry" if polls.cut else ""
        return "  ".join(part for part in (self.state, self.why, clock, missed, cut) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineReport:
    """The figures of `linewitness status`; `hours_left` is None where nothing grows or limits it.

    Of a running gateway it is what its status page and its metrics show, otherwise a reckoning from records.
    """

    stream: str
    running: bool
    frozen: bool
    full: bool
    size: int
    oldest: int
    receipted: int
    pending: int
    drain: DrainRate
    bytes_on_disk: int
    bytes_per_record: int
    records_per_hour: int
    hours_left: float | None
    newest_record: str
    devices: tuple[DeviceLine, ...]
    conflict: Conflict | None
    continues: str | None
    not_handed_over: tuple[str, ...]
    anchors: tuple[str, ...]
    signed: SignedSize | None
    now: RunningState | None

    def members(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self) | {"troubles": self.troubles}

    @property
    def troubles(self) -> tuple[LineTrouble, ...]:
        """What keeps the line from its work, the worst first."""
        held = {"frozen": self.frozen, "full": self.full, "stopped": not self.running}
        return tuple(trouble for trouble in TROUBLE_CODES if held[trouble])

    @property
    def exit_code(self) -> ExitCode:
        """What `linewitness status` ends with."""
        return TROUBLE_CODES[self.troubles[0]] if self.troubles else ExitCode.OK

    def text(self) -> str:
        """Return the report for people."""
        # The running gateway's figure is from its own window, and the newest records are of another one.
        room = views.hours(self.hours_left)
        if self.now is None:
            left = "no limit known" if self.hours_left is None else room
            room = f"{self.records_per_hour:,} records an hour: {left}"
        lines = [
            f"stream     {self.stream}",
            *([] if self.troubles else ["state      running"]),
            *(f"state      {trouble.upper()}: {_WHAT[trouble]}" for trouble in self.troubles),
            *self._history(),
            f"records    {self.size:,} written, {self.receipted:,} receipted, {self.pending:,} on their way"
            + (f" {self.drain.text}" if self.drain.text else ""),
            *([f"signed     {self.signed.size:,} records, root {self.signed.root}"] if self.signed else []),
            *(f"anchored   {anchor}" for anchor in self.anchors),
            f"journal    {self.bytes_on_disk / 1e6:,.1f} MB on disk, {self.bytes_per_record:,} a record",
            f"room       {room}",
            f"newest     {self.newest_record}",
            *self._now(),
        ]
        width = max((len(device.name) for device in self.devices), default=0)
        lines += [f"device     {one.name:<{width}}  {one.text}" for one in self.devices]
        return "\n".join(lines)

    def _now(self) -> list[str]:
        """Say what the running gateway says of itself: its uplink and its problems."""
        if self.now is None:
            return []
        why = f": {self.now.uplink_why}" if self.now.uplink_why else ""
        lines = [f"uplink     {self.now.uplink} since {self.now.uplink_since}{why}"]
        for problem in self.now.problems:
            word = "ALARM" if problem.alarm else "warning"
            lines += [f"{word:<10} {problem.what} ({problem.code})", f"to do      {problem.hint}"]
        now_ns = SystemClock().stamp().realtime_ns
        return [*lines, *(f"list       {_list_text(each, now_ns)}" for each in self.now.lists)]

    def _history(self) -> list[str]:
        """Say in words what befell the stream: what it continues, and who contradicts it."""
        lines = [f"continues  {self.continues}"] if self.continues else []
        if self.conflict is not None:
            word = "frozen" if self.conflict.proven else "in doubt"
            lines += [
                f"{word:<10} since {self.conflict.at}, at {self.conflict.own_size:,} records",
                f"           {self.conflict.what}",
                f"to do      {self.conflict.hint}",
            ]
        for sentence in self.not_handed_over:
            lines += [f"ended      {sentence}", f"to do      {HAND_OVER}"]
        return lines


def report(reader: JournalReader, options: JournalOptions | None) -> LineReport:
    """Return how the journal's line stands; `options` says how much room it has, if that is known."""
    figures = reader.figures()
    recent = [data for _, data in reader.records(max(figures.oldest, figures.size - _LAST), figures.size)]
    newest = parse(recent[-1])["ingested_at"] if recent else ""
    per_hour = _records_per_hour(recent)
    kept = max(1, figures.size - figures.oldest)
    per_record = max(len(data) for data in recent) if recent else 0
    if kept > _LAST:
        per_record = figures.bytes_on_disk // kept
    now = read_running(reader.directory) if reader.has_writer else None
    hours = now.hours_left if now is not None else None
    if now is None and options is not None and per_hour and per_record:
        # Nothing measures the growth now: from the last records.
        hours = max(0, bytes_left(options, figures)) / per_record / per_hour
    return LineReport(
        stream=reader.identity.stream,
        running=reader.has_writer,
        frozen=reader.frozen,
        full=_said_full(recent) if options is None else bytes_left(options, figures) <= 0,
        size=figures.size,
        oldest=figures.oldest,
        receipted=figures.receipted,
        pending=figures.pending,
        drain=drain_rate(reader, pending=figures.pending, now_ns=SystemClock().stamp().realtime_ns),
        bytes_on_disk=figures.bytes_on_disk,
        bytes_per_record=per_record,
        records_per_hour=per_hour,
        hours_left=hours,
        newest_record=newest,
        devices=_devices(reader, recent, now.polls if now else {}),
        conflict=Conflict.of(reader),
        continues=_continues(reader),
        not_handed_over=tuple(rest.sentence for rest in rests_of(reader.directory) if rest.is_waiting),
        anchors=_anchors(reader),
        signed=SignedSize.of(reader),
        now=now,
    )


def _list_text(one: RunningList, now_ns: int) -> str:
    """Return a list in one line: how much it holds, and how old it is."""
    age = views.duration(max(0, now_ns - from_rfc3339(one.as_of)) // NS_PER_S)
    text = f"{one.name}: {one.entries:,} entries, {age} old, {one.digest}"
    if one.stale:
        text += ", TOO OLD: it does not count"
    return text + (", the file is refused" if one.refusal else "")


def _said_full(recent: list[bytes]) -> bool:
    """Return whether the newest record of the journal's room says that there was none."""
    for data in reversed(recent):
        if b'"kind":"journal.pressure"' in data:
            return any(
                change["field"] == "level" and change["after"] == "full" for change in parse(data)["changes"]
            )
    return False


def _anchors(reader: JournalReader) -> tuple[str, ...]:
    """Say for each place how much it holds, and which places fail."""
    newest = {one.source: f"{one.source}: {one.size:,} records, {one.at}" for one in reader.attestations()}
    for key, since in reader.state(FAILING).items():
        place = key.removeprefix(FAILING)
        newest[place] = f"{newest.get(place, place + ': nothing yet')}; failing since {since}"
    return tuple(newest[place] for place in sorted(newest))


def _continues(reader: JournalReader) -> str | None:
    """Return the stream that record 0 continues, with the head that it left behind."""
    _, data = next(reader.records(0, 1))
    heads = {change["field"]: change["after"] for change in parse(data)["changes"]}
    if "continues" not in heads:
        return None
    text = f"{heads['continues'] or 'a stream whose journal could not be read'}"
    if heads["size"] is not None:
        text += f", which ended with {heads['size']:,} records here"
    if "store_size" in heads:
        text += f", {heads['store_size']:,} at the store"
    return text


def _records_per_hour(recent: list[bytes]) -> int:
    if len(recent) < 2:  # noqa: PLR2004 (a rate needs two points)
        return 0
    first, last = (from_rfc3339(parse(data)["ingested_at"]) for data in (recent[0], recent[-1]))
    seconds = max(1, (last - first) // NS_PER_S)
    return len(recent) * _HOUR_S // seconds


def _devices(
    reader: JournalReader, recent: list[bytes], polls: Mapping[str, RunningPolls]
) -> tuple[DeviceLine, ...]:
    ahead_ms = {device.device: device.offset_ms for device in history_of(recent).devices}
    shares = {key.removeprefix(PREFIX): text for key, text in reader.state(PREFIX).items()}
    now = SystemClock().stamp().realtime_ns
    lines = []
    for key, text in reader.state("capture/").items():
        seen = orjson.loads(text)
        since_s = max(0, now - seen["since_ns"]) // NS_PER_S
        why = f"for {since_s} s" + (f": {seen['why']}" if seen["why"] else "")
        name = key.removeprefix("capture/")
        if name in shares:
            why += f"; sends more than its share since {AboveShare.load(shares[name]).since}"
        lines.append(DeviceLine(name, seen["state"], why, ahead_ms.get(name), polls.get(name)))
    return tuple(lines)
