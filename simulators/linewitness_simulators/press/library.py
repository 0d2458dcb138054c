"""The OPC UA library's server side, whose own types do not fit how it is meant to be called."""

from typing import Any, Final

import asyncua
from asyncua.common import event_objects
from asyncua.server.server import Server as LibraryServer

ua: Final[Any] = asyncua.ua
events: Final[Any] = event_objects
make_server: Final[Any] = LibraryServer
