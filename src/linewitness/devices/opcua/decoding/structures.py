"""Read the structures of a PLC field by field, from the definitions that its server gives of them.

The library can turn definitions into classes, but keeps those by number for the whole process: two PLCs
whose numbers coincide would read each other's values wrongly. Here each session has its own.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.ua.ua_binary import Primitives, unpack_uatype

from linewitness.devices.opcua.connection.server import read
from linewitness.devices.opcua.connection.wire import AttributeIds, Client, ObjectIds, UaError, standard
from linewitness.devices.opcua.decoding.values import decimal_text

Reader = Callable[[Any], object]

#: Numbers of the built-in types (OPC 10000-6, 5.1.2); 22 is a structure of any type.
BUILT_IN: Final = range(1, 26)
STRUCTURE: Final = 22
#: Number, Integer and UInteger travel as variants, enumerations as Int32.
AS_VARIANT: Final = frozenset({26, 27, 28})
ENUMERATION: Final = 29
#: How deep types may derive from each other before we give up.
DEPTH: Final = 20


class _Undefined(Exception):
    """The server does not define a type."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    reader: Reader
    optional: bool


class Layouts:
    """What the structures of one server look like."""

    def __init__(self, client: Client, *, limit: int) -> None:
        """Know no structure yet; `limit` nodes are read in one request."""
        self._client = client
        self._limit = limit
        self._readers: dict[str, Reader] = {}
        self._encodings: dict[str, Reader] = {}

    async def learn(self, nodes: Sequence[ua.NodeId]) -> None:
        """Ask for the definitions of the types of these nodes; what is not defined stays raw."""
        types = await read(self._client, nodes, limit=self._limit, attribute=AttributeIds.DataType)
        for value in types:
            kind = value.Value.Value if value.Value else None
            if isinstance(kind, ua.NodeId) and not _is_built_in(kind):
                try:
                    await self._reader(kind, DEPTH)
                except (_Undefined, UaError):
                    continue

    def unfold(self, variant: ua.Variant | None) -> ua.Variant | None:
        """Return a variant whose structures are mappings by field name, as far as they are defined."""
        if variant is None or not self._encodings or variant.VariantType != ua.VariantType.ExtensionObject:
            return variant
        return ua.Variant(self._unfolded(variant.Value), ua.VariantType.ExtensionObject)

    def _unfolded(self, value: object) -> object:
        if isinstance(value, list):
            return [self._unfolded(part) for part in value]
        if not isinstance(value, ua.ExtensionObject) or value.Body is None:
            return value
        reader = self._encodings.get(value.TypeId.to_string())
        if reader is None:
            return value
        try:
            return reader(Buffer(value.Body))
        except (NotEnoughData, struct.error, ValueError, UaError):
            return value

    async def _reader(self, kind: ua.NodeId, depth: int) -> Reader:
        """Return how to read a type; _Undefined where the server does not say."""
        name = kind.to_string()
        if name not in self._readers:
            self._readers[name] = (
                self._built_in(kind) if _is_built_in(kind) else await self._defined(kind, depth)
            )
        return self._readers[name]

    def _built_in(self, kind: ua.NodeId) -> Reader:
        number = int(kind.Identifier) if isinstance(kind.Identifier, int) else 0
        if number in AS_VARIANT:
            return lambda data: unpack_uatype(ua.VariantType.Variant, data).Value
        if number == ENUMERATION:
            return Primitives.Int32.unpack
        variant_type = ua.VariantType(number)
        if number == STRUCTURE:
            return lambda data: self._unfolded(unpack_uatype(variant_type, data))
        if variant_type == ua.VariantType.Float:
            return lambda data: decimal_text(Primitives.Float.unpack(data), single=True)
        return lambda data: unpack_uatype(variant_type, data)

    async def _defined(self, kind: ua.NodeId, depth: int) -> Reader:
        if depth == 0:
            raise _Undefined
        found = await read(self._client, [kind], limit=1, attribute=AttributeIds.DataTypeDefinition)
        definition = found[0].Value.Value if found[0].Value else None
        if isinstance(definition, ua.EnumDefinition):
            return Primitives.Int32.unpack
        if not isinstance(definition, ua.StructureDefinition):
            parent = await self._parent(kind)
            if parent == standard(STRUCTURE):
                raise _Undefined
            return await self._reader(parent, depth - 1)
        fields = [
            _Field(
                field.Name or "",
                _many(await self._reader(field.DataType, depth - 1), field.ValueRank),
                bool(field.IsOptional),
            )
            for field in definition.Fields
        ]
        reader = _structure(fields, definition.StructureType)
        self._encodings[definition.DefaultEncodingId.to_string()] = reader
        return reader

    async def _parent(self, kind: ua.NodeId) -> ua.NodeId:
        """Return the type from which a type derives."""
        wanted = ua.BrowseDescription()
        wanted.NodeId = kind
        wanted.BrowseDirection = ua.BrowseDirection.Inverse
        wanted.ReferenceTypeId = standard(ObjectIds.HasSubtype)
        wanted.IncludeSubtypes = False
        wanted.ResultMask = ua.BrowseResultMask.None_
        request = ua.BrowseParameters()
        request.View = ua.ViewDescription()
        request.NodesToBrowse = [wanted]
        references = (await self._client.uaclient.browse(request))[0].References
        if not references:
            raise _Undefined
        parent: ua.NodeId = references[0].NodeId
        return parent


def _is_built_in(kind: ua.NodeId) -> bool:
    number = kind.Identifier
    return kind.NamespaceIndex == 0 and (number in BUILT_IN or number in AS_VARIANT or number == ENUMERATION)


def _many(reader: Reader, rank: int) -> Reader:
    """Return how to read a field of this rank: a scalar, or an array of one dimension."""
    if rank < 0:
        return reader
    if rank != 1:
        raise _Undefined

    def array(data: Any) -> object:
        count = Primitives.Int32.unpack(data)
        if count > len(data):
            raise ValueError("an array that is longer than its structure")
        return None if count < 0 else [reader(data) for _ in range(count)]

    return array


def _structure(fields: Sequence[_Field], kind: Any) -> Reader:
    """Return how to read a structure of these fields (OPC 10000-6, 5.2.6 to 5.2.8)."""

    def plain(data: Any) -> object:
        return {field.name: field.reader(data) for field in fields}

    def with_optional(data: Any) -> object:
        mask, bit, found = Primitives.UInt32.unpack(data), 1, {}
        for field in fields:
            if field.optional:
                present, bit = bool(mask & bit), bit << 1
                if not present:
                    continue
            found[field.name] = field.reader(data)
        return found

    def union(data: Any) -> object:
        switch = Primitives.UInt32.unpack(data)
        if not 1 <= switch <= len(fields):
            return None
        return {fields[switch - 1].name: fields[switch - 1].reader(data)}

    if kind == ua.StructureType.Union:
        return union
    return with_optional if kind == ua.StructureType.StructureWithOptionalFields else plain
