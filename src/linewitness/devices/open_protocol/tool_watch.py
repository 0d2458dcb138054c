"""The tool at the controller: which one it is, and what its own counter says against what was captured."""

from linewitness.clock import Clock
from linewitness.devices.base import Observation
from linewitness.devices.open_protocol import handshake
from linewitness.devices.open_protocol.codec import Decoded, decode
from linewitness.devices.open_protocol.link import Link
from linewitness.devices.open_protocol.pushed import Pushed
from linewitness.devices.open_protocol.reporting import Reporter


class ToolWatch:
    """Looks at the tool data (0041) from time to time."""

    def __init__(
        self, *, link: Link, clock: Clock, reporter: Reporter, pushed: Pushed, revision: int
    ) -> None:
        """Ask in at most this revision; it goes down to the one that the controller offers."""
        self._link = link
        self._clock = clock
        self._reporter = reporter
        self._pushed = pushed
        self.revision = revision
        self._base: tuple[int, int] | None = None

    async def look(self, captured: int) -> Observation | None:
        """Return what changed about the tool, or None; `captured` results were taken in this session."""
        received = await handshake.tool_data(self._link, self.revision)
        if received is None:
            return None
        decoded = decode(received.telegram)
        self._reporter.tool = decoded
        self.revision = decoded.revision
        counter = decoded.number("tool_tightenings")
        if counter is not None and self._base is None:
            self._base = (counter, captured)
        return self._pushed.tool(decoded, received)

    def compare(self, captured: int) -> Observation | None:
        """Return that the tool counted more than was captured, or None. Nothing is repaired by that."""
        tool: Decoded | None = self._reporter.tool
        counter = tool.number("tool_tightenings") if tool is not None else None
        if tool is None or counter is None or self._base is None:
            return None
        by_tool, by_us = counter - self._base[0], captured - self._base[1]
        if by_tool <= by_us:
            return None
        self._base = (counter, captured)
        return self._reporter.notice(
            "source.conflict",
            ("tool", tool.text("tool_serial_number") or "unknown"),
            "the tool's own counter went on by more than was captured in this session; it also counts "
            "re-hits, loosening and work for other stations",
            now=self._clock.stamp(),
            changes=(("counted_by_tool", None, by_tool), ("captured", None, by_us)),
        )
