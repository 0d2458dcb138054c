"""Capture tightenings from one controller: connect, start, settle who it is, and open a session."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog
from ulid import ULID

from linewitness.base.clock import Clock, monotonic
from linewitness.base.errors import DeviceRefused, DeviceUnavailable
from linewitness.devices.base import Memory
from linewitness.devices.open_protocol.ledger.state import HistoryMode
from linewitness.devices.open_protocol.ledger.storage import load
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.session import handshake
from linewitness.devices.open_protocol.session.background import BackgroundTasks
from linewitness.devices.open_protocol.session.handshake import ClosedAtStart, ControllerBusy
from linewitness.devices.open_protocol.session.identity import (
    ControllerIdentity,
    KnownController,
    known_controllers,
    source_of,
)
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.session.revisions import (
    AGAIN_AFTER_S,
    ClosedStart,
    LearnedRevisions,
    StartAttempts,
)
from linewitness.devices.open_protocol.session.session import (
    LEARNED_KEY,
    SOURCE_KEY,
    OpenProtocolSession,
    SessionStart,
)
from linewitness.devices.open_protocol.session.silence import MemorySilence
from linewitness.devices.open_protocol.wire.codec import DecodedTelegram, decode
from linewitness.devices.open_protocol.wire.refusals import NoAnswer

log = structlog.get_logger(__name__)


class OpenProtocolDriver:
    """How to reach one tightening controller."""

    def __init__(self, options: OpenProtocolOptions, *, clock: Clock) -> None:
        """Keep the options; nothing is opened yet."""
        self._options = options
        self._clock = clock
        self._learned: LearnedRevisions | None = None
        self._attempts = StartAttempts()
        self._silence = MemorySilence(options.name)
        self._not_before = 0.0

    @property
    def device(self) -> str:
        """The device's id in the YAML."""
        return self._options.id

    @asynccontextmanager
    async def connect(self, memory: Memory) -> AsyncIterator[OpenProtocolSession]:
        """Open a session: started, identified, the ids checked, results subscribed.

        Raises DeviceRefused for another controller than the enrolled one, for a port that is none of
        Open Protocol and for results that are not offered; DeviceUnavailable for the rest.
        """
        await asyncio.sleep(max(0.0, self._not_before - monotonic()))
        remembered = await memory.items("")
        if self._learned is None:
            self._learned = LearnedRevisions.load(remembered.get(LEARNED_KEY))
        async with BackgroundTasks() as background:
            link, started = await self._start(background)
            try:
                self._number_telegrams(link, started)
                settled = await self._settle(link, started, remembered)
                session = OpenProtocolSession(
                    options=self._options, link=link, clock=self._clock, start=settled
                )
                background.start(session.listen_forever(), f"listen:{self.device}")
                await session.prepare()
                self._learned = session.learned
                background.start(session.work_forever(), f"fetch:{self.device}")
                yield session
            finally:
                await link.stop()

    async def _start(self, background: BackgroundTasks) -> tuple[ControllerLink, DecodedTelegram]:
        """Connect and start, lower where a controller is silent, or closes the connection again and again."""
        learned, highest = self._learned or LearnedRevisions(), self._options.start_revision
        asked = learned.start.begin_with(highest)
        limit = self._attempts.first(asked)
        while True:
            link = await open_link(self._options, clock=self._clock)
            background.start(link.read_forever(), f"read:{self.device}")
            background.start(link.keep_alive_forever(), f"keep-alive:{self.device}")
            try:
                async with stopped_unless_done(link):
                    started = await handshake.start(link, self._options.name, limit)
            except ControllerBusy:
                self._not_before = monotonic() + self._options.busy_retry_s
                raise
            except NoAnswer:
                self._attempts.silent(limit, learned.answered)
                raise
            except ClosedAtStart as error:
                limit = await self._after_close(error, learned.answered)
            else:
                self._attempts.succeeded()
                self._learned = learned.started(asked, started.revision, highest)
                if self._learned.start.revision not in (None, learned.start.revision):
                    log.info(
                        "lower revision of the start",
                        device=self.device,
                        revision=started.revision,
                        asked=asked,
                    )
                return link, started

    async def _after_close(self, error: ClosedAtStart, answered: int) -> int:
        """Return the revision for the next connection, which is made at once.

        Raises `DeviceUnavailable` where the next one is for later.
        """
        revision = error.revision
        match self._attempts.closed(revision, answered):
            case ClosedStart.STARTS_UP:
                raise DeviceUnavailable(
                    f"{self._options.name} closes the connection without an answer to the start in "
                    f"revision {revision}, which it has answered before",
                    hint="it may be starting up; the connection is tried again by itself",
                ) from error
            case ClosedStart.TOO_HIGH if revision == 1:
                raise DeviceUnavailable(
                    f"{self._options.name} closes the connection without an answer to the start",
                    hint="check that this port is its Open Protocol port (usually 4545), and how many "
                    "clients it allows",
                ) from error
            case ClosedStart.TOO_HIGH:
                return revision - 1
            case ClosedStart.ONCE:
                await asyncio.sleep(AGAIN_AFTER_S)
        return revision

    def _number_telegrams(self, link: ControllerLink, started: DecodedTelegram) -> None:
        """Confirm on the link level from here on, if that was chosen. Raises `DeviceRefused`."""
        if self._options.acknowledge != "link":
            return
        if started.number("sequence_number_support") != 1:
            raise DeviceRefused(
                f"{self._options.name} does not confirm on the link level (9997)",
                hint="remove acknowledge: link from this device",
            )
        link.number_telegrams()

    async def _settle(
        self,
        link: ControllerLink,
        started: DecodedTelegram,
        remembered: Mapping[str, str],
    ) -> SessionStart:
        tool = None
        if not started.text("controller_serial_number"):
            received = await handshake.tool_data(link, self._options.tool_revision)
            tool = decode(received.telegram) if received is not None else None
        identity = handshake.identify(started, tool)
        source, controller = self._enrolled(identity, remembered)
        ledger = load(source, remembered, self._mode)
        self._silence.begin(answers=ledger.watermark is not None and ledger.mode is not HistoryMode.NONE)
        # A controller that had no memory to ask is asked again: its firmware may have changed.
        fixed = self._options.back_fill != "auto" or ledger.mode is HistoryMode.NONE
        return SessionStart(
            session_id=str(ULID()),
            identity=identity,
            controller=controller,
            learned=(self._learned or LearnedRevisions()).of(identity.software),
            ledger=replace(ledger, mode=self._mode) if fixed else ledger,
            remembered=remembered,
            silence=self._silence,
        )

    @property
    def _mode(self) -> HistoryMode:
        chosen = self._options.back_fill
        return HistoryMode.EXACT if chosen == "auto" else HistoryMode(chosen)

    def _enrolled(
        self, identity: ControllerIdentity, remembered: Mapping[str, str]
    ) -> tuple[str, KnownController]:
        """Return the source of this very controller; refuse another one than expected or met first."""
        expected = self._options.controller_serial
        if expected is not None and identity.serial != expected:
            raise DeviceRefused(
                f"{self._options.name} is the controller {identity.serial or 'without a serial number'}, "
                f"not {expected}",
                hint="set host and port to the right controller, or controller_serial to this one",
            )
        known = known_controllers(remembered, self.device)
        source = source_of(identity, known, remembered.get(SOURCE_KEY))
        if expected is not None and source is not None and known[source].serial != expected:
            source = None
        if source is None and known and expected is None:
            new = identity.source(self.device)
            raise DeviceRefused(
                f"{self._options.name} is {new}, and {', '.join(known)} was captured from here before",
                hint=f"if it was replaced on purpose, set controller_serial to {identity.serial}"
                if identity.serial
                else "make the controller tell its serial number (start revision 4 or higher)",
            )
        if source is None:
            source, before = identity.source(self.device), KnownController()
        else:
            before = known[source]
        return source, before.with_told(identity)


@asynccontextmanager
async def stopped_unless_done(link: ControllerLink) -> AsyncIterator[None]:
    """Close a connection if the block fails or is cancelled: the controller would hold it against us."""
    try:
        yield
    except BaseException:
        await link.stop()
        raise


async def open_link(options: OpenProtocolOptions, *, clock: Clock) -> ControllerLink:
    """Connect to a controller. Raises `DeviceUnavailable` with what to look at."""
    try:
        async with asyncio.timeout(options.connect_timeout_s):
            streams = await asyncio.open_connection(options.host, options.port)
    except TimeoutError as error:
        raise DeviceUnavailable(
            f"{options.name} did not answer within {options.connect_timeout_s:g} s",
            hint="check address, cable and firewall",
        ) from error
    except ConnectionRefusedError as error:
        raise DeviceUnavailable(
            f"nobody listens at {options.name}",
            hint="check port (Open Protocol is usually 4545) and that Open Protocol is enabled",
        ) from error
    except OSError as error:
        raise DeviceUnavailable(
            f"{options.name} cannot be reached: {error}", hint="check host, cable and firewall"
        ) from error
    return ControllerLink(streams=streams, name=options.name, timing=options.timing, clock=clock)
