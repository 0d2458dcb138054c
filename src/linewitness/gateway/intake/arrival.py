"""Tell when the order in which observations arrive is not the order in which things happened."""

import asyncio
from typing import Final

from linewitness.base.clock import NS_PER_MS, NS_PER_S, Clock
from linewitness.devices.base import Observation
from linewitness.gateway.intake.network import LOSSY_NS

#: The event loop is looked at this often.
LOOK_S: Final = 0.05
#: A loop that did not run for this long did not read its sockets either.
STANDSTILL_NS: Final = 250 * NS_PER_MS
#: After a standstill all sockets are read within this time.
AFTERMATH_NS: Final = 100 * NS_PER_MS
#: A device that has one more result sends it within this time after a confirmation.
NEXT_NS: Final = 500 * NS_PER_MS
#: A device that waited this long for a confirmation may have made many results meanwhile.
SLOW_NS: Final = 250 * NS_PER_MS
#: A device that has many results to send makes no longer pause between them, however busy it is.
PAUSE_NS: Final = 1000 * NS_PER_MS

#: What is lost is here after this time: with waits of 0.2, 0.4, 0.8 and 1.6 s between its transmissions.
RESENT_NS: Final = 3 * NS_PER_S


class Standstills:
    """When the process did not run: what arrived meanwhile lay in sockets, in no order that is known."""

    def __init__(self, clock: Clock) -> None:
        """Begin with a process that runs."""
        self._clock = clock
        self._looked_ns = clock.stamp().boottime_ns
        self._last: tuple[int, int] | None = None

    async def run(self) -> None:
        """Look at the loop until cancelled.

        A timer's callback runs before the tasks that take what the sockets had, a task might not.
        """
        loop = asyncio.get_running_loop()
        self._looked_ns = self._clock.stamp().boottime_ns

        timer = loop.call_later(LOOK_S, lambda: None)

        def look() -> None:
            nonlocal timer
            self._look()
            timer = loop.call_later(LOOK_S, look)

        look()
        try:
            await asyncio.Event().wait()
        finally:
            timer.cancel()

    def before_ns(self, arrived_ns: int) -> int | None:
        """Return when the standstill began in which something may have lain in its socket, or None.

        Both are on the boot-time clock; what arrived soon after the standstill counts as well.
        """
        if self._last is None:
            return None
        begun_ns, ended_ns = self._last
        return begun_ns if begun_ns <= arrived_ns < ended_ns + AFTERMATH_NS else None

    async def settle(self) -> None:
        """After a standstill, wait until all sockets are read."""
        if self.before_ns(self._clock.stamp().boottime_ns) is not None:
            await asyncio.sleep(AFTERMATH_NS / NS_PER_S)

    def _look(self) -> None:
        now_ns = self._clock.stamp().boottime_ns
        if now_ns - self._looked_ns > STANDSTILL_NS:
            self._last = (self._looked_ns, now_ns)
        self._looked_ns = now_ns


class ArrivalOrder:
    """Whether the observations of one device arrive as they are made."""

    def __init__(self, standstills: Standstills, clock: Clock) -> None:
        """Begin with a device that does not wait for anything."""
        self._standstills = standstills
        self._clock = clock
        self._delayed_since_ns: int | None = None
        self._confirmed_ns: int | None = None
        self._slow = False
        self._waited_ns = 0
        self._lost = self._lost_before = 0
        self._lossy_until_ns: int | None = None
        self._lost_more = False

    def delayed_since_ns(self, observation: Observation, lost: int = 0) -> int | None:
        """Return since when an observation may have waited (boot time), None if it came at once.

        `lost` is how many segments were lost on the way from and to the device so far, over all its sessions;
        a number that falls again takes the doubt back.

        A device that waits for a confirmation keeps back what it makes meanwhile, however short the wait is,
        and sends it one after the other, at once after each confirmation; its first pause ends that. A device
        that waits for nothing keeps nothing back. Where segments are lost, nobody knows when a confirmation
        arrived, and everything may have been sent more than once.
        """
        arrived_ns = observation.received.boottime_ns
        self._look(lost, arrived_ns)
        lost_more, self._lost_more = self._lost_more, False
        begun_ns = self._standstills.before_ns(arrived_ns)
        if begun_ns is not None:
            self._waited_ns = max(self._waited_ns, arrived_ns - begun_ns)
        # What kept the device waiting for long may keep it busy for long: half of that, up to 3 s.
        pause_ns = max(PAUSE_NS if self._slow else NEXT_NS, min(self._waited_ns // 2, RESENT_NS))
        if lost_more:  # the confirmation may have come so late, and so may what followed it
            pause_ns += 2 * RESENT_NS
        # While the process stood still, nobody saw whether the device made a pause.
        quiet_until_ns = arrived_ns if begun_ns is None else begun_ns
        if self._confirmed_ns is None or quiet_until_ns - self._confirmed_ns > pause_ns:
            self._delayed_since_ns = None
            self._slow = False
            self._waited_ns = 0
        if begun_ns is not None:
            self._delay(begun_ns)
        if self._lossy_until_ns is None or arrived_ns > self._lossy_until_ns:
            return self._delayed_since_ns
        sent_ns = arrived_ns - RESENT_NS
        return sent_ns if self._delayed_since_ns is None else min(sent_ns, self._delayed_since_ns)

    def notice(self, lost: int) -> None:
        """Learn how many segments were lost by now; also while nothing arrives."""
        self._look(lost, self._clock.stamp().boottime_ns)

    def confirmed(self, observation: Observation) -> None:
        """Learn that the device was told that an observation is durable."""
        arrived_ns = observation.received.boottime_ns
        self._confirmed_ns = self._clock.stamp().boottime_ns
        waited_ns = self._confirmed_ns - arrived_ns
        self._slow |= waited_ns > SLOW_NS
        self._waited_ns = max(self._waited_ns, waited_ns)
        self._delay(arrived_ns)

    def _look(self, lost: int, now_ns: int) -> None:
        """Begin a doubt where segments were lost since the last look, and end one that was for nothing."""
        if lost <= self._lost_before:  # what began the doubt was sent again for nothing
            self._lossy_until_ns = None
            self._lost_more = False
        before, self._lost = self._lost, lost
        if lost <= before:
            return
        if self._lossy_until_ns is None or now_ns > self._lossy_until_ns:
            self._lost_before = before
        self._lossy_until_ns = now_ns + LOSSY_NS
        self._slow = self._lost_more = True

    def _delay(self, since_ns: int) -> None:
        if self._delayed_since_ns is None or since_ns < self._delayed_since_ns:
            self._delayed_since_ns = since_ns
