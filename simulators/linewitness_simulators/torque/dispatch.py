"""Let a client in, keep the link level, and hand each telegram to its handler."""

from typing import Final

from linewitness.base.clock import monotonic
from linewitness_simulators.torque import fields, wire
from linewitness_simulators.torque.replies import COMMANDS, HANDLERS
from linewitness_simulators.torque.session import ClientSession, RequestRefused
from linewitness_simulators.torque.topics import ACKS, ENDS
from linewitness_simulators.torque.wire import Telegram

START: Final = 1
STARTED: Final = 2
STOP: Final = 3
ACCEPTED: Final = 5
KEEP_ALIVE: Final = 9999
LINK_ACK: Final = 9997
LINK_NACK: Final = 9998
GENERIC_REQUEST: Final = 6
LINK_LEVEL_FROM: Final = 6
OPTIONAL_KEEP_ALIVE_FROM: Final = 7
WRONG_SEQUENCE: Final = 3

TOO_MANY_CLIENTS: Final = 16
COMMANDS_DISABLED: Final = 92
ALREADY_CONNECTED: Final = 96
REVISION_UNSUPPORTED: Final = 97
UNKNOWN_MID: Final = 99


class Dispatcher:
    """What the sessions of one controller share: who is in, and when somebody left without a word."""

    def __init__(self) -> None:
        """Nobody is in."""
        self.inside: set[int] = set()
        self.dropped_at: float | None = None

    def left(self, session: ClientSession) -> None:
        """Note that a connection is over."""
        if session.number in self.inside and not session.stopped:
            self.dropped_at = monotonic()
        self.inside.discard(session.number)

    async def __call__(self, session: ClientSession, telegram: Telegram) -> None:
        """Answer one telegram."""
        if not session.started and telegram.mid != START:
            session.record("ignored", telegram.mid)
            return
        if session.started and not self._link(session, telegram):
            return
        try:
            await self._answer(session, telegram)
        except RequestRefused as refusal:
            await session.refuse(_blamed(telegram), refusal.code)

    def _link(self, session: ClientSession, telegram: Telegram) -> bool:
        """Confirm the telegram on the link level; False where it is not to be processed."""
        if telegram.mid in (LINK_ACK, LINK_NACK):
            if telegram.mid == LINK_ACK and telegram.data[:4].isdigit():
                session.confirm(int(telegram.data[:4]), event=True, sequence=telegram.sequence)
            return False
        if not telegram.sequence or not session.controller.options.link_level:
            return True
        link, faults = session.link, session.controller.faults
        again = link.active and link.repeated(telegram.sequence)
        if not again and telegram.sequence != link.expected:
            nack = {"failed_mid": telegram.mid, "error_code": WRONG_SEQUENCE}
            session.send(wire.with_sequence(wire.encode(faults, LINK_NACK, 1, nack), link.expected))
            return False
        link.active = True
        ack = wire.encode(faults, LINK_ACK, 1, {"acked_mid": telegram.mid})
        session.send(wire.with_sequence(ack, wire.following(telegram.sequence)))
        if not again:
            link.advance()
        return not again

    async def _answer(self, session: ClientSession, telegram: Telegram) -> None:
        mid, faults = telegram.mid, session.controller.faults
        code = faults.refuse_once.pop(mid, None) or faults.refuse.get(mid)
        if code is not None:
            raise RequestRefused(code)
        if mid == START:
            await self._start(session, telegram)
        elif mid == STOP:
            await session.accept(STOP)
            session.stopped = True
            session.end("stopped by the client")
        else:
            self._check(session, telegram)
            if mid in COMMANDS:
                session.record("command", mid, text=telegram.data.decode("utf-8", errors="replace"))
            await HANDLERS[mid](session, telegram)

    def _check(self, session: ClientSession, telegram: Telegram) -> None:
        mid, options = telegram.mid, session.controller.options
        if mid == ACCEPTED or mid in ACKS:
            return
        if options.highest(mid) is None or mid not in HANDLERS:
            raise RequestRefused(UNKNOWN_MID)
        if not options.supports(mid, telegram.revision) and mid not in ENDS and mid != KEEP_ALIVE:
            raise RequestRefused(REVISION_UNSUPPORTED)
        if mid in COMMANDS and session.controller.faults.commands_disabled:
            raise RequestRefused(COMMANDS_DISABLED)

    async def _start(self, session: ClientSession, telegram: Telegram) -> None:
        controller, faults = session.controller, session.controller.faults
        if session.started or self._still_busy(faults.busy_after_drop_s):
            raise RequestRefused(ALREADY_CONNECTED)
        if len(self.inside) >= controller.options.max_clients:
            raise RequestRefused(TOO_MANY_CLIENTS)
        if telegram.revision > (controller.options.highest(START) or 1):
            if faults.silent_close:
                session.end("the revision is too high", abrupt=True)
                return
            raise RequestRefused(REVISION_UNSUPPORTED)
        optional = telegram.revision >= OPTIONAL_KEEP_ALIVE_FROM and telegram.data[2:3] == b"1"
        session.keep_alive = not optional
        link = controller.options.link_level and telegram.revision >= LINK_LEVEL_FROM
        values = fields.start(
            controller.station, session.number, link_level=link, optional_keep_alive=int(optional)
        )
        await session.reply(wire.encode(faults, STARTED, telegram.revision, values))
        self.inside.add(session.number)
        session.started = True
        session.record("started", START, telegram.revision)
        if faults.drop_after_start:
            faults.drop_after_start -= 1
            session.end("dropped after the start", abrupt=True)

    def _still_busy(self, seconds: float) -> bool:
        return self.dropped_at is not None and monotonic() - self.dropped_at < seconds


def _blamed(telegram: Telegram) -> int:
    """Return the MID that 0004 names: for the generic messages the one inside."""
    inner = telegram.data[:4]
    generic = telegram.mid in (GENERIC_REQUEST, 8, 9)
    return int(inner) if generic and len(inner) == 4 and inner.isdigit() else telegram.mid
