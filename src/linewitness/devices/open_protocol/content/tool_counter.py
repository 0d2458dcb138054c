"""What the tool's own counter says against what was captured: independent evidence of a loss."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from linewitness.base.clock import Stamp
from linewitness.devices.base import Observation
from linewitness.devices.open_protocol.content.facts import SessionFacts

BASE_KEY: Final = "tool-base"
CAPTURED_KEY: Final = "captured"


class CounterBase(NamedTuple):
    """Where counting began: a tool, what its counter said, and how many results were captured by then."""

    serial: str
    counter: int
    captured: int


class ToolCounter:
    """Counts captured results across all sessions, and compares with what the tool itself counted."""

    def __init__(self, remembered: Mapping[str, str]) -> None:
        """Start from what was committed."""
        self._captured = int(remembered.get(CAPTURED_KEY, "0"))
        self._live_since_look = 0
        base = remembered.get(BASE_KEY)
        self._base = CounterBase(*json.loads(base)) if base is not None else None

    def count(self, *, live: bool) -> Mapping[str, str]:
        """Count a captured result, and return what is to be remembered with it."""
        self._captured += 1
        self._live_since_look += live
        return {CAPTURED_KEY: str(self._captured)}

    def look(self) -> None:
        """Note that the tool data are asked for: live results may be missing in its count from here on."""
        self._live_since_look = 0

    def compare(self, facts: SessionFacts, now: Stamp) -> Observation | None:
        """Return that the tool counted more than was captured, or None; nothing is repaired by that.

        To be called when all that was stored at the time of the last look was fetched. What was captured live
        since then may be missing in the tool's count, so it is left out where counting begins.
        """
        tool = facts.tool
        counter = tool.number("tool_tightenings") if tool is not None else None
        if tool is None or counter is None:
            return None
        serial = tool.text("tool_serial_number") or "unknown"
        before = self._base
        fresh = CounterBase(serial, counter, self._captured - self._live_since_look)
        if before is None or before.serial != serial or counter < before.counter:
            self._base = fresh
            return facts.remembered(now, _remember(fresh))
        by_tool, by_us = counter - before.counter, self._captured - before.captured
        if by_tool <= by_us:
            return None
        self._base = fresh
        return facts.notice(
            "source.conflict",
            ("tool", serial),
            "the tool's own counter went on by more than was captured; it also counts re-hits, loosening and "
            "work for other stations and controllers",
            at=now,
            changes=(("counted_by_tool", None, by_tool), ("captured", None, by_us)),
            remember=_remember(fresh),
        )


def _remember(base: CounterBase) -> Mapping[str, str | None]:
    return MappingProxyType({BASE_KEY: json.dumps(base)})
