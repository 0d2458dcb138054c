"""What the YAML says of a station: which devices stand there and how its units are known."""

from typing import Literal, Self

from pydantic import Field, model_validator

from linewitness.devices.options import Identifier, Options


class UnitOptions(Options):
    """How the station knows which serialized unit it holds."""

    scanner: Identifier | None = Field(default=None, description="Device whose codes are serial numbers.")
    point: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9_.-]*/[a-z0-9][a-z0-9_.-]*$",
        description="device/point whose value is the serial number.",
    )
    from_result: bool = Field(
        default=True, description="Take the identifier that a tool's result carries as the binding."
    )
    pattern: str | None = Field(
        default=None, description="Regular expression that a serial number matches as a whole."
    )


class OperatorOptions(Options):
    """How the station knows who works there."""

    scanner: Identifier | None = Field(default=None, description="Device whose codes are badges.")
    point: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9_.-]*/[a-z0-9][a-z0-9_.-]*$",
        description="device/point whose value is the operator's id.",
    )
    pattern: str | None = Field(default=None, description="Regular expression that a badge matches.")
    names: dict[str, str] = Field(default_factory=dict, description="Optional display names by id.")


class Requirement(Options):
    """Results that each unit must have before it leaves."""

    device: Identifier = Field(description="Device whose results count.")
    kind: Literal["tightening", "measurement"] = Field(default="tightening", description="Kind of result.")
    count: int = Field(ge=1, le=10_000, description="How many good results a unit must have.")
    program: str | None = Field(
        default=None, description="Only results of this parameter set (pset) or point."
    )


class StationOptions(Options):
    """One place on the line."""

    id: Identifier = Field(description="Name of the station within the line.")
    name: str = Field(default="", description="For people.")
    devices: tuple[Identifier, ...] = Field(min_length=1, description="Devices that stand here, by id.")
    unit: UnitOptions = Field(default=UnitOptions(), description="How the unit is known.")
    operator: OperatorOptions = Field(default=OperatorOptions(), description="How the operator is known.")
    requires: tuple[Requirement, ...] = Field(default=(), description="What a unit needs here.")

    @model_validator(mode="after")
    def _own_devices(self) -> Self:
        named = [self.unit.scanner, self.operator.scanner, *(need.device for need in self.requires)]
        named += [point.partition("/")[0] for point in (self.unit.point, self.operator.point) if point]
        strangers = sorted({name for name in named if name and name not in self.devices})
        if strangers:
            raise ValueError(f"{', '.join(strangers)} is not among the station's devices")
        return self
