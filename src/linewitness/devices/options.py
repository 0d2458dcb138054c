"""What the YAML says of every device and point, whatever its driver."""

from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, model_validator

from linewitness.base.settings import Identifier, Options, SettingsError

RecordMode = Literal["change", "result", "alarm", "telemetry"]


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

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise SettingsError(f"low ({self.low}) is above high ({self.high})", at=("low",))
        return self


class DeviceOptions(Options):
    """One device; each driver adds how it is reached. The subclass narrows `driver` to a Literal."""

    id: Identifier = Field(description="Name of the device within the line.")
    driver: str = Field(description="Which driver speaks to it.")
    description: str = Field(default="", description="For people.")
