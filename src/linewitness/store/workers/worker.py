"""What a worker does besides what every store does: its share, its word to the supervisor, and its end."""

import asyncio
import os
from contextlib import suppress
from typing import Final

from linewitness.base.watchdog import tell_systemd
from linewitness.store.inbox.share import EVERYBODY, GatewayShare
from linewitness.store.options import AuditStoreOptions

#: What a worker says once it is subscribed, besides the words that systemd knows.
SUBSCRIBED: Final = "X_SUBSCRIBED"
_STANDARD_INPUT: Final = 0


def share_of(options: AuditStoreOptions, worker: int | None) -> GatewayShare:
    """Return the gateways that a worker serves; without workers there is one for all."""
    return EVERYBODY if worker is None else GatewayShare.of(worker, options.workers)


def tell_subscribed() -> None:
    """Say that the messages of our gateways reach us."""
    tell_systemd(f"{SUBSCRIBED}=1")


def end_with_the_supervisor(stop: asyncio.Event) -> None:
    """Set an event when the supervisor is no more: the pipe from it ends then, however it ended."""
    loop = asyncio.get_running_loop()

    def look() -> None:
        with suppress(OSError):
            if os.read(_STANDARD_INPUT, 1):
                return
        loop.remove_reader(_STANDARD_INPUT)
        stop.set()

    loop.add_reader(_STANDARD_INPUT, look)
