"""What the YAML says of a station: which devices stand there and how its units are known."""

from collections.abc import Iterable
from functools import cached_property
from typing import Literal, Self

from pydantic import Field, model_validator

from linewitness.base.patterns import PatternText, compiled
from linewitness.base.settings import Doubt, Identifier, Mistake, Options, SettingsError
from linewitness.stations.checklist.consistency import check_requirements
from linewitness.stations.checklist.options import ComponentRequirement, PointName
from linewitness.stations.checklist.requirements import AnyRequirement
from linewitness.stations.doubts import doubts_of_station
from linewitness.stations.work_options import CodeOptions, ReasonOptions, ToolOptions


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
    needed: Literal["no", "signed_on", "qualified"] = Field(
        default="no",
        description="Whether results and parts count only while somebody is signed on, or somebody whom the "
        "list of qualifications names for this station.",
    )
    walk_s: float | None = Field(
        default=None,
        gt=0,
        le=3600,
        description="Seconds that nobody needs less to come here from any other station: results of one "
        "operator at two stations within that time are an exception on record.",
    )


class WorkOrderOptions(Options):
    """How the station knows which product, work order and batch its units belong to."""

    scanner: Identifier | None = Field(default=None, description="Device that reads the order's code.")
    pattern: PatternText | None = Field(
        default=None,
        description="Regular expression (RE2) of that code as a whole, with groups product, order, batch.",
    )
    product: PointName | None = Field(default=None, description="device/point whose value is the product.")
    number: PointName | None = Field(
        default=None, description="device/point whose value is the number of the work order."
    )
    batch: PointName | None = Field(default=None, description="device/point whose value is the batch.")

    @property
    def points(self) -> dict[str, str]:
        """What each point names."""
        named = {"product": self.product, "order": self.number, "batch": self.batch}
        return {point: name for name, point in named.items() if point is not None}

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.scanner is None) != (self.pattern is None):
            raise SettingsError("scanner and pattern belong together", at=("pattern",))
        if self.pattern and not compiled(self.pattern).groups & {"product", "order", "batch"}:
            raise SettingsError(
                "the pattern needs a group product, order or batch, such as (?P<product>[A-Z]+)",
                at=("pattern",),
            )
        return self


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
    requires: tuple[AnyRequirement, ...] = Field(default=(), description="What a unit needs here.")
    work_order: WorkOrderOptions | None = Field(
        default=None, description="How product, work order and batch are known; they choose requirements."
    )
    tools: ToolOptions = Field(default=ToolOptions(), description="Which tools' results count.")
    codes: CodeOptions = Field(default=CodeOptions(), description="Codes for what is done with the unit.")
    reasons: ReasonOptions | None = Field(
        default=None,
        description="Which reasons count; by default any text, and at a station with a checklist any that "
        "says something.",
    )
    rework: Literal["all", "open"] = Field(
        default="all",
        description="What a unit needs that comes back: all again, or what was open when it left.",
    )
    route: bool = Field(
        default=False,
        description="Whether a unit that skipped a station of the list of routes is an exception on record.",
    )
    ask: tuple[Identifier, ...] = Field(
        default=(),
        description="Devices that are asked to measure when a unit enters: scales with trigger: request.",
    )
    gate: GateOptions | None = Field(default=None, description="How a unit is held; off by default.")

    @model_validator(mode="after")
    def _own_devices(self) -> Self:
        named = [self.unit.scanner, self.operator.scanner]
        named += [device for need in self.requires for device in need.devices]
        if self.work_order is not None:
            named += [self.work_order.scanner, *(point.partition("/")[0] for point in self.work_order.points)]
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

    @model_validator(mode="after")
    def _requirements_meet(self) -> Self:
        check_requirements(self.requires, badges=self.operator.scanner is not None)
        return self

    def doubts(self) -> Iterable[Doubt]:
        """Return codes that are taken for others, and requirements for which some units wait for ever."""
        return doubts_of_station(self)

    @cached_property
    def variants_asked(self) -> tuple[tuple[int, str], ...]:
        """What of product, work order and batch requirements depend on, each with its place in a variant."""
        return tuple(
            (place, name)
            for place, name in enumerate(("product", "work_order", "batch"))
            if any(getattr(need.when, name) for need in self.requires)
        )

    @cached_property
    def components(self) -> tuple[ComponentRequirement, ...]:
        """The parts and materials that a unit needs."""
        return tuple(need for need in self.requires if isinstance(need, ComponentRequirement))

    @cached_property
    def counted_reasons(self) -> ReasonOptions | None:
        """Which reasons count, None where any text does."""
        return self.reasons or (ReasonOptions(min_length=1) if self.is_tracking else None)

    @cached_property
    def is_tracking(self) -> bool:
        """Whether the line remembers its units: where anything but results is asked for."""
        plain = all(not need.has_records for need in self.requires)
        spoken = self.codes.scrap is not None or self.codes.remove is not None
        named = self.work_order is not None or spoken or self.route
        watched = (
            self.tools.calibration != "any"
            or self.operator.needed != "no"
            or self.operator.walk_s is not None
        )
        return not plain or named or watched
