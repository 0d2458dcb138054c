"""What the YAML says of requirements that values, time and other stations decide."""

from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, model_validator

from linewitness.base.settings import Identifier, SettingsError
from linewitness.stations.checklist.options import ENTERED, PointName, RequirementOptions, check_limits


class ConditionRequirement(RequirementOptions):
    """A value of a device stays within limits, for so long or from one requirement to another."""

    kind: Literal["condition"] = Field(description="A value stays within limits.")
    id: Identifier = Field(description="Name of the requirement.")
    point: PointName = Field(description="device/point whose value counts.")
    low: Decimal | None = Field(default=None, description="Lower limit, inclusive.")
    high: Decimal | None = Field(default=None, description="Upper limit, inclusive.")
    since: Identifier = Field(
        default=ENTERED, description="From when on: a requirement that is done, or `entered`."
    )
    until: Identifier | None = Field(
        default=None, description="Until when: the requirement that must not be done before the value left."
    )
    for_s: float | None = Field(
        default=None, gt=0, le=2_592_000, description="For how many seconds without a break."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        check_limits(self.low, self.high)
        if (self.until is None) == (self.for_s is None):
            raise SettingsError("give either until or for_s: how long the value must stay", at=("for_s",))
        return self

    @property
    def name(self) -> str:
        """The id."""
        return self.id

    @property
    def devices(self) -> tuple[str, ...]:
        """The device of the point."""
        return (self.point.partition("/")[0],)

    @property
    def refers(self) -> tuple[str, ...]:
        """What begins and ends it."""
        since = () if self.since == ENTERED else (self.since,)
        return (*self.after, *since, *((self.until,) if self.until else ()))


class CheckRequirement(RequirementOptions):
    """A point of a PLC says that something is so."""

    kind: Literal["check"] = Field(description="A point of a PLC has a value.")
    id: Identifier = Field(description="Name of the requirement.")
    point: PointName = Field(description="device/point whose value counts.")
    value: str = Field(default="true", max_length=200, description="The value that it must have.")
    holds: Literal["once", "throughout"] = Field(
        default="once",
        description="once: the point took the value after the unit came; what it said before is not about "
        "this unit. throughout: it has the value until the unit leaves.",
    )

    @property
    def name(self) -> str:
        """The id."""
        return self.id

    @property
    def devices(self) -> tuple[str, ...]:
        """The device of the point."""
        return (self.point.partition("/")[0],)


class WaitRequirement(RequirementOptions):
    """A time that must pass, or must not: curing, potting, open time."""

    kind: Literal["wait"] = Field(description="A waiting time.")
    id: Identifier = Field(description="Name of the requirement.")
    since: str = Field(
        default=ENTERED,
        pattern=r"^[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)?$",
        description="From when on: a requirement that is done, `entered`, or station/requirement.",
    )
    at_least_s: float | None = Field(
        default=None, gt=0, le=2_592_000, description="Seconds that must pass before the unit leaves."
    )
    at_most_s: float | None = Field(
        default=None, gt=0, le=2_592_000, description="Seconds within which `before` must be done."
    )
    before: Identifier | None = Field(
        default=None,
        description="Requirement that must be done within at_most_s; the leaving of the unit by default.",
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        least, most = self.at_least_s, self.at_most_s
        if least is None and most is None:
            raise SettingsError("at_least_s or at_most_s is needed", at=("at_least_s",))
        if least is not None and most is not None and least > most:
            raise SettingsError(f"at_least_s ({least:g}) is above at_most_s ({most:g})", at=("at_least_s",))
        if most is None and self.before is not None:
            raise SettingsError("before belongs to at_most_s", at=("before",))
        return self

    @property
    def name(self) -> str:
        """The id."""
        return self.id

    @property
    def refers(self) -> tuple[str, ...]:
        """What begins and ends it at this station."""
        since = () if self.since == ENTERED or "/" in self.since else (self.since,)
        return (*self.after, *since, *((self.before,) if self.before else ()))


class AfterRequirement(RequirementOptions):
    """The unit has left another station with all that it needed there."""

    kind: Literal["after"] = Field(description="Another station comes first.")
    id: Identifier = Field(description="Name of the requirement.")
    station: Identifier | None = Field(
        default=None, description="That station; by default the one before this one in the list of routes."
    )

    @property
    def name(self) -> str:
        """The id."""
        return self.id
