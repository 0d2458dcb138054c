"""One session with a controller: capture what it says, fetch what it still has, confirm what is safe."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from linewitness.base.clock import Clock
from linewitness.base.errors import DeviceError, DeviceUnavailable
from linewitness.devices.base import Observation
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.ledger.state import ResultLedger, ResultRecord
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.session import cycles, handshake
from linewitness.devices.open_protocol.session.capture import ControllerCapture
from linewitness.devices.open_protocol.session.commands.tool import ToolCommands
from linewitness.devices.open_protocol.session.commands.units import UnitCommands
from linewitness.devices.open_protocol.session.controller_clock import ControllerClock
from linewitness.devices.open_protocol.session.identity import IDENTITY, ControllerIdentity, KnownController
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.session.multi_spindle import MultiSpindle
from linewitness.devices.open_protocol.session.queues import ObservationQueue
from linewitness.devices.open_protocol.session.revisions import LearnedRevisions
from linewitness.devices.open_protocol.session.silence import MemorySilence
from linewitness.devices.open_protocol.session.stored_results import StoredResults
from linewitness.devices.open_protocol.session.subscriptions import Subscriptions
from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.refusals import RefusedByController
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram, parse
from linewitness.devices.unit_commands import UnitCommand

LEARNED_KEY: Final = "learned"
#: The source that was captured last.
SOURCE_KEY: Final = "source"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStart:
    """What was settled before the session began: who is there, and what is remembered."""

    session_id: str
    identity: ControllerIdentity
    controller: KnownController
    learned: LearnedRevisions
    ledger: ResultLedger
    remembered: Mapping[str, str]
    silence: MemorySilence


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
        # A lower revision does not tell the station, and the results that are ours stay the same.
        station = options.station if options.station is not None else start.controller.station
        self._capture = ControllerCapture(
            ledger=start.ledger,
            station=station,
            operations=link.operations,
            remembered=start.remembered,
            multi_spindle=options.multi_spindle,
        )
        self._out = ObservationQueue()
        self._multi_spindle = MultiSpindle(
            link=link, capture=self._capture, clock=clock, per_s=options.back_fill_per_s
        )
        self._stored = StoredResults(
            options=options,
            link=link,
            tracker=self._capture.tracker,
            limits=self._capture.limits,
            silence=start.silence,
            names_stations=start.controller.stations,
            hand_out=self._put_events,
            room=self._out.room,
        )
        self._subscriptions = Subscriptions(
            options=options,
            link=link,
            tracker=self._capture.tracker,
            stored=self._stored,
            multi_spindle=self._multi_spindle,
            silence=start.silence,
        )
        self._commands = ToolCommands(link=link, name=options.name, tool_number=options.tool_number)
        self._unit_commands = UnitCommands(link=link, options=options)
        self._controller_clock = ControllerClock(
            link=link, clock=clock, commands=self._commands, options=options, silence=start.silence
        )
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
    def learned(self) -> LearnedRevisions:
        """What is known of the controller's revisions by now."""
        return self._learned

    @property
    def refused_points(self) -> Mapping[str, str] | None:
        """Why the controller refuses what the settings ask for, by their names; None before it was asked."""
        return self._subscriptions.refused

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
        pushed = parse(observation.raw)
        await self._link.acknowledge(pushed.mid, cycles.said_to(pushed, self._options))

    async def command(self, point: str | None, value: str) -> str:
        """Lock (`closed`) or release (`opened`) the tool for a gate; see `ToolCommands.move`."""
        return await self._commands.move(point, value)

    async def command_unit(self, command: UnitCommand) -> str:
        """Tell the controller of the unit at the station; see `UnitCommands.give`."""
        return await self._unit_commands.give(command)

    async def prepare(self) -> None:
        """Learn clock and tool, make sure that the ids still mean the same, and subscribe.

        Raises `DeviceRefused` where the controller offers no results in the wanted form.
        """
        self._facts = await self._controller_clock.measure(self._facts)
        await self._look_at_tool()
        if self._options.results == "powermacs":
            await cycles.begin(self._link, self._options, self._start.remembered)
        self._learned = await self._subscriptions.begin(self._learned)
        await self._unit_commands.learn()

    async def _fetch_spindles(self) -> None:
        """Fetch what is missing, and what was made while nobody was subscribed."""
        async for observation in self._multi_spindle.fetch(self._facts):
            self._put(observation)
            await self._out.room()

    async def listen_forever(self) -> None:
        """Take in what is pushed, in order, until the connection ends."""
        with self._failing():
            while (received := await self._link.pushes.get()) is not None:
                await self._take(received)
                behind = self._capture.tracker.behind or self._multi_spindle.is_behind
                if behind or self._capture.clock_jumped:
                    self._behind.set()
        self._end()

    async def work_forever(self) -> None:
        """Fetch what is missing: once at the start, when an id was skipped, and from time to time."""
        with self._failing():
            self._put(self._controller_clock.notice(self._facts, self._remembered()))
            await self._correct_clock()
            await self._fetch_spindles()
            await self._stored.back_fill(again=True)
            self._put(self._capture.tool_counter.compare(self._facts, self._clock.stamp()))
            while True:
                woken = await self._woken()
                if self._capture.clock_jumped or not woken:
                    await self._follow_clock()
                if woken:
                    await self._fetch_spindles()
                    await self._stored.back_fill(again=False)
                else:
                    await self._reconcile()
        self._end()

    async def _take(self, received: ReceivedTelegram) -> None:
        """Take in one push; each is handed out once, to be confirmed when it is durable."""
        if received.telegram.mid == Mid.PSET_SELECTED:
            self._stored.results.forget_limits(decode(received.telegram).number("pset_id") or 0)
        content = self._capture.read(received, self._facts)
        if isinstance(content, ResultRecord) and self._capture.tool_swaps.shows(content, self._facts):
            await self._look_at_tool()  # the result is judged by the calibration of its own tool
        captured = self._capture.take(content, self._facts, self._clock.stamp())
        for observation in captured.observations:
            self._put(observation)
        if captured.questions is not None and captured.record is not None:
            await self._stored.resolve(captured.questions, captured.record)

    def _remembered(self) -> Mapping[str, str]:
        """Return what later sessions should know about the controller."""
        source = self._capture.tracker.ledger.source
        controller = replace(self._start.controller, stations=self._stored.results.names_stations)
        return {
            LEARNED_KEY: self._learned.dump(),
            SOURCE_KEY: source,
            IDENTITY + source: controller.dump(),
        }

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
        self._capture.tool_swaps.begin_anew()
        await self._look_at_tool()
        await self._subscriptions.again()
        await self._fetch_spindles()
        await self._stored.establish(None)
        await self._stored.back_fill(again=True)
        self._put(self._capture.tool_counter.compare(self._facts, self._clock.stamp()))

    async def _look_at_tool(self) -> None:
        self._capture.tool_counter.look()
        highest = self._options.tool_revision
        asked = self._learned.tool.begin_with(highest)
        received = await handshake.tool_data(self._link, asked)
        if received is None:
            self._start.silence.say_not_offered(Mid.TOOL_DATA_REQUEST)
            return
        tool = decode(received.telegram)
        limit = self._learned.tool.found(asked, tool.revision, highest)
        self._learned = replace(self._learned, tool=limit)
        self._facts = replace(self._facts, tool=tool)
        self._put(self._capture.notices.tool(tool, received.stamp, self._facts))

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
