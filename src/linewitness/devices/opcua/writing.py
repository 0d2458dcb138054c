"""Write one node: for handshakes and gates, the only things that are ever written."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from asyncua import ua

from linewitness.base.errors import DeviceRefused
from linewitness.devices.opcua.connection.failures import spoken
from linewitness.devices.opcua.connection.server import Server, read
from linewitness.devices.opcua.connection.wire import AttributeIds, Client
from linewitness.devices.opcua.decoding.values import plain, status_name
from linewitness.devices.opcua.nodes import resolve
from linewitness.devices.opcua.options import OpcUaOptions

_TRUE: Final = frozenset({"1", "true", "on"})
_FALSE: Final = frozenset({"0", "false", "off"})
#: Whole numbers by type: the bits of one, and whether it has a sign.
_WHOLE: Final[Mapping[ua.VariantType, tuple[int, bool]]] = MappingProxyType(
    {
        ua.VariantType.SByte: (8, True),
        ua.VariantType.Byte: (8, False),
        ua.VariantType.Int16: (16, True),
        ua.VariantType.UInt16: (16, False),
        ua.VariantType.Int32: (32, True),
        ua.VariantType.UInt32: (32, False),
        ua.VariantType.Int64: (64, True),
        ua.VariantType.UInt64: (64, False),
    }
)


async def write(client: Client, node: ua.NodeId, content: Any, kind: ua.VariantType) -> ua.StatusCode:
    """Write a node's value and return what the server says to it."""
    request = ua.WriteParameters()
    # No stamps: many servers refuse a write that brings its own.
    value = ua.DataValue(ua.Variant(content, kind))
    request.NodesToWrite = [ua.WriteValue(NodeId=node, AttributeId=AttributeIds.Value, Value=value)]
    status: ua.StatusCode = (await client.uaclient.write(request))[0]
    return status


class Commands:
    """Write configured points of one server, and read them back: for gates."""

    def __init__(self, client: Client, options: OpcUaOptions, server: Server) -> None:
        """Take the points by id."""
        self._client = client
        self._options = options
        self._server = server
        self._nodes: Mapping[str, str] = {point.id: point.node for point in options.points}

    async def write(self, point: str | None, value: str) -> str:
        """Write `value` in the node's own type, and return what reading it back gives, in the same form.

        Raises DeviceRefused where the server has no such node, no such value, or says no.
        """
        place = f"{self._options.id}: {point}"
        text = self._nodes.get(point or "")
        node = resolve(text, self._server.namespaces) if text else None
        if node is None:
            raise DeviceRefused(
                f"{place} is no node of the server", hint="name a point of this device in the gate"
            )
        with spoken(self._options):
            held = (await read(self._client, [node], limit=1))[0]
            kind = held.Value.VariantType if held.Value else ua.VariantType.String
            content = _typed(value, kind, place)
            status = await write(self._client, node, content, kind)
            if status.is_bad():
                raise DeviceRefused(
                    f"{place}: the server refused the write: {status_name(status)}",
                    hint="let our user write this node",
                )
            found = (await read(self._client, [node], limit=1))[0]
        back = found.Value.Value if found.Value else None
        return value if back == content else str(plain(found.Value))


def _typed(value: str, kind: ua.VariantType, place: str) -> Any:
    text = value.strip().lower()
    if kind is ua.VariantType.Boolean and text in _TRUE | _FALSE:
        return text in _TRUE
    try:
        if kind in _WHOLE:
            return _fitting(int(text), *_WHOLE[kind])
        if kind in (ua.VariantType.Float, ua.VariantType.Double):
            return float(text)
    except (ValueError, OverflowError):
        pass
    if kind is ua.VariantType.String:
        return value
    raise DeviceRefused(
        f"{place}: {value!r} is no value of type {kind.name}", hint="see the gate's closed and opened"
    )


def _fitting(number: int, bits: int, signed: bool) -> int:
    """Return a number that a type of so many bits can hold; OverflowError where it cannot."""
    number.to_bytes(bits // 8, "big", signed=signed)
    return number
