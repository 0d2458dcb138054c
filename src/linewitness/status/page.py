"""The status page of one line: read-only, without scripts, for this machine alone; metrics and health too.

The stations' screens are served beside it; they have a script of their own.
"""

import socket
from collections.abc import Sequence
from importlib import resources
from ipaddress import ip_address
from typing import Final

import structlog
import uvicorn
from jinja2 import Environment, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from linewitness.base.clock import Clock, SystemClock
from linewitness.status import metrics, views
from linewitness.status.connection import MAX_CONNECTIONS, MAX_REQUEST_BYTES, REQUEST_S, PageConnection
from linewitness.status.snapshot import SnapshotSource
from linewitness.status.stations.board import StationBoard
from linewitness.status.stations.pages import StationPages

log = structlog.get_logger()

REFRESH_S: Final = 5
#: A browser sends about twenty.
MAX_HEADERS: Final = 100
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def application(
    overview: SnapshotSource, stations: StationBoard | None = None, *, clock: Clock | None = None
) -> ASGIApp:
    """Return the pages: `/`, `/metrics`, `/healthz`, `/checkpoint`, and the screens of the stations."""
    board = stations or StationBoard()
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= views.FILTERS
    environment.globals["now"] = views.moment
    text = resources.files("linewitness.status").joinpath("templates/page.html").read_text(encoding="utf-8")
    template = environment.from_string(text)

    async def page(_request: Request) -> Response:
        snapshot = await overview.snapshot()
        body = template.render(
            s=snapshot,
            refresh_s=REFRESH_S,
            plot=views.plot(snapshot.offsets_us),
            screens={view.station for view in board.stations},
        )
        return Response(body, media_type="text/html", headers=_HEADERS)

    async def measured(_request: Request) -> Response:
        body = metrics.exposition(await overview.snapshot())
        return Response(body, headers={**_HEADERS, "Content-Type": metrics.CONTENT_TYPE})

    async def health(_request: Request) -> Response:
        snapshot = await overview.snapshot()
        body = {
            "healthy": snapshot.healthy,
            "problems": [
                {
                    "code": each.code,
                    "subject": each.subject,
                    "alarm": each.alarm,
                    "what": each.what,
                    "hint": each.hint,
                }
                for each in snapshot.problems
            ],
        }
        return JSONResponse(body, status_code=200 if snapshot.healthy else 503, headers=_HEADERS)

    async def checkpoint(_request: Request) -> Response:
        signed = (await overview.snapshot()).signed
        if signed is None:
            return Response("nothing is signed yet\n", status_code=404, headers=_HEADERS)
        return Response(signed.note, media_type="text/plain", headers=_HEADERS)

    routes = [
        Route("/", page),
        Route("/metrics", measured),
        Route("/healthz", health),
        Route("/checkpoint", checkpoint),
        *StationPages(board, clock=clock or SystemClock()).routes,
    ]
    return _ForThisMachine(Starlette(routes=routes))


class _ForThisMachine:
    """Answer only requests that name this machine: a web site in a browser here must not read along."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal(scope["headers"]) if scope["type"] == "http" else None
        await (refusal or self._inner)(scope, receive, send)


def _refusal(headers: Sequence[tuple[bytes, bytes]]) -> Response | None:
    if len(headers) > MAX_HEADERS:
        return Response(f"more than {MAX_HEADERS} headers", status_code=431, headers={"connection": "close"})
    if not _is_here(dict(headers).get(b"host", b"").decode("latin-1")):
        return Response("this page is for this machine only", status_code=421)
    return None


def _is_here(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]")
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


class _Server(uvicorn.Server):
    """A server among other tasks: signals are the gateway's, and its end is a cancellation."""

    async def serve_until_cancelled(self, listening: socket.socket) -> None:
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=[listening])
        try:
            await self.main_loop()
        finally:
            await self.shutdown(sockets=[listening])


async def serve(
    overview: SnapshotSource,
    *,
    host: str,
    port: int,
    stations: StationBoard | None = None,
    clock: Clock | None = None,
) -> None:
    """Serve until cancelled. An address that is in use is logged; the line runs without the page."""
    try:
        listening = _listen(host, port)
    except OSError as error:
        log.warning(
            "status page is off: its address cannot be used",
            address=f"{host}:{port}",
            why=error.strerror,
            hint="give each line its own status.listen",
        )
        return
    log.info("status page", url=f"http://{host}:{listening.getsockname()[1]}/")
    config = uvicorn.Config(
        application(overview, stations, clock=clock),
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="none",
        http=PageConnection,
        proxy_headers=False,
        server_header=False,
        # Requests that are being answered; idle connections make room for others before that.
        limit_concurrency=MAX_CONNECTIONS + 1,
        h11_max_incomplete_event_size=MAX_REQUEST_BYTES,
        timeout_keep_alive=int(REQUEST_S),
        timeout_graceful_shutdown=1,
    )
    await _Server(config).serve_until_cancelled(listening)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=MAX_CONNECTIONS)
