"""Put on record which signals were lost before the historian had them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

import structlog

from linewitness.base.clock import Clock
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.record import Change, Event, Resource
from linewitness.journal.telemetry.buffer import TelemetryBuffer

#: Losses are put on record this often, and the first one soon.
REPORT_S: Final = 60.0
FIRST_REPORT_S: Final = 5.0

_LOST: Final = (
    "signals were dropped before the historian had them: there was no room, or their buffer was damaged; "
    "evidence is complete"
)
_LOST_UNCOUNTED: Final = (
    "the buffer of signals was damaged and begun anew: what waited in it is lost; evidence is complete"
)

Submit = Callable[[Sequence[Event]], "asyncio.Future[Any]"]

log = structlog.get_logger()


async def report_losses(buffer: TelemetryBuffer, submit: Submit, *, clock: Clock) -> NoReturn:
    """Put on record, at most once a minute for each device, how many signals were lost."""
    reported: dict[str, int] = {}
    uncounted_reported = False
    while True:
        await asyncio.sleep(REPORT_S if reported or uncounted_reported else FIRST_REPORT_S)
        lost = {
            device: count - reported.get(device, 0)
            for device, count in buffer.dropped.items()
            if count > reported.get(device, 0)
        }
        gaps = [_loss(device, count, clock) for device, count in sorted(lost.items())]
        if buffer.lost_uncounted and not uncounted_reported:
            gaps.append(_loss(None, None, clock))
            uncounted_reported = True
        if not gaps:
            continue
        if lost:
            reported |= buffer.dropped
            log.warning("signals dropped before the historian had them", samples=lost)
        # Crash here: the count of the last minute is lost with the signals; evidence is not touched.
        await submit(gaps)


def _loss(device: str | None, count: int | None, clock: Clock) -> Event:
    """Return the gap of one device, or of a buffer of which nobody knows what was in it."""
    return gateway_event(
        "source.gap",
        clock.stamp().realtime_ns,
        resource=Resource("telemetry", device or "buffer"),
        reason=_LOST if device else _LOST_UNCOUNTED,
        changes=(Change("count", None, count),) if count is not None else (),
        context={"device_id": device} if device else {},
    )
