"""Serve the status page where it is enabled and its extra is installed; the line runs without it."""

from importlib import import_module
from importlib.util import find_spec
from typing import Final

import structlog

from linewitness.base.clock import Clock
from linewitness.status.options import StatusOptions
from linewitness.status.snapshot import SnapshotSource
from linewitness.status.stations.board import StationBoard

log = structlog.get_logger()

#: What the extra `status` installs.
_EXTRA: Final = ("jinja2", "starlette", "uvicorn")


async def serve_status_page(
    overview: SnapshotSource,
    options: StatusOptions,
    *,
    stations: StationBoard | None = None,
    clock: Clock | None = None,
) -> None:
    """Serve the page until cancelled, or return where it is disabled or its extra is not installed.

    `stations` are what the screens beside the work show; there are none before the line runs.
    """
    if not options.enabled:
        return
    if any(find_spec(name) is None for name in _EXTRA):
        log.info("status page is off", hint="it needs pip install 'linewitness[status]'")
        return
    # Imported by name: a gateway without the extra never imports it.
    page = import_module("linewitness.status.page")
    await page.serve(overview, host=options.host, port=options.port, stations=stations, clock=clock)
