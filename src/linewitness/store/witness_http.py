"""Let gateways reach the witness over HTTP: POST …/add-checkpoint."""

import asyncio
import socket

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from linewitness.store.database import StoreError
from linewitness.store.witness import MAX_REQUEST, Witness


def application(witness: Witness) -> Starlette:
    """Return the ASGI application around a witness."""

    async def add_checkpoint(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_REQUEST:
                return Response("too large\n", 413)
        reply = await asyncio.to_thread(witness.add_checkpoint, bytes(body))
        return Response(reply.body, reply.status, media_type=reply.content_type)

    return Starlette(routes=[Route("/add-checkpoint", add_checkpoint, methods=["POST"])])


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
        config = uvicorn.Config(application(witness), log_level="warning", lifespan="off")
        await uvicorn.Server(config).serve(sockets=[listening])
