"""The nodes of OPC UA's standard, built once in a process and shared by all servers in it.

The library builds its 6,000 nodes anew for each server, which takes a second of the processor.
A server touches a few hundred of them.
So each server has a view on the same nodes, and copies a node when it first touches it.
"""

import asyncio
import functools
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, Final

from asyncua.server import address_space, internal_server
from asyncua.server.standard_address_space import standard_address_space

_library: Final[Any] = address_space
_internal: Final[Any] = internal_server
_standard: Final[Any] = standard_address_space


class CopiedWhenTouched(MutableMapping[Any, Any]):
    """The nodes of one server by their ids: the standard's, until they are touched, and its own."""

    def __init__(self, standard: dict[Any, Any]) -> None:
        """Share the standard's nodes, which this never changes."""
        self._standard = dict(standard)
        self._own: dict[Any, Any] = {}

    def __getitem__(self, nodeid: Any) -> Any:
        """Give a node that only this server knows."""
        own = self._own.get(nodeid)
        if own is None:
            own = self._own[nodeid] = _copy(self._standard[nodeid])
        return own

    def __setitem__(self, nodeid: Any, node: Any) -> None:
        """Add a node, or put it in another's place."""
        self._own[nodeid] = node

    def __delitem__(self, nodeid: Any) -> None:
        """Remove a node from this server."""
        if nodeid not in self:
            raise KeyError(nodeid)
        self._standard.pop(nodeid, None)
        self._own.pop(nodeid, None)

    def __contains__(self, nodeid: object) -> bool:
        """Say whether there is such a node, without a copy of it."""
        return nodeid in self._own or nodeid in self._standard

    def __iter__(self) -> Iterator[Any]:
        """Go through the ids of all nodes."""
        return iter(self._standard | self._own)

    def __len__(self) -> int:
        """Count the nodes."""
        return len(self._standard | self._own)


class QuickServer(_internal.InternalServer):  # type: ignore[misc]  # the library's types are left out
    """The library's inner server, on shared nodes of the standard."""

    async def load_standard_address_space(self, _shelf_file: Path | None = None) -> None:
        """Take the shared nodes. A file of nodes is not needed, and not read."""
        nodes = CopiedWhenTouched(await asyncio.to_thread(_built))
        self.aspace._nodes = nodes  # noqa: SLF001 (the library has no other way in)


@functools.cache
def _built() -> dict[Any, Any]:
    space = _library.AddressSpace()
    _standard.fill_address_space(_library.NodeManagementService(space))
    nodes: dict[Any, Any] = space._nodes  # noqa: SLF001 (as above)
    return nodes


def _copy(node: Any) -> Any:
    """Copy what a server may change in a node: attributes, their values and callbacks, references."""
    copied = _library.NodeData(node.nodeid)
    copied.attributes = {name: _library.AttributeValue(held.value) for name, held in node.attributes.items()}
    copied.references = list(node.references)
    return copied
