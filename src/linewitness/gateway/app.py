"""The composition root: a `Config` in, one running line out."""

import asyncio
import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from linewitness.base.certificates import CertificateMonitor, named_in
from linewitness.base.clock import Clock, SharedClockState, SystemClock
from linewitness.base.errors import ConfigurationError, JournalFull
from linewitness.base.log_limits import LogFigures
from linewitness.config import Config
from linewitness.config.differences import needing_restart, settings_of
from linewitness.config.lists.reading import read_listing
from linewitness.gateway.anchoring import Anchoring, targets_of
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.clock_watch import ClockBoard
from linewitness.gateway.continuity import Continuity
from linewitness.gateway.fleet import Fleet
from linewitness.gateway.intake.arrival import Standstills
from linewitness.gateway.keys.exposure import KeyExposure
from linewitness.gateway.keys.rotation import KeyRotation
from linewitness.gateway.lifecycle import Lifecycle
from linewitness.gateway.line import run_parts
from linewitness.gateway.lists.keeper import ListKeeper
from linewitness.gateway.opening import check_identity, when_there_is_room
from linewitness.gateway.supervise import GatewayLoops
from linewitness.gateway.tasks import LineParts, Tasks
from linewitness.gateway.uplink_parts import connector_of, uplink_of
from linewitness.journal.database import bytes_on_disk
from linewitness.journal.file import JournalFile
from linewitness.journal.generations.ended import rests_of
from linewitness.journal.journal import Journal, open_journal
from linewitness.journal.keyring import LOG_KEY, keyring_of
from linewitness.journal.pruning.prune import Pruner
from linewitness.journal.requests import LOOK_S, RELOAD, Requests
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.records.builder import StreamIdentity
from linewitness.status.before_start import BeforeStart
from linewitness.status.health import Health
from linewitness.status.rows import LineFacts
from linewitness.status.service import serve_status_page
from linewitness.status.snapshot import Overview
from linewitness.tpm.counter import StartCounter
from linewitness.tpm.starts import CountedStarts
from linewitness.uplink.topics import Topics

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reload:
    """How a running line is asked to read its YAML again: an event, and the function that reads it."""

    asked: asyncio.Event
    load: Callable[[], Config]


def identity_of(config: Config) -> StreamIdentity:
    """Return the identity of a line's stream."""
    line = config.line
    return StreamIdentity(stream=line.origin, tenant=line.tenant, plant=line.plant, line=line.line)


def create_stream(config: Config, *, clock: Clock | None = None) -> None:
    """Write record 0 of a line's stream: the explicit act without which no history begins."""
    file = JournalFile.create(
        config.journal.directory,
        identity_of(config),
        clock=clock or SystemClock(),
        clock_state=SharedClockState(),
        keyring=keyring_of(config.journal),
    )
    file.close()


async def run_line(
    config: Config,
    stop: asyncio.Event,
    *,
    reload: Reload | None = None,
    clock: Clock | None = None,
    log: Callable[[], LogFigures] = LogFigures,
) -> None:
    """Run one line until `stop` is set; an ExceptionGroup holds what ended it otherwise.

    `log` says what the log does not hold.
    """
    clock, clock_state = clock or SystemClock(), SharedClockState()
    opening = functools.partial(open_journal, config.journal, clock=clock, clock_state=clock_state)
    page = functools.partial(_page_before_start, config, clock)
    async with when_there_is_room(opening, config.journal.directory, stop, page=page) as journal:
        check_identity(journal.identity, identity_of(config))
        health = Health(log=log)
        starts = _counted_starts(config, health)
        lifecycle = Lifecycle(
            journal, clock=clock, gateway=config.line.gateway, config_digest=config.digest, starts=starts
        )
        lists = ListKeeper(
            journal, lifecycle, directory=config.journal.directory, clock=clock, read=read_listing
        )
        await lists.prepare(config.lists)
        running = _RunningConfig(config, reload, lifecycle, lists)
        running.parts = parts = _parts_of(
            running, journal, health, clock=clock, clock_state=clock_state, starts=starts
        )
        try:
            await run_parts(parts, stop, configure=running.configure, tasks=running.tasks)
        finally:
            parts.telemetry.close()


def _page_before_start(config: Config, clock: Clock, refusal: JournalFull) -> Tasks:
    source = BeforeStart(
        _facts_of(config),
        max_size=int(config.journal.max_size),
        clock=clock,
        bytes_on_disk=lambda: bytes_on_disk(config.journal.directory),
        refusal=refusal.what,
    )
    return {"status-page": serve_status_page(source, config.status)}


class _RunningConfig:
    """The configuration that is running, and how another one takes its place."""

    def __init__(
        self, config: Config, reload: Reload | None, lifecycle: Lifecycle, lists: ListKeeper
    ) -> None:
        self.current = config
        self.lifecycle = lifecycle
        self.lists = lists
        self.parts: LineParts | None = None
        self._reload = reload

    async def configure(self, fleet: Fleet) -> None:
        """Bring the line to the configuration it was started with."""
        # Of many thousand points, a digest takes a second.
        await self._apply(fleet, self.current, self.lifecycle.config_digest)

    def tasks(self, fleet: Fleet) -> Tasks:
        """Return what changes the line while it runs."""
        return {"reload": self._reload_when_asked(fleet), "lists": self.lists.watch(fleet.take_over_lists)}

    async def _reload_when_asked(self, fleet: Fleet) -> None:
        """Take over the YAML whenever asked; a wrong one changes nothing."""
        if self._reload is None:
            return
        while True:
            await self._until_asked(self._reload.asked)
            try:
                config = await asyncio.to_thread(self._reload.load)
                await self.lists.prepare(config.lists)
            except ConfigurationError as error:
                log.error("the new YAML is wrong, the running one goes on", problems=str(error))  # noqa: TRY400 (no failure of ours)
                self._answer("wrong", str(error))
                continue
            fixed = needing_restart(self.current, config)
            if fixed:
                log.error("the new YAML needs a restart, the running one goes on", sections=fixed)
                self._answer("restart", ", ".join(fixed))
                continue
            await self._apply(fleet, config, config.digest)
            log.info("the new YAML was taken over", devices=len(config.devices))
            self._answer("applied", f"{len(config.devices)} devices{self.lists.refusals}")

    def _answer(self, outcome: str, what: str) -> None:
        Requests(self.current.journal.directory).answer(RELOAD, {"outcome": outcome, "what": what})

    async def _apply(self, fleet: Fleet, config: Config, digest: str) -> None:
        """Bring the line to a configuration, and put on record what differs from the last one."""
        # The room comes first: captures that a full journal holds back can end then.
        if self.parts is not None:
            self.parts.take_over(config.journal)
        # Before captures begin: what stations decide by is on record then.
        await self.lists.take_over(fleet.take_over_lists)
        await fleet.apply(config.devices, config.stations, remembered=config.units.remember)
        await self.lifecycle.configured(digest, lambda: settings_of(config))
        self.current = config

    async def _until_asked(self, signalled: asyncio.Event) -> None:
        """Wait for SIGHUP or for the request of `linewitness reload`, and remove the request."""
        requests = Requests(self.current.journal.directory)
        while not (signalled.is_set() or requests.take(RELOAD)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await signalled.wait()
        signalled.clear()
        requests.done(RELOAD)


def _counted_starts(config: Config, health: Health) -> CountedStarts | None:
    if config.tpm is None:
        return None
    line = config.line
    name = f"{line.tenant}/{line.plant}/{line.line}/{line.gateway}"
    return CountedStarts(StartCounter(config.tpm, line=name), health)


def _parts_of(
    running: _RunningConfig,
    journal: Journal,
    health: Health,
    *,
    clock: Clock,
    clock_state: SharedClockState,
    starts: CountedStarts | None,
) -> LineParts:
    """Build the parts of a line; nothing runs yet."""
    config = running.current
    directory = config.journal.directory
    requests = Requests(directory)
    board = ClockBoard(device_limit_ms=config.clock.device_warn_ms)
    telemetry = TelemetryBuffer(directory, max_bytes=int(config.journal.telemetry_size))
    signer = CheckpointSigner(journal, keyring_of(config.journal).load(LOG_KEY))
    certificates = CertificateMonitor(lambda: named_in(running.current.without_points()), clock=clock)
    topics = Topics(config.line.tenant, config.line.gateway)
    connector = connector_of(config.uplink, topics)
    targets = targets_of(config.anchors, clock=clock)
    continuity = Continuity(journal, clock=clock)
    anchoring = Anchoring(
        journal, signer, continuity, targets=targets, options=config.anchors, requests=requests, clock=clock
    )
    uplink = uplink_of(
        connector,
        store_vkey=config.store.vkey if config.store else None,
        topics=topics,
        options=config.forward,
        journal=journal,
        continuity=continuity,
        signer=signer,
        telemetry=telemetry,
        health=health,
        clock=clock,
        starts=starts,
    )
    exposure = KeyExposure(
        journal,
        limit_s=config.journal.rotate_alone_s,
        observed=lambda: journal.observed,
        receipted=(lambda: uplink.judge.receipted) if uplink else None,
    )
    return LineParts(
        directory=directory,
        journal=journal,
        telemetry=telemetry,
        health=health,
        clock=clock,
        clock_state=clock_state,
        clock_options=config.clock,
        board=board,
        lifecycle=running.lifecycle,
        signer=signer,
        rotation=KeyRotation(
            journal,
            signer,
            requests=requests,
            clock=clock,
            period_s=config.journal.rotate_key_h * 3600,
            exposure=exposure,
            alone=anchoring.hasten,
        ),
        pruner=Pruner(journal, options=config.journal, clock=clock, anchored=bool(targets)),
        anchoring=anchoring,
        certificates=certificates,
        standstills=Standstills(clock),
        loops=GatewayLoops(
            journal=journal,
            telemetry=telemetry,
            health=health,
            board=board,
            forward=config.forward,
            connector=connector,
            devices=lambda: [device.id for device in running.current.devices],
        ),
        overview=Overview(
            journal=journal,
            telemetry=telemetry,
            health=health,
            board=board,
            clock=clock,
            line=lambda: _facts_of(running.current),
            expiries=lambda: certificates.expiries,
            rests=rests_of(directory),
            lists=running.lists.rows,
        ),
        page=config.status,
        uplink=uplink,
    )


def _facts_of(config: Config) -> LineFacts:
    """Return what the status page shows of a configuration."""
    return LineFacts.of(config.line, config.devices, config.stations)
