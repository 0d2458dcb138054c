"""The press's address space: which nodes it has, of which types, and what may be written."""

from dataclasses import dataclass
from typing import Any, Final

from linewitness_simulators.press.library import ua

NAMESPACE: Final = "urn:linewitness:simulator:press"
Types: Final[Any] = ua.VariantType


@dataclass(frozen=True, slots=True)
class Spot:
    """One variable of the press."""

    name: str
    type: Any
    start: Any
    writable: bool = False
    unit: str = ""
    historic: bool = False


SPOTS: Final = (
    Spot("Force", Types.Double, 0.0, unit="kN"),
    Spot("Position", Types.Float, 0.0, unit="mm"),
    Spot("Temperature", Types.Float, 45.0, unit="C"),
    Spot("Running", Types.Boolean, False),
    Spot("Holding", Types.Double, 125.0, writable=True, unit="bar", historic=True),
    Spot("Program", Types.Int32, 1, writable=True, historic=True),
    Spot("Operator", Types.String, "", writable=True),
    Spot("Serial", Types.String, ""),
    Spot("CycleCount", Types.UInt32, 0, historic=True),
    Spot("PeakForce", Types.Double, 0.0, unit="kN"),
    Spot("EndPosition", Types.Double, 0.0, unit="mm"),
    Spot("PartOk", Types.Boolean, False),
    Spot("PartDone", Types.Boolean, False, writable=True),
    Spot("Acknowledged", Types.UInt32, 0, writable=True),
    Spot("Profile", Types.Double, [0.0] * 10),
    Spot("Limits", Types.Double, [40.0, 60.0], writable=True),
)


async def build(
    server: Any, *, missing: frozenset[str], extra: int, history: bool
) -> tuple[int, dict[str, Any], Any]:
    """Create the nodes; return the namespace's index, the nodes by name, and the press's own node."""
    index = await server.register_namespace(NAMESPACE)
    press = await server.nodes.objects.add_object(ua.NodeId("Press", index), "Press")
    nodes: dict[str, Any] = {}
    for spot in SPOTS:
        if spot.name not in missing:
            nodes[spot.name] = await add(press, index, spot, history=history)
    for number in range(extra):
        spot = Spot(f"Signal{number}", Types.Double, 0.0)
        nodes[spot.name] = await add(press, index, spot, history=False)
    return index, nodes, press


async def add(press: Any, index: int, spot: Spot, *, history: bool) -> Any:
    """Create one variable."""
    node = await press.add_variable(
        ua.NodeId(f"Press.{spot.name}", index), f"{index}:{spot.name}", spot.start, spot.type
    )
    if spot.writable:
        await node.set_writable()
    if spot.unit:
        unit = ua.EUInformation(
            NamespaceUri="http://www.opcfoundation.org/UA/units/un/cefact",
            DisplayName=ua.LocalizedText(spot.unit),
            Description=ua.LocalizedText(spot.unit),
        )
        await node.add_property(0, "EngineeringUnits", unit)
    if history and spot.historic:
        for attribute in (ua.AttributeIds.AccessLevel, ua.AttributeIds.UserAccessLevel):
            await node.set_attr_bit(attribute, ua.AccessLevel.HistoryRead)
        await node.write_attribute(ua.AttributeIds.Historizing, ua.DataValue(True))
    return node
