"""The changes of a station as server-sent events: pictures, and a beat in between."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from linewitness.base.clock import NS_PER_MS, Clock
from linewitness.stations.view import StationView
from linewitness.status.stations.board import StationChanges

#: A page that hears nothing for twice as long says that what it shows is old.
BEAT_S: Final = 2.0


class EventStream(Response):
    """An answer that goes on until the viewer leaves, the station is no more, or the gateway stops.

    Each message begins with a beat: the gateway's clock, for times that count down, and the page's version.
    It is an event and no comment, because a script does not see comments, and could not tell a stream
    that hangs from one on which nothing happens.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        changes: StationChanges,
        render: Callable[[StationView], str],
        *,
        clock: Clock,
        version: str,
        headers: Mapping[str, str],
    ) -> None:
        """Take what is to be told, and how a picture becomes HTML; `changes` is closed at the end."""
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._changes = changes
        self._render_picture = render
        self._clock = clock
        self._version = version

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI's)
        """Answer one request."""
        with closing(self._changes):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async with asyncio.TaskGroup() as group:
                telling = group.create_task(self._tell(send), name=f"screen:{self._changes.station}")
                leaving = group.create_task(_left(receive), name=f"screen-left:{self._changes.station}")
                await asyncio.wait((telling, leaving), return_when=asyncio.FIRST_COMPLETED)
                telling.cancel()
                leaving.cancel()

    async def _tell(self, send: Send) -> None:
        picture = b""
        while True:
            await send({"type": "http.response.body", "body": self._beat() + picture, "more_body": True})
            picture = b""
            try:
                async with asyncio.timeout(BEAT_S):
                    picture = _event("picture", self._render_picture(await anext(self._changes)))
            except TimeoutError:
                continue
            except StopAsyncIteration:
                break
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _beat(self) -> bytes:
        now_ms = self._clock.stamp().realtime_ns // NS_PER_MS
        return _event("beat", f"{now_ms} {self._version}")


async def _left(receive: Receive) -> None:
    """Wait until nobody reads any more."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(name: str, data: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in data.splitlines())
    return f"event: {name}\n{lines}\n".encode()
