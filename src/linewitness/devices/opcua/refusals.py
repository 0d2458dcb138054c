"""Nodes that a server knows and lets us name, and whose values it refuses to give."""

from collections.abc import Mapping
from typing import Final

from asyncua import ua

from linewitness.devices.opcua.connection.wire import StatusCodes
from linewitness.devices.opcua.decoding.values import status_name

#: A node that the server does not have, or does not let us read.
NO_NODE: Final = frozenset(
    {
        StatusCodes.BadNodeIdUnknown,
        StatusCodes.BadNodeIdInvalid,
        StatusCodes.BadAttributeIdInvalid,
        StatusCodes.BadNotReadable,
        StatusCodes.BadUserAccessDenied,
    }
)


def is_refusal(status: ua.StatusCode | None) -> bool:
    """Whether a value's status says that there is no such node for us."""
    return status is not None and status.value in NO_NODE


class NodeRefusals:
    """What the last value of each node said of that: of a point, or of a field of a result."""

    def __init__(self) -> None:
        """Begin with none."""
        self._why: dict[str, str] = {}

    @property
    def why(self) -> Mapping[str, str]:
        """Why nodes are refused now, by the names of what they belong to."""
        return self._why

    def note(self, name: str, node: str, status: ua.StatusCode | None) -> None:
        """Take the status of a node's newest value."""
        if is_refusal(status):
            self._why[name] = f"{node}: {status_name(status)}"
        elif self._why:
            self._why.pop(name, None)
