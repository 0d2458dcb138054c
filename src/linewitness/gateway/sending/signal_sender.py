"""Send telemetry over one connection: in order, and cut to what the broker takes of a message."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import orjson
import structlog

from linewitness.base.errors import UplinkTooLarge
from linewitness.gateway.broker_link import BrokerLink
from linewitness.gateway.sending.packet_limit import PacketLimit
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.journal.telemetry.file import SignalBlock
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.topics import Topics

#: The columns of a block: one entry for each point.
_COLUMNS: Final = ("points", "values", "times_ms")

log = structlog.get_logger()


class SignalSender:
    """The task that sends telemetry. What is too large for one message goes in several."""

    def __init__(self, telemetry: TelemetryBuffer, *, topics: Topics, options: ForwardOptions) -> None:
        """Take where signals come from and where they go."""
        self._telemetry = telemetry
        self._topics = topics
        self._options = options
        #: What the broker takes of a message.
        self.limit = PacketLimit(int(options.batch_size))
        self._said = False

    def connected(self) -> None:
        """Learn that a connection begins: a message on its way may be why the one before ended."""
        try:
            self.limit.connected()
        except UplinkTooLarge:
            self.limit.give_up()

    async def run(self, link: BrokerLink) -> None:
        """Send until cancelled or until the connection breaks."""
        size = int(self._options.batch_size)
        while True:
            blocks = await self._telemetry.next(size)
            lost: dict[str, int] = {}
            try:
                taken = await self._leave(link, blocks, lost)
            except BaseException:
                self._telemetry.give_back(blocks)
                raise
            if not taken:
                self._telemetry.give_back(blocks)
                continue
            self._say(lost)
            await self._telemetry.lose(lost)
            await self._telemetry.remove(blocks)
            await asyncio.sleep(self._options.pause_s(sum(len(block.payload) for block in blocks)))

    async def _leave(self, link: BrokerLink, blocks: list[SignalBlock], lost: dict[str, int]) -> bool:
        """Send blocks in this order; return whether the broker took all of it.

        Points of which a single one is too large are counted in `lost`, by device.
        """
        refused: list[int] = []
        async with asyncio.TaskGroup() as group:
            for block in blocks:
                topic = self._topics.telemetry(block.device)
                most = self.limit.payload(topic, link.maximum_packet_bytes)
                for points, payload in cut(block, most):
                    if payload is None:
                        lost[block.device] = lost.get(block.device, 0) + points
                        continue
                    sending = self._publish(link, topic, payload, points, refused)
                    group.create_task(sending, name="uplink:block")
        return not refused

    async def _publish(
        self, link: BrokerLink, topic: str, payload: bytes, points: int, refused: list[int]
    ) -> None:
        size = len(payload)
        self.limit.leaves(size, points)
        try:
            await link.publish(topic, payload)
        except UplinkTooLarge:
            refused.append(size)
            try:
                self.limit.refused(size, points)
            except UplinkTooLarge:
                self.limit.give_up()
            return
        self.limit.taken(size, points)

    def _say(self, lost: dict[str, int]) -> None:
        if lost and not self._said:
            self._said = True
            log.warning(
                "telemetry dropped: the broker does not take a message with one value of it",
                devices=sorted(lost),
                hint="raise its limit of a message (mosquitto: message_size_limit, max_packet_size)",
            )


def cut(block: SignalBlock, most: int) -> Iterator[tuple[int, bytes | None]]:
    """Yield the messages of a block, each with its number of points and within so many bytes.

    A point that does not fit alone comes without a message.
    """
    if len(block.payload) <= most:
        yield block.samples, block.payload
    else:
        yield from _halves(orjson.loads(block.payload), most)


def _halves(message: dict[str, Any], most: int) -> Iterator[tuple[int, bytes | None]]:
    count = len(message["points"])
    payload = orjson.dumps(message)
    if len(payload) <= most:
        yield count, payload
    elif count <= 1:
        yield count, None
    else:
        yield from _halves(_part(message, 0, count // 2), most)
        yield from _halves(_part(message, count // 2, count), most)


def _part(message: dict[str, Any], first: int, last: int) -> dict[str, Any]:
    """Return a message with the points from `first` up to `last`, which is not included."""
    part = message | {name: message[name][first:last] for name in _COLUMNS if name in message}
    if "status" in message:
        status = {int(position): text for position, text in message["status"].items()}
        part["status"] = {str(at - first): text for at, text in status.items() if first <= at < last}
        if not part["status"]:
            del part["status"]
    return part
