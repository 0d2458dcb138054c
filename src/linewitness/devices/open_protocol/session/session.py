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
from linewitness.devices.open_protocol.content import bolts
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.ledger.state import ResultLedger
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.session import cycles, handshake, offers, recovery
from linewitness.devices.open_protocol.session.capture import ControllerCapture
from linewitness.devices.open_protocol.session.commands import ToolCommands
from linewitness.devices.open_protocol.session.controller_clock import ControllerClock
from linewitness.devices.open_protocol.session.handshake import ControllerIdentity, LearnedRevisions
from linewitness.devices.open_protocol.session.history import ResultHistory
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.session.operation_history import OperationHistory
from linewitness.devices.open_protocol.session.queues import ObservationQueue
from linewitness.devices.open_protocol.session.recovery import Asking
from linewitness.devices.open_protocol.session.unit_commands import UnitCommands
from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.refusals import RefusedByController
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram, parse
from linewitness.devices.unit_commands import UnitCommand

LEARNED_KEY: Final = "learned"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStart:
    """What was settled before the session began: who is there, and what is remembered."""

    session_id: str
    identity: ControllerIdentity
    learned: LearnedRevisions
    ledger: ResultLedger
    remembered: Mapping[str, str]


class OpenProtocolSession:
    """A connection that has been started; `prepare` subscribes, and two loops do the work then.

    A pushed result (0061) goes through `listen_forever`, `ControllerCapture.take` and `observations`; when it
    is durable, `confirm` acknowledges it (0062).
    """

    def __init__(
        self, *, options: OpenProtocolOptions, link: ControllerLink, clock: Clock, start: SessionStart
    ) -> None:
        """Take over a started connection."""
        self._options = options
        self._link = link
        self._clock = clock
        self._start = start
        self._learned = start.learned
        self._facts = SessionFacts(
            device=options.id,
            session_id=start.session_id,
            zone=options.zone,
            torque_unit=options.torque_unit,
            expected_tool=options.tool_serial,
        )
        station = options.station if options.station is not None else start.identity.station
        self._capture = ControllerCapture(
            ledger=start.ledger, station=station, operations=link.operations, remembered=start.remembered
        )
        self._history = ResultHistory(link=link, limits=self._capture.limits, per_s=options.back_fill_per_s)
        self._operations = OperationHistory(link=link, per_s=options.back_fill_per_s)
        self._commands = ToolCommands(link=link, name=options.name, tool_number=options.tool_number)
        self._offers = offers.CommandOffers()
        self._controller_clock = ControllerClock(
            link=link, clock=clock, commands=self._commands, set_beyond_s=options.set_clock_beyond_s
        )
        self._out = ObservationQueue()
        self._behind = asyncio.Event()

    @property
    def session_id(self) -> str:
        """Name this connection."""
        return self._start.session_id

    @property
    def identity(self) -> Mapping[str, str]:
        """What the controller said about itself."""
        return self._start.identity.shown()

    @property
    def lost_segments(self) -> int | None:
        """How many segments were lost so far, as far as the kernel knows; None once closed."""
        return self._link.lost_segments

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
        return await self._commands.move(point, value)

    async def command_unit(self, command: UnitCommand) -> str:
        """Tell the controller of the unit at the station; see `UnitCommands.give`."""
        commands = UnitCommands(link=self._link, options=self._options, offers=self._offers)
        return await commands.give(command)

    async def prepare(self) -> None:
        """Learn clock and tool, make sure that the ids still mean the same, and subscribe.

        Raises `DeviceRefused` where the controller offers no results in the wanted form.
        """
        self._facts = await self._controller_clock.measure(self._facts)
        await self._look_at_tool()
        if self._options.results == "operations":
            await self._prepare_operations()
        elif self._options.results == "powermacs":
            await self._prepare_cycles()
        else:
            await self._prepare_tightenings()
        if self._options.multi_spindle and await cycles.subscribe_spindles(self._link) is None:
            log.info("not offered by the controller", device=self._options.id, mid=int(Mid.MULTI_SUBSCRIBE))
        await handshake.subscribe_more(self._link, self._options)
        self._offers = await offers.learn(self._link, self._options)

    async def _prepare_tightenings(self) -> None:
        options, learned = self._options, self._learned
        self._history.use_revision(options.result_revision or learned.result or handshake.RESULT_REVISIONS[0])
        await self._drive(recovery.establish(self._capture.tracker, options.start_after))
        # Subscribed before the first back-fill asks for the newest result: nothing falls between.
        revision = await handshake.subscribe_results(
            self._link, options.name, options.result_revision, learned.result
        )
        self._history.use_revision(revision)
        self._learned = replace(self._learned, result=revision, software=self._start.identity.software)

    async def _prepare_operations(self) -> None:
        options = self._options
        await self._drive(recovery.establish(self._capture.tracker, options.start_after))
        if not await self._operations.subscribe():
            raise DeviceRefused(
                f"{options.name} offers no operation results (1201)",
                hint="remove results: operations from this device, or check the controller's licence",
            )

    async def _prepare_cycles(self) -> None:
        options, newest = self._options, self._start.remembered.get(bolts.NEWEST_KEY)
        first = options.start_after if newest is None else int(newest)
        await cycles.subscribe_cycles(self._link, options.name, first)

    async def listen_forever(self) -> None:
        """Take in what is pushed, in order, until the connection ends."""
        with self._failing():
            while (received := await self._link.pushes.get()) is not None:
                await self._take(received)
                if self._capture.tracker.behind or self._capture.clock_jumped:
                    self._behind.set()
        self._end()

    async def work_forever(self) -> None:
        """Fetch what is missing: once at the start, when an id was skipped, and from time to time."""
        with self._failing():
            self._put(self._controller_clock.notice(self._facts, {LEARNED_KEY: self._learned.dump()}))
            await self._correct_clock()
            await self._drive(recovery.back_fill(self._capture.tracker, again=True))
            self._compare_counters()
            while True:
                woken = await self._woken()
                if self._capture.clock_jumped or not woken:
                    await self._follow_clock()
                if woken:
                    await self._drive(recovery.back_fill(self._capture.tracker, again=False))
                else:
                    await self._reconcile()
        self._end()

    async def _take(self, received: ReceivedTelegram) -> None:
        """Take in one push; each is handed out once, to be confirmed when it is durable."""
        if received.telegram.mid == Mid.PSET_SELECTED:
            self._history.forget_limits(decode(received.telegram).number("pset_id") or 0)
        captured = self._capture.take(received, self._facts, self._clock.stamp())
        for observation in captured.observations:
            self._put(observation)
        if captured.questions is not None:
            await self._drive(captured.questions)

    async def _drive(self, asking: Asking) -> None:
        """Ask the controller what `asking` wants to know, while there is room for what comes."""
        if self._options.results == "powermacs":
            return  # it has no 0064, and sends again itself what it stored
        history = self._operations if self._options.results == "operations" else self._history
        try:
            number = next(asking)
            while True:
                self._put_events()
                await self._out.room()
                number = asking.send(await history.ask(number))
        except StopIteration:
            self._put_events()

    def _put_events(self) -> None:
        """Hand out what happened to the ledger, before anything is waited for."""
        for observation in self._capture.observations(self._facts, self._clock.stamp()):
            self._put(observation)

    def _put(self, observation: Observation | None) -> None:
        if observation is None:
            return
        self._out.put(observation)
        if self._out.is_full:
            self._link.fail_overrun(len(self._out), "observations")

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
        await self._drive(recovery.establish(self._capture.tracker, None))
        await self._drive(recovery.back_fill(self._capture.tracker, again=True))
        self._compare_counters()

    async def _look_at_tool(self) -> None:
        self._capture.tool_counter.look()
        revision = self._learned.tool or self._options.tool_revision
        received = await handshake.tool_data(self._link, revision)
        if received is not None:
            tool = decode(received.telegram)
            revision = tool.revision
            self._facts = replace(self._facts, tool=tool)
            self._put(self._capture.notices.tool(tool, received.stamp, self._facts))
        self._learned = replace(self._learned, tool=revision)

    def _compare_counters(self) -> None:
        self._put(self._capture.tool_counter.compare(self._facts, self._clock.stamp()))

    async def _follow_clock(self) -> None:
        """Measure the controller's clock again, and put on record where it moved."""
        self._capture.clock_followed()
        self._facts = await self._controller_clock.measure(self._facts)
        await self._correct_clock()
        if self._controller_clock.has_moved(self._facts):
            self._put(self._controller_clock.notice(self._facts, {}))

    async def _correct_clock(self) -> None:
        self._facts, notice = await self._controller_clock.correct(self._facts)
        self._put(notice)

    @contextlib.contextmanager
    def _failing(self) -> Generator[None, None, None]:
        """Let what ends one loop end the session, for the reason that the link keeps."""
        try:
            yield
        except DeviceError as error:
            self._link.fail(error)
        except RefusedByController as error:
            self._link.fail(DeviceUnavailable(f"{self._options.name}: {error}", hint=error.hint))

    def _end(self) -> None:
        self._out.put(self._link.failure or DeviceUnavailable(f"{self._options.name}: the session ended"))
