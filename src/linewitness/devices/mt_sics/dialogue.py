"""The dialogue with a scale: one question outstanding, and no answer is taken for the next unit."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from linewitness.base.clock import monotonic
from linewitness.base.errors import DeviceRefused, DeviceUnavailable
from linewitness.devices.mt_sics.link import Closed, Incoming, ScaleLine, ScaleLink, WeighRequest
from linewitness.devices.mt_sics.options import MtSicsOptions
from linewitness.devices.mt_sics.replies import ERRORS, ScaleReply, Weight, parse, quoted, weight

#: What the scale is asked about itself, after its serial number.
ABOUT: Final = {"I2": "type", "I3": "software", "I1": "protocol"}


@dataclass(frozen=True, slots=True)
class WeighingOutcome:
    """How a weighing ended: with a stable weight, or with the reason why there is none."""

    line: ScaleLine | None
    weight: Weight | None
    reason: str = ""
    beyond: str = ""


class Dialogue:
    """Ask and answer on one connection."""

    def __init__(self, link: ScaleLink, options: MtSicsOptions) -> None:
        """Start before the first question."""
        self._link = link
        self._options = options
        self.serial = ""
        self.requests: deque[WeighRequest] = deque()

    async def introduce(self) -> Mapping[str, str]:
        """Reset the scale and learn what it is; DeviceRefused if it is not the configured one."""
        await self.reset()
        about = {"serial": self.serial}
        for command, name in ABOUT.items():
            reply = await self._about(command)
            if reply is not None:
                about[name] = reply
        return about

    async def reset(self) -> None:
        """Cancel what the scale may still be doing, and ignore all until it says its serial number."""
        self._link.send("@")
        try:
            async with asyncio.timeout(self._options.reply_timeout_s):
                while True:
                    reply = parse((await self._line()).text)
                    if reply and (reply.command, reply.status) == ("I4", "A"):
                        break
        except TimeoutError:
            raise DeviceUnavailable(
                "the scale does not answer @ (reset)",
                hint="check that MT-SICS is switched on for this port, and the converter's baud rate",
            ) from None
        self._check(quoted(reply) or "")

    async def weigh(self) -> WeighingOutcome:
        """Ask for a stable weight until there is one or the time is over."""
        deadline = monotonic() + self._options.stable_timeout_s
        busy = False
        while monotonic() < deadline:
            self._forget_older()
            self._link.send("S")
            answer = await self._answer("S", deadline)
            if answer is None:
                # A late answer must not become the next unit's weight: the reset swallows it.
                await self.reset()
                return WeighingOutcome(
                    None, None, f"no stable weight within {self._options.stable_timeout_s} s"
                )
            line, reply = answer
            if reply.status == "I" or reply.command == "ET":
                busy = True
                await asyncio.sleep(self._options.retry_s)
                continue
            return self._outcome(line, reply)
        return WeighingOutcome(None, None, "the scale was busy" if busy else "the scale did not answer")

    async def idle(self, until: float | None) -> ScaleLine | WeighRequest | None:
        """Wait for a line or a request, at most until the loop's time `until`; then return None."""
        if self.requests:
            return self.requests.popleft()
        try:
            async with asyncio.timeout_at(until):
                incoming = await self._link.next()
        except TimeoutError:
            return None
        if isinstance(incoming, Closed):
            raise DeviceUnavailable(incoming.reason)
        if isinstance(incoming, ScaleLine):
            self._not_restarted(parse(incoming.text))
        return incoming

    def _forget_older(self) -> None:
        """Drop lines that came before the question: they cannot be its answer."""
        for incoming in self._link.waiting():
            self._sort(incoming)

    async def _about(self, command: str) -> str | None:
        self._link.send(command)
        answer = await self._answer(command, monotonic() + self._options.reply_timeout_s)
        if answer is None:
            raise DeviceUnavailable(f"the scale does not answer {command}")
        return quoted(answer[1]) or answer[1].rest or None

    async def _answer(self, command: str, deadline: float) -> tuple[ScaleLine, ScaleReply] | None:
        """Return the answer to `command` or an error line, or None when it is too late."""
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    line = await self._line()
                    reply = parse(line.text)
                    if reply is None:
                        continue
                    if reply.command == command or reply.command in ERRORS:
                        return line, reply
                    self._not_restarted(reply)
        except TimeoutError:
            return None

    async def _line(self) -> ScaleLine:
        while True:
            line = self._sort(await self._link.next())
            if line is not None:
                return line

    def _sort(self, incoming: Incoming) -> ScaleLine | None:
        """Return a line; keep a request for later; raise for the end."""
        if isinstance(incoming, Closed):
            raise DeviceUnavailable(incoming.reason)
        if isinstance(incoming, WeighRequest):
            self.requests.append(incoming)
            return None
        return incoming

    def _outcome(self, line: ScaleLine, reply: ScaleReply) -> WeighingOutcome:
        if reply.command in ERRORS or reply.status == "L":
            raise DeviceRefused(
                f"the scale refuses to weigh: {ERRORS.get(reply.command, 'wrong parameter')}",
                hint="the command S must be available: ask the scale with I0",
            )
        return judge(line, reply)

    def _check(self, serial: str) -> None:
        expected = self._options.serial or self.serial
        if expected and serial != expected:
            raise DeviceRefused(
                f"this is scale {serial or 'without a serial number'}, not {expected}",
                hint="enter the new serial number in the YAML if the scale was exchanged on purpose",
            )
        self.serial = serial

    def _not_restarted(self, reply: ScaleReply | None) -> None:
        if reply and reply.command == "I4":
            raise DeviceUnavailable("the scale was switched off and on")


def judge(line: ScaleLine, reply: ScaleReply) -> WeighingOutcome:
    """Return what an answer to S says; only a stable weight is a weight."""
    if reply.status in {"+", "-"}:
        beyond = "high" if reply.status == "+" else "low"
        return WeighingOutcome(line, None, "overload" if beyond == "high" else "underload", beyond)
    if reply.status != "S":
        return WeighingOutcome(line, None, "the weight was not stable")
    found = weight(reply)
    return WeighingOutcome(line, found, "" if found else "the scale's answer is not a weight")
