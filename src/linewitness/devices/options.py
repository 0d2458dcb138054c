"""What the YAML says of every device and point, whatever its driver."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import ByteSize, Field, model_validator

from linewitness.base.settings import FilePath, Identifier, Options, SettingsError
from linewitness.devices.base import DecidedBy

RecordMode = Literal["change", "result", "alarm", "telemetry"]
#: Key of the validation's context that lets a device have no points yet: a look at it needs none.
WITHOUT_POINTS: Final = "without_points"


DecidedByField = Annotated[
    DecidedBy,
    Field(
        description="Whose verdict counts where that of the PLC and that of our limits (low, high) differ: "
        "stricter (good only if neither says bad), ours, or plc. Where there is only one of them, stricter "
        "and ours take it."
    ),
]

PointsFile = Annotated[
    FilePath | None,
    Field(
        description="CSV file with further points, one a row; the columns are the settings of a point. Seen "
        "from the YAML's folder."
    ),
]


@dataclass(frozen=True, slots=True)
class PointRange:
    """The points that one entry of `points:` stands for: how many, and the settings of each, counted from 1.

    `settings` returns what an entry for that point alone would say; all other settings are the range's.
    `used` are the entry's settings that only a range has.
    """

    count: int
    settings: Callable[[int], dict[str, str | int]]
    used: frozenset[str] = frozenset()


class PointOptions(Options):
    """One value of a device; each driver adds where it is found."""

    id: Identifier = Field(description="Name of the value within the device.")
    record: RecordMode = Field(
        description="change: evidence with before and after; result: evidence, read as a set when "
        "a trigger says so; alarm: evidence, raised and cleared; telemetry: a signal for the historian."
    )
    unit: str | None = Field(default=None, description="Unit of measurement, as it should be read.")
    low: Decimal | None = Field(default=None, description="Lower limit, inclusive.")
    high: Decimal | None = Field(default=None, description="Upper limit, inclusive.")

    @classmethod
    def range_of(cls, entry: Mapping[str, object]) -> PointRange | None:
        """Return the points that an entry stands for, or None where it is one point as it is written.

        The entry's settings are as the file has them, not checked yet. Raises SettingsError if its range
        makes no points.
        """
        del entry
        return None

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise SettingsError(f"low ({self.low}) is above high ({self.high})", at=("low",))
        return self


class ShareOptions(Options):
    """How much of the journal one device may take: what is above waits, or becomes one counted gap."""

    records_per_s: float = Field(
        default=1000.0, gt=0, le=1_000_000, description="Records a second that the device may make for ever."
    )
    bytes_per_s: ByteSize = Field(
        default=ByteSize(2 * 1024**2),
        ge=1024,
        description="Bytes a second of the journal that its records and raw bytes may take for ever.",
    )
    burst_s: float = Field(
        default=600.0,
        ge=1,
        le=86_400,
        description="So many seconds of both may come at once, after as long a time without anything.",
    )


class SlowDeviceShare(ShareOptions):
    """The share of a device that people or a belt work: a code reader, a scale."""

    records_per_s: float = Field(
        default=50.0, gt=0, le=1_000_000, description="Records a second that the device may make for ever."
    )
    bytes_per_s: ByteSize = Field(
        default=ByteSize(128 * 1024),
        ge=1024,
        description="Bytes a second of the journal that its records and raw bytes may take for ever.",
    )
    burst_s: float = Field(
        default=120.0,
        ge=1,
        le=86_400,
        description="So many seconds of both may come at once, after as long a time without anything.",
    )


class DeviceOptions(Options):
    """One device; each driver adds how it is reached. The subclass narrows `driver` to a Literal."""

    id: Identifier = Field(description="Name of the device within the line.")
    driver: str = Field(description="Which driver speaks to it.")
    description: str = Field(default="", description="For people.")
    share: ShareOptions = Field(
        default=ShareOptions(), description="How much of the journal the device may take."
    )

    @property
    def has_telemetry(self) -> bool:
        """Whether values of the device are published as telemetry, under topics with its id."""
        return False
