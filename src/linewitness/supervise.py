"""Tell systemd how we are: ready, alive, stopping."""

import asyncio
import os

import sdnotify

from linewitness.status.health import Health


def tell_systemd(message: str) -> None:
    """Send one notification; nothing happens where systemd did not start us."""
    sdnotify.SystemdNotifier().notify(message)


async def feed_watchdog(health: Health) -> None:
    """Feed systemd's watchdog while the event loop turns, and keep its status line true."""
    period_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000 or 15.0
    while True:
        tell_systemd(f"WATCHDOG=1\nSTATUS={health.sentence}")
        await asyncio.sleep(period_s)
