"""What the YAML says of results that a PLC keeps in registers until somebody has read them."""

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from linewitness.base.settings import Identifier, Options, SettingsError
from linewitness.devices.modbus.points import ORDERS, OrderField, RegisterAddress
from linewitness.devices.modbus.wire.protocol import ADDRESSES, is_bits
from linewitness.devices.options import DecidedByField, PointOptions

Pattern = Literal["counter", "ring", "fifo"]
FIFO_REGISTERS: Final = 31


class ResultField(PointOptions, RegisterAddress):
    """One value of a result."""

    record: Literal["result"] = Field(default="result", description="Always result.")


class Counter(Options):
    """The register in which the PLC numbers its results, from 1."""

    table: Literal["holding", "input"] = Field(default="holding", description="holding or input.")
    address: int = Field(ge=0, lt=ADDRESSES, description="Address of the counter, from 0.")
    type: Literal["uint16", "uint32"] = Field(default="uint16", description="uint16 or uint32.")
    order: OrderField | None = Field(
        default=None, description=f"Order of words and bytes of a uint32: {ORDERS}."
    )

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + (2 if self.type == "uint32" else 1)


class ModbusResult(Options):
    """A set of values that belong together, with a number that says when there is a new one."""

    id: Identifier = Field(description="Name of the source of these results within the device.")
    pattern: Pattern = Field(
        description="counter: one block, a counter says when it is new; ring: the last results in slots; "
        "fifo: a queue read with function 24."
    )
    counter: Counter | None = Field(
        default=None, description="Number of the newest result; for counter and ring."
    )
    handshake: int | None = Field(
        default=None,
        ge=0,
        lt=ADDRESSES,
        description="Holding register into which the number is written back once the result is durable.",
    )
    slots: int | None = Field(default=None, ge=1, le=4096, description="Results in a ring.")
    stride: int | None = Field(
        default=None, ge=1, le=1000, description="Registers from one slot, or queued result, to the next."
    )
    first_number: int = Field(
        default=0, ge=0, le=1, description="Number whose result is in the first slot: 0 or 1."
    )
    fifo: int | None = Field(default=None, ge=0, lt=ADDRESSES, description="Address of the FIFO queue.")
    number_field: str | None = Field(
        default=None, description="Field that repeats the number in each result; needed for fifo."
    )
    identifier_field: str | None = Field(default=None, description="Field that names the unit.")
    ok_field: str | None = Field(default=None, description="Field that says good (not 0) or bad (0).")
    decided_by: DecidedByField = "stricter"
    fields: tuple[ResultField, ...] = Field(
        min_length=1,
        description="The values. Addresses are those of the block, of the first slot, or count from 0 "
        "within a queued result.",
    )

    @property
    def numbered_by(self) -> "Counter | ResultField":
        """What tells the number of the newest result: the counter, or the field in a queued result."""
        if self.counter is not None:
            return self.counter
        return next(each for each in self.fields if each.id == self.number_field)

    @property
    def modulus(self) -> int:
        """Where the numbers start again."""
        return 1 << (32 if self.numbered_by.type == "uint32" else 16)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        names = [each.id for each in self.fields]
        for wrong, why in (*self._missing(), *self._superfluous()):
            if wrong:
                raise ValueError(f"result {self.id}: {why}")
        if len(set(names)) != len(names):
            raise ValueError(f"result {self.id}: a field's id is used twice")
        for role in ("number_field", "identifier_field", "ok_field"):
            name = getattr(self, role)
            if name is not None and name not in names:
                raise ValueError(f"result {self.id}: {role} {name!r} is not among its fields")
        self._check_fields()
        self._check_counter()
        return self

    def _missing(self) -> tuple[tuple[bool, str], ...]:
        fifo, ring = self.pattern == "fifo", self.pattern == "ring"
        return (
            (not fifo and self.counter is None, f"pattern {self.pattern} needs counter"),
            (fifo and self.fifo is None, "pattern fifo needs fifo, the queue's address"),
            (fifo and self.number_field is None, "pattern fifo needs number_field"),
            (ring and self.slots is None, "pattern ring needs slots"),
            (self.pattern != "counter" and self.stride is None, f"pattern {self.pattern} needs stride"),
        )

    def _superfluous(self) -> tuple[tuple[bool, str], ...]:
        fifo, ring = self.pattern == "fifo", self.pattern == "ring"
        return (
            (fifo and self.counter is not None, "pattern fifo has no counter: its number_field counts"),
            (not fifo and self.fifo is not None, "fifo belongs to pattern fifo"),
            (not ring and self.slots is not None, "slots belongs to pattern ring"),
            (self.pattern == "counter" and self.stride is not None, "pattern counter has no stride"),
        )

    def _check_fields(self) -> None:
        for each in self.fields:
            if each.id == self.number_field and not _is_plain_number(each):
                raise ValueError(f"result {self.id}: number_field must be a uint16 or uint32 as it stands")
            if self.pattern == "fifo" and (
                is_bits(each.table) or each.end > min(self.stride or 0, FIFO_REGISTERS)
            ):
                raise ValueError(f"result {self.id}: field {each.id} does not fit into a queued result")

    def _check_counter(self) -> None:
        """Refuse a counter, or a handshake, whose registers are also those of a value.

        A field that is the counter itself, and nothing else, records the number.
        """
        counter = self.counter
        if counter is None:
            return
        for each in self.fields:
            same = (each.address, each.end) == (counter.address, counter.end) and _is_plain_number(each)
            slot = self._slot_with(each, counter.table, counter.address, counter.end)
            if slot is not None and not (same and slot == 0 and self.pattern == "counter"):
                raise SettingsError(
                    f"the counter at {counter.address} lies in the registers of {self._place(each, slot)}: a "
                    "result would overwrite its own number; correct one of the addresses",
                    at=("counter", "address"),
                )
            if self.handshake is None:
                continue
            behind = self.handshake + counter.end - counter.address
            slot = self._slot_with(each, "holding", self.handshake, behind)
            if slot is not None:
                raise SettingsError(
                    f"the handshake at {self.handshake} is written into the registers of "
                    f"{self._place(each, slot)}; correct one of the addresses",
                    at=("handshake",),
                )

    def _slot_with(self, field: ResultField, table: str, first: int, end: int) -> int | None:
        """Return the first slot in which a field has one of these registers; None where none has."""
        if field.table != table:
            return None
        stride = self.stride or 0
        shifts = (slot * stride for slot in range(self.slots or 1))
        hit = (field.address + shift < end and first < field.end + shift for shift in shifts)
        return next((slot for slot, is_hit in enumerate(hit) if is_hit), None)

    def _place(self, field: ResultField, slot: int) -> str:
        first = field.address + slot * (self.stride or 0)
        where = f"field {field.id}, {first} to {first + field.end - field.address - 1}"
        return f"{where} in slot {slot + 1} of {self.slots}" if self.pattern == "ring" else where


def _is_plain_number(field: ResultField) -> bool:
    changed = (field.scale, field.offset, field.decimals) != (None, None, None) or bool(field.labels)
    return field.kind in ("uint16", "uint32") and not changed
