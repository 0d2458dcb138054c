"""The controller's clock: measured, put on record where it moved, and set where the YAML says so."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from linewitness.base.clock import Clock
from linewitness.base.errors import DeviceRefused
from linewitness.devices.base import Observation
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.content.notices import clock_notice
from linewitness.devices.open_protocol.content.times import local_time, measure
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.session.commands.tool import ToolCommands
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.session.silence import MemorySilence
from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.refusals import RefusedByController
from linewitness.devices.open_protocol.wire.telegram import Telegram

#: A clock that moved by more than this is put on record again.
CLOCK_NEWS_MS: Final = 2000


class ControllerClock:
    """Asks the controller for its time (0080). Each method returns the facts as they are afterwards."""

    def __init__(
        self,
        *,
        link: ControllerLink,
        clock: Clock,
        commands: ToolCommands,
        options: OpenProtocolOptions,
        silence: MemorySilence,
    ) -> None:
        """`silence` is told where the controller does not tell its time."""
        self._link = link
        self._clock = clock
        self._commands = commands
        self._silence = silence
        #: The clock is set (0082) where it is off by more; None never does.
        self._set_beyond_s = options.set_clock_beyond_s
        self._recorded_ms: int | None = None

    async def measure(self, facts: SessionFacts) -> SessionFacts:
        """Measure how far the controller's clock is off; nothing changes where it does not tell its time."""
        asked = self._clock.stamp()
        try:
            received = await self._link.ask(Telegram(mid=Mid.TIME_REQUEST), Mid.TIME, optional=True)
        except RefusedByController:
            self._silence.say_not_offered(Mid.TIME_REQUEST)
            return facts
        text = decode(received.telegram).text("time")
        return replace(facts, clock=measure(text, asked, received.stamp, facts.zone))

    async def correct(self, facts: SessionFacts) -> tuple[SessionFacts, Observation | None]:
        """Set a clock that is too far off, where that is configured, and return what came of it."""
        limit_s, before = self._set_beyond_s, facts.clock
        if limit_s is None or before is None or abs(before.offset_ms) <= limit_s * 1000:
            return facts, None
        local = local_time(self._clock.stamp().realtime_ns, before.zone)
        try:
            await self._commands.set_time(local)
        except DeviceRefused as error:
            reason, after = f"the controller's clock could not be set: {error}", before
        else:
            facts = await self.measure(facts)
            reason, after = "the controller's clock was set, as the YAML says", facts.clock or before
        changes = (("clock_offset_ms", before.offset_ms, after.offset_ms), ("clock_set_to", None, local))
        place = ("device", facts.device)
        return facts, facts.notice(
            "parameter.changed", place, reason, at=self._clock.stamp(), changes=changes
        )

    def has_moved(self, facts: SessionFacts) -> bool:
        """Whether the offset differs from the one on record by so much that it is put on record again."""
        offset = facts.clock
        return offset is not None and abs(offset.offset_ms - (self._recorded_ms or 0)) >= CLOCK_NEWS_MS

    def notice(self, facts: SessionFacts, remember: Mapping[str, str | None]) -> Observation:
        """Return what was measured, for the record."""
        self._recorded_ms = facts.clock.offset_ms if facts.clock is not None else None
        return clock_notice(facts, self._clock.stamp(), remember)
