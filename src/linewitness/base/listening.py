"""Stop to accept connections, so that none of those that were accepted is forgotten."""

import asyncio
from typing import Final

#: Rounds of the loop after which each connection that was accepted has its handler.
_ROUNDS: Final = 8


async def stop_accepting(server: asyncio.Server) -> None:
    """Close a server's listening sockets after the handlers of who was accepted a moment ago have begun.

    Then whoever ends all connections ends those, too. Where `Server.close` alone comes between accepting and
    the handler, the accepted socket stays open and a traceback is logged.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)
    server.close()
