"""Serve one client: read its telegrams in order, write ours, and push events until it confirms them."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from linewitness.base.clock import monotonic
from linewitness_simulators.torque import wire
from linewitness_simulators.torque.controller import Controller, ControllerEvent
from linewitness_simulators.torque.wire import Telegram

ACCEPTED: Final = 5
REFUSED: Final = 4
RESULT_MIDS: Final = (61, 106, 1201)
GLUE_WAIT_S: Final = 0.05
HALF_OPEN_POLL_S: Final = 0.05
READ_SIZE: Final = 65_536


class RequestRefused(Exception):
    """The controller says no, with this code of MID 0004."""

    def __init__(self, code: int) -> None:
        """Take the code of section 2.7."""
        super().__init__(f"error {code}")
        self.code = code


class ConnectionEnded(Exception):
    """This connection is over; `abrupt` breaks it with a reset."""

    def __init__(self, reason: str, *, abrupt: bool = False) -> None:
        """Say why, for the ledger."""
        super().__init__(reason)
        self.abrupt = abrupt


@dataclass(eq=False)
class Push:
    """An event on its way: sent until one of `acks` arrives. `bolts` of a cycle were sent so far (0107)."""

    mid: int
    telegram: bytes
    acks: frozenset[int]
    number: int | None = None
    wait: bool = True
    bolts: int = 0
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def confirmed_by(self) -> int:
        """The number of the confirmation on the link level: the one after its own."""
        own = self.telegram[wire.SEQUENCE]
        return wire.following(int(own)) if own.strip() else 0


#: What a subscription makes of an event.
Maker = Callable[[ControllerEvent], list[Push]]


@dataclass(eq=False)
class Subscription:
    """What a client asked to hear, until it has heard enough."""

    make: Maker
    active: bool = True


Dispatch = Callable[["ClientSession", Telegram], Awaitable[None]]


class ClientSession:
    """One connection. `dispatch` answers a telegram."""

    def __init__(self, *, number: int, controller: Controller, dispatch: Dispatch) -> None:
        """Begin before 0001."""
        self.number = number
        self.controller = controller
        self.started = False
        self.stopped = False
        self.keep_alive = True
        self.mute = False
        self._subscriptions: dict[int, Subscription] = {}
        self.link = wire.LinkNumbering()
        self._dispatch = dispatch
        self._pushes: asyncio.Queue[tuple[Subscription, Push]] = asyncio.Queue()
        self._out: asyncio.Queue[bytes | ConnectionEnded] = asyncio.Queue()
        self._sent: deque[Push] = deque()
        self._heard = monotonic()
        self._kept_alive = float("-inf")

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve until either side ends the connection."""
        controller = self.controller
        controller.listeners.append(self)
        self.record("opened", 0)
        reasons: list[str] = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(reader), name=f"torque:{self.number}:read")
                group.create_task(self._write(writer), name=f"torque:{self.number}:write")
                group.create_task(self._push(), name=f"torque:{self.number}:push")
                group.create_task(self._watch(), name=f"torque:{self.number}:watch")
        except* ConnectionEnded as ended:
            reasons = [str(e) for e in ended.exceptions]
            if any(isinstance(e, ConnectionEnded) and e.abrupt for e in ended.exceptions):
                writer.transport.abort()
        except* OSError as broken:
            reasons = [str(e) for e in broken.exceptions]
        finally:
            controller.listeners.remove(self)
            self.record("closed", 0, text="; ".join(reasons))
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def record(self, what: str, mid: int, number: int | None = None, text: str = "") -> None:
        """Write down what happened here."""
        self.controller.ledger.add(self.number, what, mid, number, text)

    # What handlers use.

    async def reply(self, telegram: bytes) -> None:
        """Send an answer."""
        if delay := self.controller.faults.reply_delay_s:
            await asyncio.sleep(delay)
        self.send(telegram)

    async def accept(self, mid: int) -> None:
        """Send 0005."""
        await self.reply(wire.encode(self.controller.faults, ACCEPTED, 1, {"accepted_mid": mid}))

    async def refuse(self, mid: int, code: int) -> None:
        """Send 0004."""
        self.record("refused", mid, code)
        revision = 2 if code > 99 else 1
        values = {"failed_mid": mid, "error_code": code}
        await self.reply(wire.encode(self.controller.faults, REFUSED, revision, values))

    def send(self, telegram: bytes) -> None:
        """Put a telegram on its way."""
        if self.mute:
            return
        self._out.put_nowait(self.link.number(telegram))

    def push(self, subscription: Subscription, event: ControllerEvent) -> None:
        """Queue what a subscription makes of an event, behind what is not confirmed yet."""
        for push in subscription.make(event):
            self._pushes.put_nowait((subscription, push))

    def subscribe(self, mid: int, make: Maker) -> Subscription:
        """Begin a subscription, by the MID that asked for it."""
        self._subscriptions[mid] = Subscription(make)
        return self._subscriptions[mid]

    def unsubscribe(self, mid: int) -> bool:
        """End a subscription, with what it still had to send; False where there is none."""
        subscription = self._subscriptions.pop(mid, None)
        if subscription is not None:
            subscription.active = False
        return subscription is not None

    def end(self, reason: str, *, abrupt: bool = False) -> None:
        """End the connection when everything before has been written."""
        self._out.put_nowait(ConnectionEnded(reason, abrupt=abrupt))

    def confirm(self, mid: int, *, event: bool = False, sequence: int = 0) -> None:
        """Take a confirmation of the oldest transmission it fits; `event` says that `mid` is the event's.

        On the link level, `sequence` is the number after that of what it confirms.
        """
        faults = self.controller.faults
        fitting = (p for p in self._sent if (p.mid == mid if event else mid in p.acks))
        push = next((p for p in fitting if not sequence or sequence == p.confirmed_by), None)
        if push is None:
            self.record("link-ack" if sequence else "stray-ack", mid)
            return
        self._sent.remove(push)
        if faults.lose_acks:
            faults.lose_acks -= 1
            self.record("lost-ack", push.mid, push.number)
            return
        repeated = push.confirmed.is_set()
        self.record("repeated-ack" if repeated else "acked", push.mid, push.number)
        if not repeated and push.mid in RESULT_MIDS and push.number is not None:
            self.controller.acknowledged(push.number)
        push.confirmed.set()

    def unconfirmed(self, mid: int) -> Push | None:
        """Return the oldest transmission of an event that waits for its confirmation."""
        return next((push for push in self._sent if push.mid == mid), None)

    def subscribed(self, mid: int) -> bool:
        """Return whether there is a subscription that began with this MID."""
        return mid in self._subscriptions

    def hear(self, event: ControllerEvent) -> None:
        """Push what the subscriptions make of a change."""
        for subscription in list(self._subscriptions.values()):
            self.push(subscription, event)

    def overrun_by_keep_alive(self) -> bool:
        """Return whether 9999 comes faster than this controller can stand; it then falls silent."""
        now, last = monotonic(), self._kept_alive
        self._kept_alive = now
        self.mute = self.mute or now - last < self.controller.faults.fastest_keep_alive_s
        return self.mute

    # The tasks of a connection.

    async def _present(self) -> None:
        """Wait while we pretend that our machine is gone."""
        while self.controller.faults.half_open:  # noqa: ASYNC110  (a plain field that anybody may set)
            await asyncio.sleep(HALF_OPEN_POLL_S)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        framer = wire.Framer()
        while True:
            await self._present()
            data = await reader.read(READ_SIZE)
            await self._present()
            if not data:
                raise ConnectionEnded("the client closed")
            self._heard = monotonic()
            try:
                telegrams = [wire.parse(raw) for raw in framer.feed(data)]
            except (wire.FramingError, wire.MalformedTelegram) as error:
                raise ConnectionEnded(f"framing: {error}") from error
            for telegram in telegrams:
                await self._dispatch(self, telegram)

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        faults = self.controller.faults
        while True:
            items = [await self._out.get()]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GLUE_WAIT_S):
                    while len(items) < faults.glue:
                        items.append(await self._out.get())
            await self._present()
            for piece in wire.pieces(faults, [item for item in items if isinstance(item, bytes)]):
                writer.write(piece)
                await writer.drain()
                if faults.split_bytes:
                    await asyncio.sleep(0)
            for item in items:
                if isinstance(item, ConnectionEnded):
                    raise item

    async def _push(self) -> None:
        while True:
            subscription, push = await self._pushes.get()
            if subscription.active and push.wait:
                await self._until_confirmed(subscription, push)
            elif subscription.active:
                self._transmit(push)

    async def _until_confirmed(self, subscription: Subscription, push: Push) -> None:
        options = self.controller.options
        for _ in range(1 + options.resends):
            if not subscription.active:
                return
            self._transmit(push)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(options.ack_timeout_s):
                    await push.confirmed.wait()
                    return
            await self._present()
        raise ConnectionEnded(f"{push.mid:04d} was not confirmed", abrupt=True)

    def _transmit(self, push: Push) -> None:
        faults = self.controller.faults
        self.record("sent", push.mid, push.number)
        if push.wait:
            self._sent.append(push)
        push.telegram = self.link.number(push.telegram)
        self.send(wire.damage(faults, push.mid, push.telegram))
        if faults.drop_after_push and push.mid in RESULT_MIDS:
            faults.drop_after_push -= 1
            self.end("dropped after a result", abrupt=True)

    async def _watch(self) -> None:
        """Close the connection that has been silent for too long."""
        limit = self.controller.options.keep_alive_s
        while limit:
            rest = self._heard + limit - monotonic()
            if rest <= 0 and self.keep_alive and not self.controller.faults.half_open:
                raise ConnectionEnded(f"nothing heard for {limit:g} s")
            await asyncio.sleep(max(rest, HALF_OPEN_POLL_S))
