"""What the YAML says of one Modbus value: where it is found and how its registers are to be read."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from linewitness.base.settings import Options, SettingsError
from linewitness.devices.modbus import ranges
from linewitness.devices.modbus.wire.protocol import ADDRESSES, Table, is_bits
from linewitness.devices.options import PointOptions, PointRange

ValueType = Literal[
    "bool",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float32",
    "float64",
    "bcd16",
    "bcd32",
    "bits",
    "string",
]
Order = Literal["big", "little", "big-byte-swap", "little-byte-swap"]

#: Registers of each type; a string's follow from its length.
WIDTH: Final[Mapping[ValueType, int]] = MappingProxyType(
    {
        "bool": 1,
        "int16": 1,
        "uint16": 1,
        "int32": 2,
        "uint32": 2,
        "int64": 4,
        "uint64": 4,
        "float32": 2,
        "float64": 4,
        "bcd16": 1,
        "bcd32": 2,
        "bits": 1,
    }
)
_WIDTHS: Final[Mapping[str, int]] = {str(kind): width for kind, width in WIDTH.items()}
INTEGERS: Final = frozenset({"int16", "uint16", "int32", "uint32", "int64", "uint64"})
NUMBERS: Final = INTEGERS | {"float32", "float64", "bcd16", "bcd32"}

_ORDER_LETTERS: Final = {
    "ABCD": "big",
    "DCBA": "little",
    "BADC": "big-byte-swap",
    "CDAB": "little-byte-swap",
}


def _order_by_letters(value: object) -> object:
    return _ORDER_LETTERS.get(value.upper(), value) if isinstance(value, str) else value


#: The orders in words, for the descriptions of settings.
ORDERS: Final = "big (ABCD), little (DCBA), big-byte-swap (BADC), little-byte-swap (CDAB)"
OrderField = Annotated[
    Order,
    BeforeValidator(_order_by_letters),
    WithJsonSchema({"type": "string", "enum": [*_ORDER_LETTERS.values(), *_ORDER_LETTERS]}),
]


def _on_the_wire(address: object) -> object:
    """Refuse a manual's 400011 with the address that it means."""
    if (found := ranges.in_a_manual(address)) is not None:
        raise ValueError(
            f"{address} is no address on the wire, which ends at {ADDRESSES - 1}; in a manual it means table "
            f"{found[0]}, address {found[1]}: write table: {found[0]} and address: {found[1]}"
        )
    return address


def _on_the_wire_or_registers(address: object) -> object:
    try:
        return _on_the_wire(address)
    except ValueError as error:
        raise ValueError(f"{error}, or registers: {address}") from None


class RegisterAddress(Options):
    """Where a value is found, and how its registers make it."""

    table: Table = Field(
        default="holding", description="holding, input, coil or discrete: which table of the device."
    )
    address: Annotated[int, BeforeValidator(_on_the_wire)] = Field(
        ge=0,
        lt=ADDRESSES,
        description="Address as it goes over the wire, from 0. A manual that says 40001 means table holding, "
        "address 0; 30001 is table input, address 0.",
    )
    type: ValueType | None = Field(
        default=None, description="How the registers make a value; bool in coils and discrete inputs."
    )
    order: OrderField | None = Field(
        default=None,
        description=f"Order of words and bytes: {ORDERS}; the device's where it is not given.",
    )
    bit: int | None = Field(
        default=None, ge=0, le=15, description="Bit of the register for type bool, 0 is the lowest."
    )
    length: int | None = Field(
        default=None, ge=1, le=246, description="Characters of a string, two to a register."
    )
    encoding: Literal["ascii", "latin-1", "utf-8"] = Field(
        default="ascii", description="How a string's bytes are to be read."
    )
    bits: dict[str, Annotated[int, Field(ge=0, le=15)]] = Field(
        default_factory=dict, description="Names of the bits of type bits: `{heater: 0, door: 3}`."
    )
    labels: dict[int, str] = Field(
        default_factory=dict, description="Texts of an enumeration's numbers: `{0: stopped, 1: running}`."
    )
    scale: Decimal | None = Field(
        default=None, description="The value is the register's number times this; exact decimal arithmetic."
    )
    offset: Decimal | None = Field(default=None, description="Added after scaling.")
    decimals: int | None = Field(
        default=None, ge=0, le=18, description="Places after the point; those of the scale if not given."
    )

    @property
    def kind(self) -> ValueType:
        """The type, also where the YAML leaves it to the table."""
        return self.type or ("bool" if is_bits(self.table) else "uint16")

    @property
    def width(self) -> int:
        """How many registers (or bits, in the tables of bits) the value takes."""
        kind = self.kind
        return (self.length or 0) // 2 + (self.length or 0) % 2 if kind == "string" else WIDTH[kind]

    @property
    def end(self) -> int:
        """The first address behind the value."""
        return self.address + self.width

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for why, *at in self._mistakes():
            raise SettingsError(why, at=tuple(at))
        return self

    def _mistakes(self) -> Iterator[tuple[str, ...]]:
        """Yield what is wrong: the sentence for it, and the setting to show."""
        yield from self._misplaced(self.kind)
        yield from self._miscalculated(self.kind)

    def _miscalculated(self, kind: ValueType) -> Iterator[tuple[str, ...]]:
        arithmetic = self.scale is not None or self.offset is not None or self.decimals is not None
        if self.labels and kind not in INTEGERS:
            yield "labels belongs to the integer types", "labels"
        if arithmetic and kind not in NUMBERS:
            yield f"scale, offset and decimals belong to numbers, not to {kind}", "scale"
        if arithmetic and self.labels:
            yield ("an enumeration has labels and no scale, offset or decimals",)
        if self.scale is not None and self.scale == 0:
            yield "scale 0 makes every value 0", "scale"

    def _misplaced(self, kind: ValueType) -> Iterator[tuple[str, ...]]:
        if is_bits(self.table):
            if kind != "bool":
                yield (f"{self.table} holds bits: its type can only be bool",)
            if self.bit is not None:
                yield (f"{self.table} holds bits: leave bit out",)
        elif self.type is None:
            yield (f"give a type for a register of table {self.table}, for example uint16",)
        if self.bit is not None and kind != "bool":
            yield "bit belongs to type bool", "bit"
        if (self.length is not None) != (kind == "string"):
            yield "length belongs to type string, which needs it", "length"
        if bool(self.bits) != (kind == "bits"):
            yield "bits belongs to type bits, which needs it", "bits"
        if kind == "string" and self.order in ("little", "little-byte-swap"):
            yield ("a string's order is big or big-byte-swap",)
        if self.end > ADDRESSES:
            yield (f"ends at address {self.end - 1}, above {ADDRESSES - 1}",)


def _either(schema: dict[str, Any]) -> None:
    """Ask for `address` or `registers`, as a YAML may have either."""
    schema["required"].remove("address")
    schema["oneOf"] = [{"required": ["address"]}, {"required": ["registers"]}]


class ModbusPoint(PointOptions, RegisterAddress):
    """One value of a Modbus device, or with a range of addresses one value after another."""

    model_config = ConfigDict(json_schema_extra=_either)

    address: Annotated[
        int,
        BeforeValidator(_on_the_wire_or_registers),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "integer", "minimum": 0, "maximum": ADDRESSES - 1},
                    {"type": "string", "pattern": r"^[0-9]{1,5} *\.\. *[0-9]{1,5}$"},
                ]
            }
        ),
    ] = Field(
        ge=0,
        lt=ADDRESSES,
        description="Address as it goes over the wire, from 0. A manual that says 40001 means table holding, "
        "address 0; 30001 is table input, address 0. Or a range, `0..499`: one point for each value in it, "
        "whose number stands for `{n}` in `id`, such as `zone-{n}`.",
    )
    registers: Annotated[
        str | None,
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "integer", "minimum": 10_001, "maximum": 465_536},
                    {"type": "string", "pattern": r"^[0134][0-9]{4,5}( *\.\. *[0134][0-9]{4,5})?$"},
                ]
            }
        ),
    ] = Field(
        default=None,
        exclude=True,
        description="Instead of table and address: one register as manuals write it, 40001, or a range, "
        "`40001..40500`.",
    )
    record: Literal["change", "telemetry"] = Field(
        description="change: evidence with before and after; telemetry: a signal for the historian. "
        "What belongs to a result is listed in `results`."
    )

    deadband: Decimal | None = Field(
        default=None,
        gt=0,
        description="Smallest change of a number that is sent or recorded, in the value's own unit.",
    )
    on_change: bool = Field(
        default=False,
        description="Telemetry only: send the value when it changed, not at each poll. A deadband means this "
        "too.",
    )

    @property
    def sent_on_change(self) -> bool:
        """Whether this is telemetry of which only changes are sent."""
        return self.record == "telemetry" and (self.on_change or self.deadband is not None)

    @classmethod
    def range_of(cls, entry: Mapping[str, object]) -> PointRange | None:
        """Return the points of a range of addresses."""
        return ranges.range_of(entry, _WIDTHS)

    def _mistakes(self) -> Iterator[tuple[str, ...]]:
        if self.registers is not None:
            yield "registers become points when a YAML is read", "registers"
        if self.deadband is not None and (self.kind not in NUMBERS or self.labels):
            yield f"deadband belongs to numbers, not to {'labels' if self.labels else self.kind}", "deadband"
        if self.on_change and self.record == "change":
            yield "on_change belongs to record: telemetry; record: change records changes only", "on_change"
        yield from super()._mistakes()
