"""One connection to the broker: publish and wait for its answer, subscribe, receive, and learn of the end.

One paho client object serves one connection and is then thrown away: its own reconnecting could send a
message twice, and what is to be sent again is the journal's decision.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ssl import SSLError
from typing import Final

from linewitness.base.errors import UplinkRefused, UplinkTooLarge, UplinkUnavailable
from linewitness.uplink import reasons
from linewitness.uplink.options import MqttOptions
from linewitness.uplink.peer import MqttMessage, Peer, Welcome, Will
from linewitness.uplink.wire import Wire, open_wire, tls_error

__all__ = ["MqttConnection", "MqttConnector", "MqttMessage", "Will"]

#: What we hold of received messages before we stop reading from the socket.
INBOX_MESSAGES: Final = 1000
INBOX_BYTES: Final = 32 * 2**20
#: Our own limit of unacknowledged messages, where the broker names none or a larger one.
WINDOW: Final = 64
#: What MQTT 3.1.1 brokers, which cannot name one, are known to take.
WINDOW_311: Final = 20

_GOODBYE_S: Final = 1.0
#: A PUBLISH besides its topic and payload: type, length, length of the topic, number, properties.
_HEADER_BYTES: Final = 10


class _UnknownVersion(UplinkRefused):
    """The broker does not speak the version of MQTT that we tried."""


class _NoWelcome(UplinkUnavailable):
    """The broker hung up before its welcome."""


class MqttConnector:
    """Open connections to one broker; it remembers which version of MQTT the broker speaks.

    `steps` counts attempts, connections and answers of the broker: it changes as long as work goes on.
    """

    def __init__(self, options: MqttOptions, *, will: Will | None = None) -> None:
        """Take the broker; it publishes the will unless a connection ends in order. Nothing is opened yet."""
        self._options = options
        self._will = will
        self._speaks_5 = True
        self.steps = 0

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["MqttConnection"]:
        """Connect to the broker for the time of a block.

        Raises UplinkUnavailable (worth retrying) or UplinkRefused (operator action required); once
        connected, the methods of the connection raise them.
        """
        self.count()
        connection = await self._open()
        self.count()
        orderly = False
        try:
            yield connection
            orderly = True
        finally:
            await connection.close(orderly=orderly)

    def count(self) -> None:
        """Count one step."""
        self.steps += 1

    async def _open(self) -> "MqttConnection":
        if self._options.protocol != "auto":
            return await self._open_with(self._options.protocol)
        if self._speaks_5:
            try:
                return await self._open_with("5")
            except _UnknownVersion:
                self._speaks_5 = False
            except _NoWelcome:
                pass  # some brokers hang up at an unknown version: try the old one, but do not remember it
        return await self._open_with("3.1.1")

    async def _open_with(self, protocol: str) -> "MqttConnection":
        return await MqttConnection.open(self._options, protocol, self._will, on_answer=self.count)


class MqttConnection:
    """A connection that is up, or was: after its end, everything raises UplinkUnavailable."""

    def __init__(
        self,
        options: MqttOptions,
        protocol: str,
        wire: Wire,
        *,
        on_answer: Callable[[], object],
    ) -> None:
        """Use `MqttConnector` instead; `on_answer` is called at each answer of the broker."""
        self.protocol: Final = protocol
        self.maximum_packet_bytes: int | None = None
        self._options = options
        self._on_answer = on_answer
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._peer = Peer(options, protocol, wire, self)
        self._welcome: asyncio.Future[Welcome] = self._loop.create_future()
        self._answers: dict[int, asyncio.Future[int]] = {}
        self._window = asyncio.Semaphore(WINDOW_311)
        self._inbox: deque[tuple[int, int, MqttMessage]] = deque()
        self._inbox_bytes = 0
        self._arrived = asyncio.Event()
        self._ended = asyncio.Event()
        self._end: UplinkUnavailable | None = None

    @classmethod
    async def open(
        cls,
        options: MqttOptions,
        protocol: str,
        will: Will | None,
        *,
        on_answer: Callable[[], object],
    ) -> "MqttConnection":
        """Connect with one version of MQTT and wait for the broker's welcome."""
        wire = await open_wire(options)
        connection = cls(options, protocol, wire, on_answer=on_answer)
        try:
            await connection._be_welcome(will)
        except BaseException:
            connection._peer.release()
            raise
        return connection

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Send one message with QoS 1 and return the broker's reason code, 0 or 0x10 (nobody listens).

        UplinkRefused carries the broker's reason in words; UplinkUnavailable means that the message may or
        may not have arrived. The broker's acknowledgement is transport, not a receipt.
        """
        limit = self.maximum_packet_bytes
        if limit is not None and len(payload) + len(topic.encode()) + _HEADER_BYTES > limit:
            raise UplinkTooLarge(
                f"a message of {len(payload)} bytes is more than the broker takes",
                hint=f"its limit is {limit} bytes a packet",
            )
        await self._window.acquire()
        try:
            self._raise_if_ended()
            mid = self._peer.publish(topic, payload, retain=retain)
        except BaseException:
            self._window.release()
            raise
        return await self._answer(mid, f"the message on {topic}")

    async def subscribe(self, topic: str) -> None:
        """Ask for a topic (wildcards allowed) with QoS 1; UplinkRefused if the broker refuses."""
        self._raise_if_ended()
        await self._answer(self._peer.subscribe(topic), f"the subscription to {topic}")

    async def messages(self) -> AsyncIterator[MqttMessage]:
        """Yield what arrives, in order, until the connection ends with UplinkUnavailable.

        A message is acknowledged when it is taken, and the broker sends no more than a few ahead: a slow
        reader slows the broker down, nothing is dropped.
        """
        while True:
            while self._inbox:
                yield self._take()
            self._raise_if_ended()
            self._arrived.clear()
            await self._arrived.wait()

    async def close(self, *, orderly: bool = True) -> None:
        """Say goodbye and close; without `orderly` the broker sends the will."""
        try:
            if self._end is None:
                self._peer.say_goodbye(orderly=orderly)
                async with asyncio.timeout(_GOODBYE_S):
                    await self._ended.wait()
        except TimeoutError:
            pass  # the broker does not read: closing the socket has the same effect
        finally:
            self.on_end(UplinkUnavailable("the connection was closed"))

    def on_welcome(self, welcome: Welcome) -> None:
        """Let `open` go on."""
        if not self._welcome.done():
            self._welcome.set_result(welcome)

    def on_published(self, mid: int, reason: int) -> None:
        """Give the answer to the publisher, who may have given up waiting, and the room to the next."""
        self._window.release()
        self.on_subscribed(mid, reason)

    def on_subscribed(self, mid: int, reason: int) -> None:
        """Give the answer to who asked."""
        answer = self._answers.pop(mid, None)
        if answer is not None and not answer.done():
            answer.set_result(reason)

    def on_message(self, mid: int, qos: int, message: MqttMessage) -> None:
        """Keep what arrived until it is taken."""
        self._inbox.append((mid, qos, message))
        self._inbox_bytes += len(message.payload)
        self._arrived.set()
        if len(self._inbox) >= INBOX_MESSAGES or self._inbox_bytes >= INBOX_BYTES:
            self._peer.pause()

    def on_end(self, error: UplinkUnavailable) -> None:
        """End once: whoever waits learns of it."""
        if self._end is not None:
            return
        self._end = error
        self._peer.release()
        if not self._welcome.done():
            self._welcome.set_exception(self._no_welcome(error.what))
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self._again(error))
        self._answers.clear()
        self._window.release()  # one waiter sees the end, and releases the next
        self._arrived.set()
        self._ended.set()

    async def _be_welcome(self, will: Will | None) -> None:
        self._peer.start(will)
        try:
            async with asyncio.timeout(self._options.connect_timeout_s):
                welcome = await self._welcome
        except TimeoutError:
            raise UplinkUnavailable(f"{self._options.url} did not answer CONNECT in time") from None
        if welcome.reason >= reasons.FAILURE:
            raise _refusal(self._options, welcome.reason)
        window = WINDOW if self.protocol == "5" else WINDOW_311
        self._window = asyncio.Semaphore(min(window, welcome.receive_maximum or window))
        self.maximum_packet_bytes = welcome.maximum_packet_bytes

    async def _answer(self, mid: int, what: str) -> int:
        """Wait for the broker's reason code; UplinkRefused says what it means."""
        answer: asyncio.Future[int] = self._loop.create_future()
        self._answers[mid] = answer
        try:
            async with asyncio.timeout(self._options.answer_timeout_s):
                reason = await answer
        except TimeoutError:
            what_failed = f"the broker did not answer {what} in {self._options.answer_timeout_s:g} s"
            self.on_end(UplinkUnavailable(what_failed))
            raise UplinkUnavailable(what_failed) from None
        self._on_answer()
        if reason >= reasons.FAILURE:
            kind = UplinkTooLarge if reason == reasons.TOO_LARGE else UplinkRefused
            raise kind(f"the broker refused {what}: {reasons.words(reason)}", hint=reasons.hint(reason))
        return reason

    def _take(self) -> MqttMessage:
        mid, qos, message = self._inbox.popleft()
        self._inbox_bytes -= len(message.payload)
        if self._end is None:
            self._peer.acknowledge(mid, qos)
            if self._inbox_bytes < INBOX_BYTES // 2 and len(self._inbox) < INBOX_MESSAGES // 2:
                self._peer.resume()
        return message

    def _raise_if_ended(self) -> None:
        if self._end is not None:
            raise self._again(self._end)

    @staticmethod
    def _again(end: UplinkUnavailable) -> UplinkUnavailable:
        """Return the same error once more: each that is raised has a trace of its own."""
        return type(end)(end.what, hint=end.hint)

    def _no_welcome(self, what: str) -> UplinkUnavailable | UplinkRefused:
        error = self._wire.error
        if isinstance(error, SSLError):  # with TLS 1.3 the broker judges our certificate after the handshake
            return tls_error(self._options, error)
        hint = "" if self._options.secure else "; does this port want TLS, that is mqtts://?"
        return _NoWelcome(what, hint=f"{self._options.url} hung up before its welcome{hint}")


def _refusal(options: MqttOptions, code: int) -> UplinkRefused | UplinkUnavailable:
    what = f"{options.url} refused us: {reasons.words(code)}"
    if code == reasons.UNSUPPORTED_VERSION:
        return _UnknownVersion(what, hint="set protocol: auto")
    if code in reasons.TRANSIENT:
        return UplinkUnavailable(what)
    return UplinkRefused(what, hint=reasons.hint(code))
