"""The OPC UA library's server side, whose own types do not fit how it is meant to be called."""

from typing import Any, Final

import asyncua
from asyncua.common import event_objects
from asyncua.server.server import Server

from linewitness_simulators.press.standard_nodes import QuickServer

ua: Final[Any] = asyncua.ua
events: Final[Any] = event_objects


def make_server(user_manager: Any = None) -> Any:
    """Make a server that lets in whom `user_manager` lets in; without one, everybody."""
    return Server(iserver=QuickServer(user_manager))
