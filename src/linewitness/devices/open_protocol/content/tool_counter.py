"""The tool at the controller: which one it is, and what its own counter says against what was captured."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from linewitness.base.clock import Clock
from linewitness.devices.base import Observation
from linewitness.devices.open_protocol.content.notices import NoticeReader
from linewitness.devices.open_protocol.session import handshake
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.session.observations import Reporter
from linewitness.devices.open_protocol.wire.codec import decode

BASE_KEY: Final = "tool-base"
CAPTURED_KEY: Final = "captured"


class CounterBase(NamedTuple):
    """Where counting began: a tool, what its counter said, and how many results were captured by then."""

    serial: str
    counter: int
    captured: int


class ToolCounter:
    """Looks at the tool data (0041) from time to time, and counts along across all sessions."""

    def __init__(
        self,
        *,
        link: ControllerLink,
        clock: Clock,
        reporter: Reporter,
        pushed: NoticeReader,
        revision: int,
        remembered: Mapping[str, str],
    ) -> None:
        """Ask in at most this revision; it goes down to the one that the controller offers."""
        self._link = link
        self._clock = clock
        self._reporter = reporter
        self._pushed = pushed
        self.revision = revision
        self._captured = int(remembered.get(CAPTURED_KEY, "0"))
        self._live_since_look = 0
        base = remembered.get(BASE_KEY)
        self._base = CounterBase(*json.loads(base)) if base is not None else None

    def count(self, *, live: bool) -> Mapping[str, str]:
        """Count a captured result, and return what is to be remembered with it."""
        self._captured += 1
        self._live_since_look += live
        return {CAPTURED_KEY: str(self._captured)}

    async def look(self) -> Observation | None:
        """Return what changed about the tool, or None."""
        self._live_since_look = 0
        received = await handshake.tool_data(self._link, self.revision)
        if received is None:
            return None
        decoded = decode(received.telegram)
        self._reporter.tool = decoded
        self.revision = decoded.revision
        return self._pushed.tool(decoded, received)

    def compare(self) -> Observation | None:
        """Return that the tool counted more than was captured, or None; nothing is repaired by that.

        To be called when all that was stored at the time of the last look was fetched. What was captured live
        since then may be missing in the tool's count, so it is left out where counting begins.
        """
        tool = self._reporter.tool
        counter = tool.number("tool_tightenings") if tool is not None else None
        if tool is None or counter is None:
            return None
        serial = tool.text("tool_serial_number") or "unknown"
        before = self._base
        fresh = CounterBase(serial, counter, self._captured - self._live_since_look)
        if before is None or before.serial != serial or counter < before.counter:
            return self._begin(fresh)
        by_tool, by_us = counter - before.counter, self._captured - before.captured
        if by_tool <= by_us:
            return None
        self._base = fresh
        return self._reporter.notice(
            "source.conflict",
            ("tool", serial),
            "the tool's own counter went on by more than was captured; it also counts re-hits, loosening and "
            "work for other stations and controllers",
            now=self._clock.stamp(),
            changes=(("counted_by_tool", None, by_tool), ("captured", None, by_us)),
            remember=_remember(fresh),
        )

    def _begin(self, base: CounterBase) -> Observation:
        self._base = base
        return self._reporter.noted(self._clock.stamp(), _remember(base))


def _remember(base: CounterBase) -> Mapping[str, str | None]:
    return MappingProxyType({BASE_KEY: json.dumps(base)})
