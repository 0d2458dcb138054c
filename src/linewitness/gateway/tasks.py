"""The tasks of a running line: one table, name to coroutine."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from linewitness.base.certificates import CertificateMonitor
from linewitness.base.clock import Clock, SharedClockState
from linewitness.base.watchdog import supervise, tell_systemd
from linewitness.gateway.anchoring import Anchoring
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.clock_watch import ClockBoard, watch_clock
from linewitness.gateway.intake.arrival import Standstills
from linewitness.gateway.keys.rotation import KeyRotation
from linewitness.gateway.lifecycle import Lifecycle
from linewitness.gateway.supervise import GatewayLoops
from linewitness.gateway.uplink_parts import Uplink
from linewitness.journal.inspection import inspect_daily
from linewitness.journal.journal import Journal
from linewitness.journal.options import JournalOptions
from linewitness.journal.pruning.prune import Pruner
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.journal.telemetry.losses import report_losses
from linewitness.status.health import Health
from linewitness.status.options import StatusOptions
from linewitness.status.running_file import write_running
from linewitness.status.service import serve_status_page
from linewitness.status.snapshot import Overview
from linewitness.status.stations.board import StationBoard
from linewitness.timesources.devices import follow_devices, newest_offsets
from linewitness.timesources.options import ClockOptions

Tasks = Mapping[str, Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineParts:
    """The parts of one line, built once; `uplink` is None where no audit store is configured."""

    directory: Path
    journal: Journal
    telemetry: TelemetryBuffer
    health: Health
    clock: Clock
    clock_state: SharedClockState
    clock_options: ClockOptions
    board: ClockBoard
    lifecycle: Lifecycle
    signer: CheckpointSigner
    rotation: KeyRotation
    pruner: Pruner
    anchoring: Anchoring
    certificates: CertificateMonitor
    standstills: Standstills
    loops: GatewayLoops
    overview: Overview
    page: StatusOptions
    uplink: Uplink | None
    stations: StationBoard = field(default_factory=StationBoard)

    def take_over(self, options: JournalOptions) -> None:
        """Go on with other limits of the journal."""
        self.journal.pressure.take_over(options)
        self.telemetry.take_over(int(options.telemetry_size))
        self.pruner.take_over(options)


def first_tasks(parts: LineParts) -> Tasks:
    """Return what runs from before the first record until after the last one, also on a full disk."""
    return {
        "watchdog": supervise(parts.loops, status=lambda: _sentence(parts)),
        "status-page": serve_status_page(
            parts.overview, parts.page, stations=parts.stations, clock=parts.clock
        ),
        "ready": _ready_though_full(parts.journal),
    }


def _sentence(parts: LineParts) -> str:
    return "; ".join(filter(None, (parts.journal.pressure.sentence, parts.health.sentence)))


async def _ready_though_full(journal: Journal) -> None:
    """Tell systemd that the process is up, although the disk takes not even the first record."""
    await journal.pressure.refusing.wait()
    tell_systemd("READY=1")


def tasks_of(parts: LineParts) -> Tasks:
    """Return everything that runs besides the devices' captures."""
    journal, health, clock = parts.journal, parts.health, parts.clock
    tasks: dict[str, Coroutine[Any, Any, None]] = {
        "telemetry": parts.telemetry.run(),
        "signal-losses": report_losses(parts.telemetry, journal.submit, clock=clock),
        "pressure": journal.pressure.watch(
            journal.read, journal.submit, clock=clock, spare=parts.telemetry.make_do
        ),
        "journal-log": journal.keep_log_small(),
        "inspection": inspect_daily(parts.directory, tell=health.damaged),
        "prune": parts.pruner.run(),
        "checkpoints": parts.signer.run(),
        "anchors": parts.anchoring.run(),
        "key-rotation": parts.rotation.run(),
        "heartbeat": parts.lifecycle.heartbeat(),
        "clock": watch_clock(
            parts.clock_options,
            clock=clock,
            state=parts.clock_state,
            submit=journal.submit,
            board=parts.board,
            happened=lambda: health.total_observed,
            look=journal.look,
        ),
        "device-clocks": follow_devices(
            parts.board.devices,
            clock=clock,
            size=lambda: journal.head.size,
            offsets=lambda first, last: journal.read(
                lambda reader: newest_offsets(data for _, data in reader.records(first, last))
            ),
            submit=journal.submit,
        ),
        "standstills": parts.standstills.run(),
        "certificates": parts.certificates.run(),
        "running-file": write_running(parts.directory, parts.overview.running_state),
    }
    if parts.uplink is not None:
        tasks["forward"] = parts.uplink.forwarder.run()
        tasks["alarms"] = parts.uplink.alarms.run()
    return tasks


@asynccontextmanager
async def running(tasks: Tasks) -> AsyncIterator[None]:
    """Run named tasks for the time of a block; if one fails, so does the block."""
    async with asyncio.TaskGroup() as group:
        started = [group.create_task(task, name=name) for name, task in tasks.items()]
        yield
        for task in started:
            task.cancel()
