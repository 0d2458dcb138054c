"""What the YAML says of the registers in which a Modbus device shows its own clock."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from linewitness.base.settings import Options
from linewitness.devices.modbus.points import ORDERS, OrderField
from linewitness.devices.modbus.wire.protocol import ADDRESSES

Form = Literal["unix", "unix-ms", "fields", "fields-bcd"]

#: Registers of each form.
WIDTHS: Final[Mapping[Form, int]] = MappingProxyType({"unix": 2, "unix-ms": 4, "fields": 6, "fields-bcd": 6})


class ModbusClock(Options):
    """Where a device shows its clock. It is only read, never set."""

    table: Literal["holding", "input"] = Field(default="holding", description="holding or input.")
    address: int = Field(ge=0, lt=ADDRESSES, description="Address of the first register, from 0.")
    form: Form = Field(
        description="unix: seconds since 1970 in two registers; unix-ms: milliseconds in four; fields: year, "
        "month, day, hour, minute and second, a register each; fields-bcd: the same as decimal digits."
    )
    order: OrderField | None = Field(
        default=None,
        description=f"Order of words and bytes: {ORDERS}; the device's where it is not given.",
    )
    timezone: str = Field(
        default="UTC", description="Zone that the clock keeps where it shows fields, such as Europe/Berlin."
    )
    every_s: int = Field(default=300, ge=10, le=86_400, description="Seconds from one look to the next.")

    @property
    def width(self) -> int:
        """How many registers it takes."""
        return WIDTHS[self.form]

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.width

    @property
    def zone(self) -> ZoneInfo:
        """The zone that the clock keeps."""
        return ZoneInfo(self.timezone)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.end > ADDRESSES:
            raise ValueError(f"clock: ends at address {self.end - 1}, above {ADDRESSES - 1}")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"there is no zone {self.timezone!r}; write it like Europe/Berlin") from None
        if self.timezone != "UTC" and self.form in ("unix", "unix-ms"):
            raise ValueError(f"clock: {self.form} counts from 1970 in UTC: leave timezone out")
        return self
