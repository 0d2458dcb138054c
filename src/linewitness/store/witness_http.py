"""Let gateways reach the witness over HTTP: POST …/add-checkpoint."""

import asyncio
import socket
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from linewitness.store.database.errors import StoreError
from linewitness.store.witness import MAX_REQUEST, Witness

#: A gateway sends its few kilobytes at once.
READING_S: Final = 10
MAX_CONNECTIONS: Final = 100


class _TooLarge(Exception):
    """A request is larger than any of the specification's."""


def application(witness: Witness) -> Starlette:
    """Return the ASGI application around a witness."""

    async def add_checkpoint(request: Request) -> Response:
        try:
            async with asyncio.timeout(READING_S):
                body = await _body(request)
        except _TooLarge:
            return Response("too large\n", 413, headers={"connection": "close"})
        except TimeoutError:
            return Response("too slow\n", 408, headers={"connection": "close"})
        except ClientDisconnect:
            return Response(status_code=400)
        reply = await asyncio.to_thread(witness.add_checkpoint, body)
        # As a header: to a media type Starlette adds a charset, which the specification does not have.
        return Response(reply.body, reply.status, headers={"content-type": reply.content_type})

    return Starlette(routes=[Route("/add-checkpoint", add_checkpoint, methods=["POST"])])


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_REQUEST:
            raise _TooLarge
    return bytes(body)


async def serve(witness: Witness, *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; prints `ready <url>` once it listens. Port 0 is any free one."""
    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        raise StoreError(
            f"the witness cannot listen on {host}:{port}: {error.strerror}", hint="choose another --listen"
        ) from None
    with listening:
        address = listening.getsockname()
        print(f"ready http://{address[0]}:{address[1]}", flush=True)  # noqa: T201 (for who started it)
        config = uvicorn.Config(
            application(witness), log_level="warning", lifespan="off", limit_concurrency=MAX_CONNECTIONS
        )
        await uvicorn.Server(config).serve(sockets=[listening])
