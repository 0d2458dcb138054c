"""The composition root: a `Config` in, one running line out."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from linewitness.base.clock import Clock, SharedClockState, SystemClock
from linewitness.base.errors import ConfigurationError
from linewitness.config import Config
from linewitness.config.differences import needing_restart, settings_of
from linewitness.devices.base import Driver
from linewitness.devices.context import DriverContext
from linewitness.devices.options import DeviceOptions
from linewitness.devices.table import known
from linewitness.evidence.format.note import Vkey
from linewitness.gateway.caretaker import Caretaker
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.clock_watch import ClockBoard, watch
from linewitness.gateway.fleet import Fleet
from linewitness.gateway.forward import Forwarder
from linewitness.gateway.lifecycle import Lifecycle
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.gateway.supervise import Dialling, tell_systemd
from linewitness.gateway.testimony import Testimony
from linewitness.journal.builder import StreamIdentity
from linewitness.journal.file import JournalFile
from linewitness.journal.generation import successor
from linewitness.journal.journal import Journal, open_journal
from linewitness.journal.keyring import LOG_KEY, keyring_of
from linewitness.journal.requests import LOOK_S, RELOAD, Requests
from linewitness.journal.telemetry import TelemetryBuffer
from linewitness.status.health import Health
from linewitness.timesources.devices import follow_devices, newest_offsets
from linewitness.uplink import mqtt
from linewitness.uplink.topics import Topics

log = structlog.get_logger()

#: After the last device is disconnected, the last records get this long to reach the store.
FAREWELL_S = 3.0


@dataclass(frozen=True, slots=True)
class Reload:
    """How a running line is asked to read its YAML again: an event, and how it is read."""

    asked: asyncio.Event
    load: Callable[[], Config]


def identity_of(config: Config) -> StreamIdentity:
    """Return whose records a line writes."""
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
    config: Config, stop: asyncio.Event, *, reload: Reload | None = None, clock: Clock | None = None
) -> None:
    """Run one line until `stop` is set; an ExceptionGroup says what ended it otherwise."""
    clock = clock or SystemClock()
    clock_state = SharedClockState()
    async with open_journal(config.journal, clock=clock, clock_state=clock_state) as journal:
        _check_identity(journal.identity, identity_of(config))
        line = _Line(config, journal, reload=reload, clock=clock, clock_state=clock_state)
        try:
            await line.run(stop)
        finally:
            line.close()


def _check_identity(found: StreamIdentity, wanted: StreamIdentity) -> None:
    """Refuse a YAML that names another stream than the journal holds: its records would bear another name."""
    if found == wanted:
        return
    hint = f"the journal's stream is {found.stream} of {found.tenant}, plant {found.plant}, line {found.line}"
    if wanted.stream == successor(found.stream):
        hint += "; `linewitness init --continue` ends it and begins the next generation"
    raise ConfigurationError(
        f"the YAML names the stream {wanted.stream}, the journal is another one's", hint=hint
    )


class _Line:
    """The parts of one line, built once, and their tasks."""

    def __init__(
        self,
        config: Config,
        journal: Journal,
        *,
        reload: Reload | None,
        clock: Clock,
        clock_state: SharedClockState,
    ) -> None:
        directory: Path = config.journal.directory
        self._config = config
        self._journal = journal
        self._reload = reload
        self._clock = clock
        self._clock_state = clock_state
        self._context = DriverContext(clock=clock)
        self._health = Health()
        self._board = ClockBoard(device_limit_ms=config.clock.device_warn_ms)
        self._topics = Topics(config.line.tenant, config.line.gateway)
        self._dialling = self._new_dialling()
        self._telemetry = TelemetryBuffer(directory, max_bytes=int(config.journal.telemetry_size))
        self._sealer = CheckpointSigner(journal, keyring_of(config.journal).load(LOG_KEY))
        self._presence = Lifecycle(
            journal, clock=clock, gateway=config.line.gateway, config_digest=config.digest
        )
        self._custodian = self._new_custodian()
        self._testimony = Testimony(
            journal, self._sealer, options=config.journal, anchors=config.anchors, clock=clock
        )
        self._caretaker = Caretaker(
            config=lambda: self._config,
            journal=journal,
            telemetry=self._telemetry,
            health=self._health,
            board=self._board,
            dialling=self._dialling,
            clock=clock,
        )

    def close(self) -> None:
        """Close what the journal does not close itself."""
        self._telemetry.close()

    async def run(self, stop: asyncio.Event) -> None:
        """Run three rings of tasks; they end from the inside out, so that nothing accepted is lost."""
        async with asyncio.TaskGroup() as journal_ring:
            journal_ring.create_task(self._journal.run(), name="journal")
            journal_ring.create_task(self._use_reserve(stop), name="reserve")
            async with _running({"watchdog": self._caretaker.watchdog()}):
                await self._presence.started()
                async with _running(self._uplink_tasks()):
                    await self._capture(stop)
                    await self._farewell()
                await self._journal.drain()

    async def _capture(self, stop: asyncio.Event) -> None:
        """Run the innermost ring, the devices, until it is time to stop."""
        async with asyncio.TaskGroup() as capture_ring:
            fleet = self._fleet(capture_ring)
            await self._configure(fleet, self._config)
            tell_systemd("READY=1")
            log.info("gateway started", line=self._config.line.line, devices=len(self._config.devices))
            async with _running({"reload": self._reload_when_asked(fleet)}):
                await stop.wait()
            log.info("gateway stopping")
            await fleet.stop()

    async def _configure(self, fleet: Fleet, config: Config) -> None:
        """Bring the line to a configuration, and put on record what is different from the last one."""
        await fleet.apply(config.devices, config.stations)
        await self._presence.configured(config.digest, settings_of(config))
        self._config = config

    async def _reload_when_asked(self, fleet: Fleet) -> None:
        """Take over the YAML as it is now, whenever asked; a wrong one leaves everything as it was."""
        if self._reload is None:
            return
        while True:
            await self._until_reload(self._reload.asked)
            try:
                config = await asyncio.to_thread(self._reload.load)
            except ConfigurationError as error:
                log.error("the new YAML is wrong, the running one goes on", problems=str(error))  # noqa: TRY400 (no failure of ours)
                continue
            fixed = needing_restart(self._config, config)
            if fixed:
                log.error("the new YAML needs a restart, the running one goes on", sections=fixed)
                continue
            await self._configure(fleet, config)
            log.info("the new YAML was taken over", devices=len(config.devices))

    async def _until_reload(self, signalled: asyncio.Event) -> None:
        """Wait for SIGHUP or for the request of `linewitness reload`, and take it as heard."""
        requests = Requests(self._config.journal.directory)
        while not (signalled.is_set() or requests.take(RELOAD)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await signalled.wait()
        signalled.clear()
        requests.done(RELOAD)

    def _fleet(self, group: asyncio.TaskGroup) -> Fleet:
        return Fleet(
            group,
            build=self._driver,
            journal=self._journal,
            telemetry=self._telemetry,
            clock=self._clock,
            health=self._health,
        )

    def _driver(self, options: DeviceOptions) -> Driver:
        return known(options.driver).build(options, self._context)

    async def _use_reserve(self, stop: asyncio.Event) -> None:
        """Let a full journal take its last records, so that it can be stopped."""
        await stop.wait()
        self._journal.pressure.lift()

    def _uplink_tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        tasks = {
            "telemetry": self._telemetry.run(),
            "seal": self._sealer.run(),
            "heartbeat": self._presence.beat(),
            "clock": self._watch_clock(),
            "device-clocks": self._watch_device_clocks(),
            **self._testimony.tasks(),
            **self._caretaker.tasks(),
        }
        if self._custodian is not None and self._dialling is not None:
            tasks["forward"] = self._forwarder(self._custodian, self._dialling).run()
        return tasks

    async def _watch_clock(self) -> None:
        await watch(
            self._config.clock,
            clock=self._clock,
            state=self._clock_state,
            submit=self._journal.submit,
            board=self._board,
            happened=lambda: self._health.total_observed,
            look=self._journal.look,
        )

    async def _watch_device_clocks(self) -> None:
        journal = self._journal
        await follow_devices(
            self._board.devices,
            clock=self._clock,
            size=lambda: journal.head.size,
            offsets=lambda first, last: journal.read(
                lambda reader: newest_offsets(data for _, data in reader.records(first, last))
            ),
            submit=journal.submit,
        )

    async def _farewell(self) -> None:
        """Put the stop on record, seal it, and give it a moment to reach the store."""
        tell_systemd("STOPPING=1")
        await self._presence.stopped("the gateway was asked to stop")
        size = self._journal.head.size
        await self._sealer.seal(size)
        if self._custodian is not None and self._health.uplink_state == "up":
            await self._last_receipt(self._custodian, size)
        await self._testimony.farewell()

    async def _last_receipt(self, custodian: ReceiptJudge, size: int) -> None:
        try:
            async with asyncio.timeout(FAREWELL_S):
                await custodian.reached(size)
        except TimeoutError:
            log.info("stopped before the last receipt; it is asked for again at the next start")

    def _new_custodian(self) -> ReceiptJudge | None:
        if self._config.uplink is None or self._config.store is None:
            return None
        vkey = Vkey.parse(self._config.store.vkey)
        return ReceiptJudge(self._journal, self._sealer, store_vkey=vkey, clock=self._clock)

    def _new_dialling(self) -> Dialling | None:
        uplink = self._config.uplink
        if uplink is None:
            return None
        will = mqtt.Will(self._topics.status, b'{"state":"offline"}', retain=True)
        return Dialling(functools.partial(mqtt.connect, uplink, will=will))

    def _forwarder(self, custodian: ReceiptJudge, dialling: Dialling) -> Forwarder:
        config = self._config
        return Forwarder(
            dialling,
            journal=self._journal,
            telemetry=self._telemetry,
            sealer=self._sealer,
            custodian=custodian,
            topics=self._topics,
            options=config.forward,
            clock=self._clock,
            health=self._health,
        )


@asynccontextmanager
async def _running(tasks: Mapping[str, Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run named tasks for the time of a block; if one fails, so does the block."""
    async with asyncio.TaskGroup() as group:
        started = [group.create_task(task, name=name) for name, task in tasks.items()]
        yield
        for task in started:
            task.cancel()
