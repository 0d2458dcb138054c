"""What the YAML says of a station: which devices stand there and how its units are known."""

from typing import Literal, Self

from pydantic import Field, model_validator

from linewitness.base.patterns import PatternText, compiled
from linewitness.base.settings import Identifier, Mistake, Options, SettingsError


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
    require_in_result: bool = Field(
        default=False,
        description="A result that does not name its unit stays unbound, even where the station holds one.",
    )
    pattern: PatternText | None = Field(
        default=None, description="Regular expression (RE2) that a serial number matches as a whole."
    )
    valid_s: float | None = Field(
        default=None,
        gt=0,
        le=604_800,
        description="Seconds after which a unit that was not read again is unknown; no limit by default.",
    )


class OperatorOptions(Options):
    """How the station knows who works there."""

    scanner: Identifier | None = Field(default=None, description="Device whose codes are badges.")
    point: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9_.-]*/[a-z0-9][a-z0-9_.-]*$",
        description="device/point whose value is the operator's id.",
    )
    pattern: PatternText | None = Field(
        default=None, description="Regular expression (RE2) that a badge matches as a whole."
    )
    names: dict[str, str] = Field(default_factory=dict, description="Optional display names by id.")
    valid_s: float | None = Field(
        default=None,
        gt=0,
        le=604_800,
        description="Seconds after which an operator is signed off without a badge; no limit by default.",
    )


class Requirement(Options):
    """Results that each unit must have before it leaves."""

    device: Identifier = Field(description="Device whose results count.")
    kind: Literal["tightening", "measurement"] = Field(default="tightening", description="Kind of result.")
    count: int = Field(ge=1, le=10_000, description="How many good results a unit must have.")
    program: str | None = Field(
        default=None, description="Only results of this parameter set (pset) or point."
    )


class GateOptions(Options):
    """Hold a unit that lacks results or is out of tolerance. Off unless it is configured.

    A gate is a point of a PLC that the gateway writes, or the lock of a tool (Open Protocol 0042, 0043).
    """

    device: Identifier = Field(description="Device that holds the unit: a PLC, or a tool that is locked.")
    point: Identifier | None = Field(
        default=None, description="Point that is written; without it the tool itself is locked."
    )
    closed: str = Field(default="1", description="Value written to hold the unit.")
    opened: str = Field(default="0", description="Value written to let it go.")
    hold: tuple[Literal["missing", "not_ok"], ...] = Field(
        default=("missing", "not_ok"),
        min_length=1,
        description="missing: while required results are missing; not_ok: from a result out of tolerance "
        "until somebody lets the unit pass.",
    )
    safe: Literal["closed", "opened"] = Field(
        default="closed", description="What the gateway leaves behind when it stops or reloads."
    )
    alive: Identifier | None = Field(
        default=None,
        description="Point that is counted up each second, so that the PLC can go into its own safe state "
        "when the gateway is lost.",
    )
    pass_code: PatternText | None = Field(
        default=None,
        description="Regular expression (RE2) with a group named reason: a code read at the station by which "
        "the operator who is signed on lets the unit pass.",
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.point is None and "missing" in self.hold:
            raise SettingsError(
                "hold: a locked tool cannot make the results that are missing; use [not_ok]", at=("hold",)
            )
        if self.point is None and self.alive is not None:
            raise SettingsError(
                "alive: a locked tool has no life counter; it belongs to a gate with a point", at=("alive",)
            )
        if self.closed == self.opened:
            raise SettingsError("closed and opened must be different values", at=("closed",))
        if self.pass_code is not None and "reason" not in compiled(self.pass_code).groups:
            raise SettingsError(
                "pass_code: it needs a group named reason, such as PASS-(?P<reason>.+)", at=("pass_code",)
            )
        return self


class StationOptions(Options):
    """One place on the line."""

    id: Identifier = Field(description="Name of the station within the line.")
    name: str = Field(default="", description="For people.")
    devices: tuple[Identifier, ...] = Field(min_length=1, description="Devices that stand here, by id.")
    unit: UnitOptions = Field(default=UnitOptions(), description="How the unit is known.")
    operator: OperatorOptions = Field(default=OperatorOptions(), description="How the operator is known.")
    requires: tuple[Requirement, ...] = Field(default=(), description="What a unit needs here.")
    ask: tuple[Identifier, ...] = Field(
        default=(),
        description="Devices that are asked to measure when a unit enters: scales with trigger: request.",
    )
    gate: GateOptions | None = Field(default=None, description="How a unit is held; off by default.")

    @model_validator(mode="after")
    def _own_devices(self) -> Self:
        named = [self.unit.scanner, self.operator.scanner, *(need.device for need in self.requires)]
        named += [self.gate.device] if self.gate else []
        named += self.ask
        named += [point.partition("/")[0] for point in (self.unit.point, self.operator.point) if point]
        strangers = sorted({name for name in named if name and name not in self.devices})
        if strangers:
            raise SettingsError(
                f"{', '.join(strangers)} is not among the station's devices",
                mistake=Mistake.NOT_AT_STATION,
                subjects=tuple(strangers),
            )
        return self
