"""The pages of the stations: `/stations`, `/station/ID`, and the events of a station. They only show."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from importlib import resources
from typing import Final

from jinja2 import DictLoader, Environment, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from linewitness.base.clock import NS_PER_MS, Clock
from linewitness.stations.view import StationView
from linewitness.status import views
from linewitness.status.stations.board import MAX_VIEWERS, StationBoard, TooManyViewers
from linewitness.status.stations.event_stream import EventStream
from linewitness.status.stations.picture import STATES, ScreenPicture, picture_of, size_of, time_left

_TEMPLATES: Final = ("screen.html", "picture.html", "stations.html")
#: Without a script, pages are loaded again so often, in seconds.
REFRESH_S: Final = 2


class StationPages:
    """Screens of a line's stations, from what is on the board."""

    def __init__(self, board: StationBoard, *, clock: Clock) -> None:
        """Take the board, and the clock by which waiting times count down."""
        self._board = board
        self._clock = clock
        folder = resources.files("linewitness.status").joinpath("templates")
        sources = {name: folder.joinpath(name).read_text(encoding="utf-8") for name in _TEMPLATES}
        self._environment = Environment(
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            loader=DictLoader(sources),
        )
        self._environment.filters["size_of"] = size_of
        self._environment.globals["states"] = STATES
        self._headers = {name: _headers(source) for name, source in sources.items()}
        #: Of the page, its script and its pictures: a screen that shows another one loads itself again.
        self._version = hashlib.sha256("".join(sources.values()).encode()).hexdigest()[:16]
        self._rendered: dict[str, tuple[StationView, str]] = {}

    @property
    def routes(self) -> list[Route]:
        """What is answered."""
        return [
            Route("/stations", self._list),
            Route("/station/{station}", self._page),
            Route("/station/{station}/events", self._events),
        ]

    async def _list(self, _request: Request) -> Response:
        return self._listed("")

    async def _page(self, request: Request) -> Response:
        view = self._board.view(request.path_params["station"])
        if view is None:
            return self._unknown(request)
        # Not the picture that viewers share: here a waiting time must be right without a script.
        return self._answer("screen.html", picture=picture_of(view), version=self._version)

    async def _events(self, request: Request) -> Response:
        station = request.path_params["station"]
        if self._board.view(station) is None:
            return self._unknown(request)
        headers = self._headers["stations.html"]
        if request.method == "HEAD":
            return Response(media_type=EventStream.media_type, headers=headers)
        try:
            changes = self._board.changes(station)
        except TooManyViewers:
            text = f"{MAX_VIEWERS} screens show stations of this line already: close one of them\n"
            return Response(text, status_code=503, media_type="text/plain", headers=headers)
        return EventStream(changes, self._shared, clock=self._clock, version=self._version, headers=headers)

    def _unknown(self, request: Request) -> Response:
        return self._listed(request.path_params["station"], status=404)

    def _listed(self, missing: str, *, status: int = 200) -> Response:
        pictures = [picture_of(view) for view in self._board.stations]
        return self._answer("stations.html", status=status, pictures=pictures, missing=missing)

    def _shared(self, view: StationView) -> str:
        """Return a picture for all viewers, rendered once for each change."""
        known = self._rendered.get(view.station)
        if known is None or known[0] is not view:
            text = self._render("picture.html", picture=picture_of(view))
            known = self._rendered[view.station] = (view, text)
        return known[1]

    def _answer(
        self,
        name: str,
        *,
        status: int = 200,
        **values: ScreenPicture | list[ScreenPicture] | str,
    ) -> Response:
        body = self._render(name, **values)
        return Response(body, status_code=status, media_type="text/html", headers=self._headers[name])

    def _render(self, name: str, **values: ScreenPicture | list[ScreenPicture] | str) -> str:
        now_ns = self._clock.stamp().realtime_ns
        return self._environment.get_template(name).render(
            now=views.moment(now_ns),
            left=lambda until_ns: time_left(until_ns, now_ns),
            in_ms=lambda time_ns: time_ns // NS_PER_MS,
            refresh_s=REFRESH_S,
            **values,
        )


def _headers(source: str) -> Mapping[str, str]:
    """Return headers that let a page run its own script, and nothing that comes from elsewhere."""
    scripts, styles = (_digests(source, element) for element in ("script", "style"))
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def _digests(source: str, element: str) -> str:
    texts = re.findall(rf"<{element}>(.*?)</{element}>", source, re.DOTALL)
    hashes = [b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    return " ".join(f"'sha256-{each}'" for each in hashes) or "'none'"
