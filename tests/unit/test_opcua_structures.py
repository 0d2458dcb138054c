"""How the structures of a PLC are read from the definitions that its server gives."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from asyncua.ua.ua_binary import Primitives
from asyncua.ua.uaprotocol_auto import (
    BrowseParameters,
    ReadParameters,
    ReadValueId,
    StructureDefinition,
    StructureField,
    StructureType,
)
from asyncua.ua.uatypes import DataValue, NodeId

from linewitness.devices.opcua.decoding.structures import Layouts
from linewitness.devices.opcua.decoding.values import plain
from linewitness_simulators.press.library import ua

INT32, STRING, FLOAT, DURATION = (ua.NodeId(number, 0) for number in (6, 12, 10, 290))
NODE, RECIPE, WINDOW, ENCODED, MODE = (
    ua.NodeId(name, 2) for name in ("node", "recipe", "window", "enc", "mode")
)


def field(name: str, kind: NodeId, *, rank: int = -1, optional: bool = False) -> StructureField:
    found: StructureField = ua.StructureField(Name=name, DataType=kind, ValueRank=rank, IsOptional=optional)
    return found


def definition(
    *fields: StructureField, kind: StructureType = ua.StructureType.Structure, encoding: NodeId = ENCODED
) -> StructureDefinition:
    found: StructureDefinition = ua.StructureDefinition(
        DefaultEncodingId=encoding, StructureType=kind, Fields=list(fields)
    )
    return found


class Services:
    """The few services of a server that are asked for definitions."""

    def __init__(self, definitions: dict[NodeId, Any]) -> None:
        self._definitions = definitions

    async def read(self, request: ReadParameters) -> list[DataValue]:
        return [self._answer(one) for one in request.NodesToRead]

    def _answer(self, one: ReadValueId) -> DataValue:
        if one.AttributeId == ua.AttributeIds.DataType:
            return cast(DataValue, ua.DataValue(ua.Variant(RECIPE, ua.VariantType.NodeId)))
        found = self._definitions.get(one.NodeId)
        if found is None:
            return cast(
                DataValue, ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadAttributeIdInvalid))
            )
        return cast(DataValue, ua.DataValue(ua.Variant(found, ua.VariantType.ExtensionObject)))

    async def browse(self, request: BrowseParameters) -> list[SimpleNamespace]:
        parent = {DURATION: ua.NodeId(11, 0)}.get(request.NodesToBrowse[0].NodeId, ua.NodeId(22, 0))
        return [SimpleNamespace(References=[SimpleNamespace(NodeId=parent)])]


async def told(definitions: dict[NodeId, Any], body: bytes) -> object:
    layouts = Layouts(cast(Any, SimpleNamespace(uaclient=Services(definitions))), limit=10)
    await layouts.learn([NODE])
    value = ua.ExtensionObject(TypeId=ENCODED, Body=body)
    return plain(layouts.unfold(ua.Variant(value, ua.VariantType.ExtensionObject)))


async def test_nested_structures_arrays_and_derived_types() -> None:
    definitions = {
        RECIPE: definition(
            field("Name", STRING),
            field("Steps", INT32, rank=1),
            field("Force", WINDOW),
            field("Hold", DURATION),
        ),
        WINDOW: definition(field("Low", FLOAT), encoding=ua.NodeId("other", 2)),
    }
    body = (
        Primitives.String.pack("bush")
        + Primitives.Int32.pack(2)
        + Primitives.Int32.pack(7)
        + Primitives.Int32.pack(8)
        + Primitives.Float.pack(12.3)
        + Primitives.Double.pack(250.0)
    )
    assert await told(definitions, body) == {
        "Name": "bush",
        "Steps[0]": "7",
        "Steps[1]": "8",
        "Force.Low": "12.3",
        "Hold": "250",
    }


async def test_optional_fields_are_there_or_not() -> None:
    kind = ua.StructureType.StructureWithOptionalFields
    fields = [field("A", INT32), field("B", INT32, optional=True), field("C", INT32, optional=True)]
    body = Primitives.UInt32.pack(0b10) + Primitives.Int32.pack(1) + Primitives.Int32.pack(3)
    assert await told({RECIPE: definition(*fields, kind=kind)}, body) == {"A": "1", "C": "3"}


async def test_union_holds_one_of_its_fields() -> None:
    fields = [field("Number", INT32), field("Text", STRING)]
    body = Primitives.UInt32.pack(2) + Primitives.String.pack("x")
    assert await told({RECIPE: definition(*fields, kind=ua.StructureType.Union)}, body) == {"Text": "x"}


async def test_enumeration_is_its_number() -> None:
    definitions = {RECIPE: definition(field("Mode", MODE)), MODE: ua.EnumDefinition()}
    assert await told(definitions, Primitives.Int32.pack(3)) == {"Mode": "3"}


@pytest.mark.parametrize(
    ("definitions", "body"),
    [
        ({}, b"\x01"),
        ({RECIPE: definition(field("A", INT32))}, b"\x01"),
        ({RECIPE: definition(field("A", INT32, rank=1))}, Primitives.Int32.pack(2_000_000_000)),
        ({RECIPE: definition(field("A", INT32, rank=2))}, b"\x01"),
        ({RECIPE: definition(field("A", RECIPE))}, b"\x01"),
    ],
)
async def test_what_cannot_be_read_stays_raw(
    definitions: dict[NodeId, StructureDefinition], body: bytes
) -> None:
    assert await told(definitions, body) == {"type": "ns=2;s=enc", "body": body.hex()}
