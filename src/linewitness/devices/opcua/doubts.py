"""What the settings of an OPC UA server most likely do not mean: nodes twice, a password in the open."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from linewitness.base.settings import Doubt

if TYPE_CHECKING:
    from linewitness.devices.opcua.options import OpcUaPoint, ServerOptions


def of_nodes(points: "tuple[OpcUaPoint, ...]") -> Iterator[Doubt]:
    """Doubt points that record the same of one node, and fields of a result that read one node.

    Evidence and telemetry of one node are no doubt, nor is a trigger that is a point of its own as well.
    """
    seen: dict[tuple[str, str], OpcUaPoint] = {}
    for index, point in enumerate(points):
        first = seen.setdefault((_plain(point.node), point.record), point)
        if first is not point:
            yield Doubt(
                what=f"{first.id} names the same node and records {point.record} too: {_twice(first, point)}",
                hint="correct the node, or leave one of them out",
                at=("points", index, "node"),
            )
        fields: dict[str, str] = {}
        for number, field in enumerate(point.result.fields if point.result is not None else ()):
            name = fields.setdefault(_plain(field.node), field.id)
            if name != field.id:
                yield Doubt(
                    what=f"{name} reads the same node: both will have the same value",
                    hint="correct the node, or leave one of them out",
                    at=("points", index, "result", "fields", number, "node"),
                )


def of_password(server: "ServerOptions") -> Iterator[Doubt]:
    """Doubt a password on a connection that is readable."""
    if server.security.policy == "none" and server.user is not None and server.user.password is not None:
        yield Doubt(
            what="with security policy none, the password is sent only where the server itself asks for it "
            "encrypted, and the gateway does not log on where it does not",
            hint="set security.policy, such as basic256sha256",
            at=("user", "password"),
        )


def _twice(first: "OpcUaPoint", point: "OpcUaPoint") -> str:
    if point.result is None or first.result is None:
        return "each value will be recorded twice"
    if point.result.handshake is None and first.result.handshake is None:
        return "each result will be recorded twice"
    return "the handshake of one lets the PLC overwrite what the other has not read yet"


def _plain(node: str) -> str:
    return node.removeprefix("ns=0;")
