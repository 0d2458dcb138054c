"""Follow the clocks of devices as their records tell them, and say when one is too far off."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, NoReturn

from linewitness.base.clock import Clock
from linewitness.evidence.format.gateway_event import CLOCK, gateway_event
from linewitness.evidence.format.record import Change, Event, Resource

#: New records are looked through this often.
LOOK_S: Final = 60.0
#: A limit that was passed counts as passed until the offset is this much below it again.
HYSTERESIS: Final = 0.8

# In a record's exact bytes the clock stands before the context, and a quote inside a string is escaped.
_OFFSET: Final = re.compile(
    rb'"device_offset_ms":(-?[0-9]+).*?"context":\{[^{}]*?"device_id":"([^"\\]+)"', re.DOTALL
)


def newest_offsets(records: Iterable[bytes]) -> dict[str, int]:
    """Return how far each device's clock was ahead in its newest record that says so, in milliseconds."""
    found: dict[str, int] = {}
    for data in records:
        if match := _OFFSET.search(data):
            found[match[2].decode()] = int(match[1])
    return found


class DeviceClocks:
    """The newest offset of each device, and which of them is beyond the limit."""

    def __init__(self, limit_ms: int) -> None:
        """Begin with nothing measured."""
        self._limit_ms = limit_ms
        self._beyond: set[str] = set()
        self.offsets_ms: dict[str, int] = {}

    def take(self, offsets_ms: Mapping[str, int], now_ns: int) -> list[Event]:
        """Take new offsets; return an event for each device that went beyond the limit or came back."""
        events: list[Event] = []
        for device, offset_ms in sorted(offsets_ms.items()):
            was = device in self._beyond
            beyond = abs(offset_ms) > self._limit_ms * (HYSTERESIS if was else 1)
            if beyond != was:
                self._beyond ^= {device}
                events.append(self._event(device, self.offsets_ms.get(device), offset_ms, beyond, now_ns))
            self.offsets_ms[device] = offset_ms
        return events

    def _event(self, device: str, before: int | None, offset_ms: int, beyond: bool, now_ns: int) -> Event:
        word = "ahead of" if offset_ms > 0 else "behind"
        reason = f"the device's clock is {abs(offset_ms) / 1000:.3f} s {word} the gateway's"
        reason += f", more than {self._limit_ms} ms" if beyond else ", within the limit again"
        return gateway_event(
            "clock.status",
            now_ns,
            actor=CLOCK,
            resource=Resource("device", device),
            changes=(
                Change("offset_ms", before, offset_ms),
                Change("warning", not beyond, beyond),
            ),
            context={"device_id": device},
            reason=reason,
        )


async def follow_devices(
    clocks: DeviceClocks,
    *,
    clock: Clock,
    size: Callable[[], int],
    offsets: Callable[[int, int], Awaitable[Mapping[str, int]]],
    submit: Callable[[list[Event]], Awaitable[Any]],
) -> NoReturn:
    """Look through the journal's new records for ever, and submit what `clocks` makes of them.

    `size` is the number of records; `offsets` returns the newest offsets in the records [first, last).
    """
    first = size()
    while True:
        await asyncio.sleep(LOOK_S)
        last = size()
        if last == first:
            continue
        events = clocks.take(await offsets(first, last), clock.stamp().realtime_ns)
        first = last
        if events:
            await submit(events)
