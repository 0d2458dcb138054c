"""What the YAML says a unit needs at a station: one kind of requirement each."""

import hashlib
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Final, Literal, Self

import orjson
from pydantic import Field, model_validator

from linewitness.base.patterns import PatternText, compiled
from linewitness.base.settings import Identifier, Options, SettingsError

#: device/point, as settings name a point of a device.
POINT_PATTERN: Final = r"^[a-z0-9][a-z0-9_.-]*/[a-z0-9][a-z0-9_.-]*$"
#: A waiting time or a condition begins when the unit enters.
ENTERED: Final = "entered"
#: Groups of a part's pattern that mean something.
PART_GROUPS: Final = frozenset({"part", "serial", "lot", "quantity", "expiry", "supplier", "position"})

#: Settings that may change without making what was counted count no longer.
_HARMLESS: Final = {"title", "count", "people", "after", "out_of_order", "when", "within_s"}

PointName = Annotated[str, Field(pattern=POINT_PATTERN)]


class VariantOptions(Options):
    """Which units a requirement is for: all where nothing is said."""

    product: tuple[str, ...] = Field(default=(), description="Products.")
    work_order: tuple[str, ...] = Field(default=(), description="Work orders, by number.")
    batch: tuple[str, ...] = Field(default=(), description="Batches.")

    @property
    def is_any(self) -> bool:
        """Whether it is for all units."""
        return not (self.product or self.work_order or self.batch)


class RequirementOptions(Options):
    """What every requirement has."""

    title: str = Field(default="", max_length=200, description="For people: what is to be done.")
    when: VariantOptions = Field(
        default=VariantOptions(), description="For which products, work orders or batches; all by default."
    )
    after: tuple[Identifier, ...] = Field(
        default=(), description="Requirements of this station, by id, that must be done first."
    )
    out_of_order: Literal["refuse", "record"] = Field(
        default="refuse",
        description="What is done before `after` is: refuse, it does not count; record, it counts and the "
        "record says so.",
    )

    @property
    def name(self) -> str:
        """Under which name records, state and screen know it."""
        raise NotImplementedError

    @property
    def has_records(self) -> bool:
        """Whether each change of its state is a record."""
        return True

    @property
    def wanted(self) -> int:
        """How many times it is to be done."""
        return 1

    @property
    def devices(self) -> tuple[str, ...]:
        """Devices of the station on which it relies."""
        return ()

    @property
    def refers(self) -> tuple[str, ...]:
        """Ids of other requirements of the station that it names."""
        return self.after

    @property
    def shown(self) -> str:
        """What people call it."""
        return self.title or self.name

    @cached_property
    def definition(self) -> str:
        """A short digest of the settings that decide what counts: under others, what was counted is void."""
        settings = self.model_dump(mode="json", exclude=_HARMLESS)
        return hashlib.sha256(orjson.dumps(settings, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def check_limits(low: Decimal | None, high: Decimal | None) -> None:
    """Raise SettingsError where there is no limit, or the lower one is above the upper one."""
    if low is None and high is None:
        raise SettingsError("low or high is needed", at=("low",))
    if low is not None and high is not None and low > high:
        raise SettingsError(f"low ({low}) is above high ({high})", at=("low",))


class LimitOptions(Options):
    """Limits of our own for one measured value, inclusive."""

    low: Decimal | None = Field(default=None, description="Lower limit, inclusive.")
    high: Decimal | None = Field(default=None, description="Upper limit, inclusive.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        check_limits(self.low, self.high)
        return self


class ResultRequirement(RequirementOptions):
    """Good results of a tool, a tester, a vision system or a scale."""

    kind: Literal["tightening", "measurement"] = Field(default="tightening", description="Kind of result.")
    id: Identifier | None = Field(
        default=None, description="Name of the requirement; with it, each change of its state is a record."
    )
    device: Identifier = Field(description="Device whose results count.")
    count: int = Field(ge=1, le=10_000, description="How many good results a unit must have.")
    program: str | None = Field(
        default=None, description="Only results of this parameter set (pset) or point."
    )
    limits: dict[str, LimitOptions] = Field(
        default_factory=dict,
        description="Limits of our own by measured value; a result outside, or without the value, is not ok.",
    )

    @cached_property
    def name(self) -> str:
        """The id, or what it counts."""
        program = f".{self.program}" if self.program else ""
        return self.id or f"{self.device}.{self.kind}{program}"

    @property
    def has_records(self) -> bool:
        """Whether it has an id."""
        return self.id is not None

    @property
    def wanted(self) -> int:
        """How many good results."""
        return self.count

    @property
    def devices(self) -> tuple[str, ...]:
        """The device whose results count."""
        return (self.device,)


class ComponentRequirement(RequirementOptions):
    """Parts that are built into the unit: read one by one, or taken from a lot that is loaded here."""

    kind: Literal["component"] = Field(description="A part or a material that is built in.")
    id: Identifier = Field(description="Name of the requirement.")
    part: str = Field(min_length=1, max_length=100, description="Part number.")
    count: int = Field(default=1, ge=1, le=1000, description="Pieces that a unit needs.")
    pattern: PatternText | None = Field(
        default=None,
        description="Regular expression (RE2) of the part's code as a whole, with groups serial or lot, and "
        "where there are any part, quantity, expiry (YYYY-MM-DD or YYMMDD), supplier, position.",
    )
    gtin: str | None = Field(
        default=None,
        pattern=r"^[0-9]{8}([0-9]{4,6})?$",
        description="GTIN of the part: its code is a GS1 DataMatrix or barcode, with serial number (21) or "
        "lot (10), and where there are any expiry (17, 7003) and count (30, 37).",
    )
    scanner: Identifier | None = Field(
        default=None, description="Device that reads it; any code reader of the station by default."
    )
    source: Literal["read", "loaded"] = Field(
        default="read",
        description="read: the code of each piece is read for its unit. loaded: a lot is read when it is put "
        "to the station, and counts for each unit until the next one is.",
    )
    quantity: Decimal = Field(
        default=Decimal(1), gt=0, description="With `loaded`: how much of the lot one piece takes."
    )
    consumed: Identifier | None = Field(
        default=None,
        description="With `loaded`: the requirement with which the material is used; when the unit enters by "
        "default.",
    )
    supplier: str = Field(default="", max_length=200, description="Supplier, where the code does not say it.")
    position: str = Field(
        default="", max_length=100, description="Where in the unit it is, where the code does not say it."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.pattern is None) == (self.gtin is None):
            raise SettingsError("give either pattern or gtin: how the part's code is known", at=("pattern",))
        groups = compiled(self.pattern).groups if self.pattern else frozenset({"serial", "lot"})
        if strange := sorted(groups - PART_GROUPS):
            raise SettingsError(
                f"the group {strange[0]} means nothing; groups are {', '.join(sorted(PART_GROUPS))}",
                at=("pattern",),
            )
        if not groups & {"serial", "lot"}:
            raise SettingsError(
                "the pattern needs a group serial or lot, such as P123-(?P<serial>.+)", at=("pattern",)
            )
        if self.source == "read" and (self.consumed or self.quantity != 1):
            raise SettingsError("quantity and consumed belong to source: loaded", at=("source",))
        return self

    @property
    def name(self) -> str:
        """The id."""
        return self.id

    @property
    def wanted(self) -> int:
        """How many pieces."""
        return self.count

    @property
    def devices(self) -> tuple[str, ...]:
        """The reader, where it is named."""
        return (self.scanner,) if self.scanner else ()

    @property
    def refers(self) -> tuple[str, ...]:
        """What comes first, and what uses it."""
        return (*self.after, *((self.consumed,) if self.consumed else ()))


class SignOffRequirement(RequirementOptions):
    """A person signs, with a badge, that something is so."""

    kind: Literal["sign_off"] = Field(description="A person signs with a badge.")
    id: Identifier = Field(description="Name of the requirement.")
    meaning: str = Field(
        min_length=3, max_length=200, description="What the signature means; part of its record."
    )
    code: str = Field(
        min_length=1, max_length=200, description="Code that is read before the badge; a whole code."
    )
    people: Literal[1, 2] = Field(default=1, description="How many different persons sign.")
    second_person: bool = Field(
        default=False, description="None of them is the operator who is signed on (four eyes)."
    )
    within_s: float = Field(
        default=60.0, gt=0, le=3600, description="Seconds after the code in which the badges are read."
    )

    @property
    def name(self) -> str:
        """The id."""
        return self.id

    @property
    def wanted(self) -> int:
        """How many persons."""
        return self.people
