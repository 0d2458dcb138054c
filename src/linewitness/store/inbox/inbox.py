"""Keep what has arrived until it is judged: one bounded queue a gateway, and all are served in turns.

A gateway sends again what has no receipt, so that dropping a message is safe. What is dropped is decided
from the topic and the size alone, that of its lines where it is compressed: nothing of a message is
unpacked before its turn, or read before it is judged.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final

from linewitness.base.clock import monotonic
from linewitness.base.compression.frames import BadFrame, is_frame, stated_size, unpack
from linewitness.evidence.format.canonical import MAX_BYTES
from linewitness.store.ahead.notices import MAX_NOTICE
from linewitness.store.inbox.drops import DropCounts, DropReason
from linewitness.store.inbox.quota import MAX_MESSAGE_BYTES, GatewayQuota, QuotaOptions
from linewitness.store.inbox.seam import Inbox, WaitingMessage
from linewitness.store.inbox.share import EVERYBODY, GatewayShare
from linewitness.uplink.topics import Channel, Topics

#: What goes into one transaction, if that much has come: less than half a second of work for one core.
TURN_MESSAGES: Final = 64
TURN_BYTES: Final = 2**20
#: Of one gateway, so many messages at most: its flood alone must not make a turn long.
TURN_OF_ONE: Final = 16
#: Of a larger message of records than the default batch, so much is judged at a time, whole lines.
PIECE_BYTES: Final = 2**18
#: What a waiting message costs besides its payload.
_OVERHEAD: Final = 512
#: How large a message may be.
_MOST: Final[Mapping[Channel, int]] = {
    "records": MAX_MESSAGE_BYTES,
    "notice": MAX_NOTICE,
    "checkpoint": MAX_BYTES,
}


class _GatewayQueue:
    """The messages of one gateway that wait, oldest first; of the oldest, a part may be taken already."""

    def __init__(self, topics: Topics, quota: GatewayQuota) -> None:
        self.topics = topics
        self.quota = quota
        self.size = 0
        self._waiting: deque[WaitingMessage] = deque()
        self._begun = 0

    def __bool__(self) -> bool:
        """Whether something waits."""
        return bool(self._waiting)

    def append(self, message: WaitingMessage) -> None:
        self._waiting.append(message)
        self.size += _cost(message)

    def drop_newest(self) -> int:
        """Drop the newest message, or what is left of it; return the bytes of its payload."""
        message = self._waiting.pop()
        self.size -= _cost(message)
        if not self._waiting:
            self._begun = 0
        return len(message.payload)

    def take(self) -> WaitingMessage:
        """Take the oldest message, unpacked, or the next piece of it; a frame that is none stays one."""
        topic, payload = self._unpacked()
        first, last = self._begun, len(payload)
        if last - first > PIECE_BYTES and topic == self.topics.records:
            end = _end_of_lines(payload, first)
            if end is None:
                # No record is that long: this much shows it, and the rest is not worth a look.
                last = first + MAX_BYTES + 1
            else:
                self._begun = end
                return WaitingMessage(topic, payload[first:end])
        self.size -= _cost(self._waiting.popleft())
        self._begun = 0
        return WaitingMessage(topic, payload[first:last])

    def _unpacked(self) -> WaitingMessage:
        message = self._waiting[0]
        if message.topic == self.topics.records and is_frame(message.payload):
            with suppress(BadFrame):
                lines = unpack(message.payload, MAX_MESSAGE_BYTES)
                self.size -= _cost(message)
                self._waiting[0] = message = message._replace(payload=lines)
                self.size += _cost(message)
        return message


class StoreInbox(Inbox):
    """The queues of all enrolled gateways; used by the event loop's thread alone."""

    def __init__(
        self,
        options: QuotaOptions,
        *,
        share: GatewayShare = EVERYBODY,
        now: Callable[[], float] = monotonic,
    ) -> None:
        """Know no gateway yet; `now` returns seconds."""
        self.drops = DropCounts()
        #: Somebody unknown has sent something since the last `enrolled`.
        self.strangers = False
        self.size = 0
        self._options = options
        self._share = share
        self._now = now
        self._queues: dict[tuple[str, str], _GatewayQueue] = {}
        self._turns: deque[_GatewayQueue] = deque()
        self._arrived = asyncio.Event()

    @property
    def sentence(self) -> str:
        """What `systemctl status` shows while messages are dropped, else nothing."""
        return self.drops.sentence(self._now())

    def enrolled(self, gateways: Iterable[tuple[str, str]]) -> None:
        """Learn which gateways, by tenant and name, are enrolled."""
        self.strangers = False
        for tenant, gateway in gateways:
            if (tenant, gateway) not in self._queues:
                quota = GatewayQuota(self._options, self._now())
                self._queues[tenant, gateway] = _GatewayQueue(Topics(tenant, gateway), quota)

    def offer(self, topic: str, payload: bytes) -> None:
        """Take a message, or drop and count it; what nobody could have meant for a store is ignored."""
        found = Topics.parse(topic)
        if found is None or not payload:
            return
        topics, channel = found
        message = WaitingMessage(topic, payload)
        queue = self._queues.get((topics.tenant, topics.gateway))
        if queue is None:
            if not self._share.serves(topics.tenant, topics.gateway):
                return  # another worker's
            self.strangers = True
            self._drop(topics, DropReason.UNKNOWN, len(payload))
        elif (size := _size(message)) > _MOST.get(channel, MAX_BYTES):
            self._drop(topics, DropReason.SIZE, len(payload))
        elif not queue.quota.take(size, self._now()):
            self._drop(topics, DropReason.QUOTA, len(payload))
        elif not self._has_room(queue, message):
            self._drop(topics, DropReason.QUEUE, len(payload))
        else:
            if not queue:
                self._turns.append(queue)
            queue.append(message)
            self.size += _cost(message)
            self._arrived.set()

    async def turns(self) -> AsyncIterator[list[WaitingMessage]]:
        """Yield one turn after the other."""
        while True:
            yield await self.turn()

    async def ack(self, turn: Iterable[WaitingMessage]) -> None:
        """Do nothing: a broker forgets what was read, and only a receipt makes a gateway forget it."""

    def serve(self, share: GatewayShare) -> None:
        """Serve these partitions from now on; the gateways among them are learned by `enrolled`."""
        self._share = share
        for names in [names for names in self._queues if not share.serves(*names)]:
            queue = self._queues.pop(names)
            self.size -= queue.size
            with suppress(ValueError):
                self._turns.remove(queue)

    async def turn(self) -> list[WaitingMessage]:
        """Wait for messages, and take one of each gateway after the other until it is enough."""
        while not self._turns:
            self._arrived.clear()
            await self._arrived.wait()
        taken: list[WaitingMessage] = []
        counts: Counter[Topics] = Counter()
        size = 0
        while self._turns and len(taken) < TURN_MESSAGES and size < TURN_BYTES:
            queue = self._turns[0]
            # The queues take turns, so that no other has given fewer, unless it is empty now.
            if counts[queue.topics] == TURN_OF_ONE:
                break
            self._turns.popleft()
            counts[queue.topics] += 1
            before = queue.size
            taken.append(queue.take())
            size += len(taken[-1].payload)
            self.size += queue.size - before
            if queue:
                self._turns.append(queue)
        return taken

    def _has_room(self, queue: _GatewayQueue, message: WaitingMessage) -> bool:
        """Make room, where all queues together are full, at the cost of whoever has most waiting."""
        cost = _cost(message)
        if queue.size + cost > self._options.queue_size:
            return False
        while self.size + cost > self._options.total_queue_size:
            longest = max(self._turns, key=lambda waiting: waiting.size)
            if longest.size <= queue.size + cost:
                return False
            before = longest.size
            self._drop(longest.topics, DropReason.QUEUE, longest.drop_newest())
            self.size += longest.size - before
            if not longest:
                self._turns.remove(longest)
        return True

    def _drop(self, topics: Topics, reason: DropReason, size: int) -> None:
        self.drops.count(topics.tenant, topics.gateway, reason, size=size, now=self._now())


def _cost(message: WaitingMessage) -> int:
    """Return the memory that a waiting message takes, in bytes: what it will when its turn comes."""
    return _size(message) + _OVERHEAD


def _size(message: WaitingMessage) -> int:
    """Return the size of a message, or what it has when it is unpacked if that is more; in bytes."""
    stated = 0
    if is_frame(message.payload):
        with suppress(BadFrame):  # which is never unpacked
            stated = stated_size(message.payload)
    return max(len(message.payload), stated)


def _end_of_lines(payload: bytes, first: int) -> int | None:
    """Return where a piece that begins at `first` ends, after a line feed; None if a line is no record."""
    end = payload.rfind(b"\n", first, first + PIECE_BYTES)
    return None if end < 0 else end + 1
