"""Look after a running line: watchdog, the journal's room and soundness, lost signals, certificates, page."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Final

import structlog

from linewitness.base.certificates import CertificateWatch, named_in
from linewitness.base.clock import Clock
from linewitness.config import Config
from linewitness.gateway.clock_watch import ClockBoard
from linewitness.gateway.supervise import Dialling, GatewayLoops, supervise
from linewitness.journal.inspection import inspect_daily
from linewitness.journal.journal import Journal
from linewitness.journal.telemetry import TelemetryBuffer, report_losses
from linewitness.status.health import Health
from linewitness.status.snapshot import DeviceFacts, LineFacts, Overview

log = structlog.get_logger()

#: What the extra `status` brings; the line runs without it.
_EXTRA: Final = ("jinja2", "starlette", "uvicorn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caretaker:
    """The parts of a line as those see them who look after it; `config` returns the one that is running."""

    config: Callable[[], Config]
    journal: Journal
    telemetry: TelemetryBuffer
    health: Health
    board: ClockBoard
    dialling: Dialling | None
    clock: Clock

    async def watchdog(self) -> None:
        """Feed systemd's watchdog while all loops go on; Stuck ends it."""
        config = self.config()
        loops = GatewayLoops(
            journal=self.journal,
            telemetry=self.telemetry,
            health=self.health,
            board=self.board,
            forward=config.forward,
            dialling=self.dialling,
            devices=lambda: [device.id for device in self.config().devices],
        )
        await supervise(loops, status=lambda: self.health.sentence)

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what runs beside uplink and capture, by name."""
        certificates = CertificateWatch(
            lambda: named_in(self.config().model_dump(mode="json")), clock=self.clock
        )
        return {
            "pressure": self._watch_pressure(),
            "losses": report_losses(self.telemetry, self.journal.submit, clock=self.clock),
            "certificates": certificates.run(),
            "inspection": inspect_daily(self.config().journal.directory, tell=self.health.damaged),
            "page": self._serve_page(certificates),
        }

    async def _watch_pressure(self) -> None:
        await self.journal.pressure.watch(
            self.journal.read, self.journal.submit, clock=self.clock, spare=self.telemetry.make_do
        )

    async def _serve_page(self, certificates: CertificateWatch) -> None:
        options = self.config().status
        if not options.enabled:
            return
        if any(find_spec(name) is None for name in _EXTRA):
            log.info("status page is off", hint="it needs pip install 'linewitness[status]'")
            return
        overview = Overview(
            journal=self.journal,
            telemetry=self.telemetry,
            health=self.health,
            board=self.board,
            clock=self.clock,
            line=lambda: facts_of(self.config()),
            expiries=lambda: certificates.expiries,
        )
        # Imported by name: a gateway without the extra never asks for it.
        page = import_module("linewitness.status.page")
        await page.serve(overview, host=options.host, port=options.port)


def facts_of(config: Config) -> LineFacts:
    """Return what the status page says of a configuration."""
    line = config.line
    place = {device: station.id for station in config.stations for device in station.devices}
    return LineFacts(
        name=line.name,
        tenant=line.tenant,
        plant=line.plant,
        line=line.line,
        gateway=line.gateway,
        stream=line.origin,
        version=version("linewitness"),
        devices=tuple(
            DeviceFacts(device.id, device.driver, device.description, place.get(device.id))
            for device in config.devices
        ),
        stations=tuple((station.id, station.name) for station in config.stations),
    )
