"""Say from when until when nobody polled: a change that was undone meanwhile was never seen."""

from collections.abc import Iterator
from typing import Final

from linewitness.base.clock import NS_PER_S, Clock, Stamp, from_rfc3339, to_rfc3339
from linewitness.devices.base import Gap, Memory, Seen, When
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.polling.blocks import Origin

#: How often the journal is told that the device was read: after a crash the gap is longer by this at most.
REMIND_S: Final = 60.0


class Absence:
    """When a device with evidence was last read, over sessions and over restarts of the gateway."""

    def __init__(
        self, options: ModbusOptions, *, origin: Origin, clock: Clock, last_read: Stamp | None
    ) -> None:
        """Take when the session before this one last read all blocks, None in a new process."""
        self.has_evidence = any(point.record == "change" for point in options.points)
        self._origin = origin
        self._clock = clock
        self._contact_ns = last_read.realtime_ns if last_read else None
        self._reminded = clock.stamp().boottime_ns

    async def load(self, memory: Memory) -> None:
        """Learn from the memory where this process does not know."""
        if self._contact_ns is None and (known := await memory.get("contact")) is not None:
            self._contact_ns = from_rfc3339(known)

    def gaps(self) -> Iterator[Gap]:
        """Yield the time since the last read, unless there is nothing that could have been missed."""
        if self._contact_ns is None or not self.has_evidence:
            return
        now = self._clock.stamp()
        yield Gap(
            device=self._origin.device,
            session_id=self._origin.session_id,
            received=now,
            when=When(occurred_ns=now.realtime_ns, occurred_from="gateway"),
            source="poll",
            first=to_rfc3339(self._contact_ns),
            last=to_rfc3339(now.realtime_ns),
            reason="nobody polled: a change that was undone meanwhile is not known",
        )

    def sign_of_life(self, read: Stamp) -> Seen | None:
        """Return what the journal is to remember of a complete round, once in a while.

        Readings carry the same; this is for devices on which nothing changes.
        """
        if not self.has_evidence or read.boottime_ns - self._reminded < REMIND_S * NS_PER_S:
            return None
        self._reminded = read.boottime_ns
        return Seen(
            device=self._origin.device,
            session_id=self._origin.session_id,
            received=read,
            when=When(occurred_ns=read.realtime_ns, occurred_from="gateway"),
            remember={"contact": to_rfc3339(read.realtime_ns)},
        )
