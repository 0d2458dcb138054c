"""One session with a controller: capture what it says, fetch what it still has, confirm what is safe."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog

from linewitness.base.clock import Clock
from linewitness.base.errors import DeviceError, DeviceRefused, DeviceUnavailable
from linewitness.devices.base import Observation
from linewitness.devices.open_protocol.content.notices import NoticeReader, clock_notice
from linewitness.devices.open_protocol.content.times import local_time, measure
from linewitness.devices.open_protocol.content.tool_counter import ToolCounter
from linewitness.devices.open_protocol.ledger.state import ResultLedger
from linewitness.devices.open_protocol.ledger.tracker import LedgerEvent, NewResult, ResultTracker
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.session import handshake, recovery
from linewitness.devices.open_protocol.session.commands import ToolCommands
from linewitness.devices.open_protocol.session.handshake import ControllerIdentity, LearnedRevisions
from linewitness.devices.open_protocol.session.history import ResultHistory
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.session.observations import Reporter
from linewitness.devices.open_protocol.session.operation_history import OperationHistory
from linewitness.devices.open_protocol.session.pushes import PushReader
from linewitness.devices.open_protocol.session.queues import ObservationQueue
from linewitness.devices.open_protocol.session.recovery import Answer
from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.refusals import RefusedByController
from linewitness.devices.open_protocol.wire.telegram import Telegram, parse
from linewitness.devices.open_protocol.wire.variable import generic

log = structlog.get_logger(__name__)

#: A clock that moved by more than this is said again.
CLOCK_NEWS_MS: Final = 2000
LEARNED_KEY: Final = "learned"
#: New traces only, no time and index, of two types: angle and torque.
TRACES_WANTED: Final = "0" + " " * 29 + "02" + "001" + "002"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStart:
    """What was settled before the session began: who is there, and what is remembered."""

    session_id: str
    identity: ControllerIdentity
    learned: LearnedRevisions
    ledger: ResultLedger
    remembered: Mapping[str, str]


class OpenProtocolSession:
    """A connection that has been started; `prepare` subscribes, and two loops do the work then."""

    def __init__(
        self, *, options: OpenProtocolOptions, link: ControllerLink, clock: Clock, settled: SessionStart
    ) -> None:
        """Take over a started connection."""
        self._options = options
        self._link = link
        self._clock = clock
        self._settled = settled
        self._learned = settled.learned
        self._out = ObservationQueue()
        self._reporter = Reporter(options=options, session_id=settled.session_id)
        self._pushed = NoticeReader(options=options, reporter=self._reporter, remembered=settled.remembered)
        self._history = ResultHistory(
            link=link, reporter=self._reporter, per_s=options.back_fill_per_s, room=self._out.room
        )
        station = options.station if options.station is not None else settled.identity.station
        self._book = ResultTracker(ledger=settled.ledger, station=station, say=self._say)
        self._operations = OperationHistory(
            link=link, collector=link.operations, per_s=options.back_fill_per_s, room=self._out.room
        )
        self._intake = PushReader(
            options=options,
            reporter=self._reporter,
            pushed=self._pushed,
            book=self._book,
            collector=link.operations,
            drive=self._drive,
            put=self._put,
            remembered=settled.remembered,
        )
        self._behind = asyncio.Event()
        self._told_offset_ms: int | None = None
        self.commands = ToolCommands(link=link, name=options.name, tool_number=options.tool_number)
        self._tool = ToolCounter(
            link=link,
            clock=clock,
            reporter=self._reporter,
            pushed=self._pushed,
            revision=settled.learned.tool or options.tool_revision,
            remembered=settled.remembered,
        )

    @property
    def session_id(self) -> str:
        """Name this connection."""
        return self._settled.session_id

    @property
    def identity(self) -> Mapping[str, str]:
        """What the controller said about itself."""
        return self._settled.identity.shown()

    @property
    def learned(self) -> LearnedRevisions:
        """What this session found out about the controller."""
        return self._learned

    async def observations(self) -> AsyncIterator[Observation]:
        """Yield what the controller says and what it had kept, until the connection ends."""
        while True:
            item = await self._out.get()
            if isinstance(item, DeviceError):
                raise item
            yield item

    async def confirm(self, observation: Observation) -> None:
        """Acknowledge a push, now that it is durable; the acknowledgement carries no id, so order counts."""
        if observation.raw is None:
            raise ValueError("only what was pushed can be confirmed")
        await self._link.acknowledge(parse(observation.raw).mid)

    async def command(self, point: str | None, value: str) -> str:
        """Lock (`closed`) or release (`opened`) the tool for a gate; see `ToolCommands.move`."""
        return await self.commands.move(point, value)

    async def prepare(self) -> None:
        """Learn clock and tool, make sure that the ids still mean the same, and subscribe.

        Raises `DeviceRefused` where the controller offers no results in the wanted form.
        """
        await self._measure_clock()
        await self._look_at_tool()
        if self._options.results == "operations":
            await self._prepare_operations()
        else:
            await self._prepare_tightenings()
        await self._subscribe_more()

    async def _prepare_tightenings(self) -> None:
        options, learned = self._options, self._learned
        self._history.use_revision(options.result_revision or learned.result or handshake.RESULT_REVISIONS[0])
        await self._drive(recovery.establish(self._book, options.start_after))
        # Subscribed before the first back-fill asks for the newest result: nothing falls between.
        revision = await handshake.subscribe_results(
            self._link, options.name, options.result_revision, learned.result
        )
        self._history.use_revision(revision)
        self._learned = replace(self._learned, result=revision, software=self._settled.identity.software)

    async def _prepare_operations(self) -> None:
        options = self._options
        await self._drive(recovery.establish(self._book, options.start_after))
        if not await self._operations.subscribe():
            raise DeviceRefused(
                f"{options.name} offers no operation results (1201)",
                hint="remove results: operations from this device, or check the controller's licence",
            )

    async def listen_forever(self) -> None:
        """Take in what is pushed, in order, until the connection ends."""
        with self._failing():
            while (received := await self._link.pushes.get()) is not None:
                if received.telegram.mid == Mid.PSET_SELECTED:
                    self._history.forget_limits(decode(received.telegram).number("pset_id") or 0)
                await self._intake.take(received)
                if self._book.behind or self._reporter.jumped:
                    self._behind.set()
        self._end()

    async def work_forever(self) -> None:
        """Fetch what is missing: once at the start, when an id was skipped, and from time to time."""
        with self._failing():
            self._tell_clock(self._remember_learned())
            await self._set_clock()
            await self._drive(recovery.back_fill(self._book, again=True))
            self._put_some(self._tool.compare())
            while True:
                woken = await self._woken()
                if self._reporter.jumped or not woken:
                    await self._follow_clock()
                if woken:
                    await self._drive(recovery.back_fill(self._book, again=False))
                else:
                    await self._reconcile()
        self._end()

    async def _woken(self) -> bool:
        try:
            async with asyncio.timeout(self._options.reconcile_s):
                await self._behind.wait()
        except TimeoutError:
            return False
        self._behind.clear()
        return True

    async def _reconcile(self) -> None:
        """Compare with the newest stored result and, as independent evidence, with the tool's own counter."""
        await self._look_at_tool()
        await self._drive(recovery.establish(self._book, None))
        await self._drive(recovery.back_fill(self._book, again=True))
        self._put_some(self._tool.compare())

    async def _drive(self, asking: Generator[int, Answer, None]) -> None:
        history = self._operations if self._options.results == "operations" else self._history
        try:
            number = next(asking)
            while True:
                number = asking.send(await history.ask(number))
        except StopIteration:
            return

    async def _measure_clock(self) -> None:
        asked = self._clock.stamp()
        with contextlib.suppress(RefusedByController):
            received = await self._link.ask(Telegram(mid=Mid.TIME_REQUEST), Mid.TIME, optional=True)
            text = decode(received.telegram).text("time")
            self._reporter.offset = measure(text, asked, received.stamp, self._options.zone)

    async def _follow_clock(self) -> None:
        """Measure the controller's clock again, and say so where it moved."""
        self._reporter.jumped = False
        await self._measure_clock()
        await self._set_clock()
        offset = self._reporter.offset
        if offset is not None and abs(offset.offset_ms - (self._told_offset_ms or 0)) >= CLOCK_NEWS_MS:
            self._tell_clock({})

    async def _set_clock(self) -> None:
        """Set a clock that is too far off, where the YAML says so, and put on record what came of it."""
        limit_s, before = self._options.set_clock_beyond_s, self._reporter.offset
        if limit_s is None or before is None or abs(before.offset_ms) <= limit_s * 1000:
            return
        local = local_time(self._clock.stamp().realtime_ns, before.zone)
        try:
            await self.commands.set_time(local)
        except DeviceRefused as error:
            reason, after = f"the controller's clock could not be set: {error}", before
        else:
            await self._measure_clock()
            reason, after = (
                "the controller's clock was set, as the YAML says",
                self._reporter.offset or before,
            )
        changes = (("clock_offset_ms", before.offset_ms, after.offset_ms), ("clock_set_to", None, local))
        now = self._clock.stamp()
        place = ("device", self._options.id)
        self._put(self._reporter.notice("parameter.changed", place, reason, now=now, changes=changes))

    def _tell_clock(self, remember: Mapping[str, str | None]) -> None:
        offset = self._reporter.offset
        self._told_offset_ms = offset.offset_ms if offset is not None else None
        self._put(clock_notice(self._reporter, self._options.id, self._clock.stamp(), remember))

    async def _look_at_tool(self) -> None:
        self._put_some(await self._tool.look())
        self._learned = replace(self._learned, tool=self._tool.revision)

    async def _subscribe_more(self) -> None:
        options = self._options
        wanted = (
            (options.alarms, Mid.ALARM_SUBSCRIBE, (3, 2, 1)),
            (options.parameter_sets, Mid.PSET_SUBSCRIBE, (2, 1)),
            (options.identifiers == "single", Mid.IDENTIFIER_SUBSCRIBE, (2, 1)),
            (options.identifiers == "multiple", Mid.IDENTIFIERS_SUBSCRIBE, (1,)),
            (options.jobs, Mid.JOB_SUBSCRIBE, (5, 4, 3, 2, 1)),
            (options.multi_spindle, Mid.MULTI_SUBSCRIBE, (1,)),
        )
        for on, mid, revisions in wanted:
            if on and await handshake.subscribe_stepping_down(self._link, mid, revisions) is None:
                log.info("not offered by the controller", device=options.id, mid=int(mid))
        if options.traces:
            await self._subscribe_traces()

    async def _subscribe_traces(self) -> None:
        question = generic(Mid.GENERIC_SUBSCRIBE, Mid.TRACE, 1, TRACES_WANTED)
        try:
            await self._link.ask(question, Mid.ACCEPTED, inner=Mid.TRACE, optional=True)
        except RefusedByController as error:
            log.info("not offered by the controller", device=self._options.id, why=str(error))

    def _say(self, saying: LedgerEvent) -> None:
        observation = self._reporter.say(saying, self._clock.stamp())
        if isinstance(saying, NewResult):
            counted = self._tool.count(live=saying.record.live)
            observation = replace(observation, remember={**observation.remember, **counted})
        self._put(observation)

    def _put(self, observation: Observation) -> None:
        self._out.put(observation)
        if self._out.is_full:
            self._link.fail_overrun(len(self._out), "observations")

    def _put_some(self, observation: Observation | None) -> None:
        if observation is not None:
            self._put(observation)

    def _remember_learned(self) -> Mapping[str, str | None]:
        return {LEARNED_KEY: self._learned.dump()}

    @contextlib.contextmanager
    def _failing(self) -> "Generator[None, None, None]":
        """Let what ends one loop end the session, said once by the link."""
        try:
            yield
        except DeviceError as error:
            self._link.fail(error)
        except RefusedByController as error:
            self._link.fail(DeviceUnavailable(f"{self._options.name}: {error}", hint=error.hint))

    def _end(self) -> None:
        self._out.put(self._link.failure or DeviceUnavailable(f"{self._options.name}: the session ended"))
