"""What the YAML says of a scale."""

from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, model_validator

from linewitness.base.settings import Host, SettingsError
from linewitness.devices.options import DeviceOptions, SlowDeviceShare


class MtSicsOptions(DeviceOptions):
    """One scale that speaks MT-SICS over TCP."""

    driver: Literal["mt_sics"]
    share: SlowDeviceShare = Field(
        default=SlowDeviceShare(), description="How much of the journal the device may take."
    )
    host: Host = Field(min_length=1, description="Address of the scale or of its serial converter.")
    port: int = Field(ge=1, le=65535, description="TCP port; 4305, 1701 and 4001 are common.")
    serial: str | None = Field(
        default=None,
        min_length=1,
        description="Serial number that the scale must report (I4); another scale is refused.",
    )
    trigger: Literal["interval", "request", "key"] = Field(
        default="interval",
        description="When a weight is taken: interval: every interval_s; request: when the gateway is asked "
        "to; key: when a person presses the scale's print key.",
    )
    interval_s: float = Field(
        default=10.0, ge=0.5, le=86_400, description="Trigger interval: seconds from weighing to weighing."
    )
    repeat_unchanged: bool = Field(
        default=False,
        description="Trigger interval: record a weight that reads the same as the last one, too.",
    )
    low: Decimal | None = Field(default=None, description="Lower limit, inclusive, in the scale's unit.")
    high: Decimal | None = Field(default=None, description="Upper limit, inclusive, in the scale's unit.")
    unit: str | None = Field(
        default=None, min_length=1, description="Unit that the limits are in; a weight in another is not ok."
    )
    stable_timeout_s: float = Field(
        default=15.0, gt=0, le=300, description="How long a weighing may take until the weight is stable."
    )
    retry_s: float = Field(
        default=0.3, gt=0, le=10, description="Pause before asking again when the scale is busy (S I)."
    )
    reply_timeout_s: float = Field(
        default=3.0, gt=0, le=60, description="How long to wait for an answer that needs no stable weight."
    )
    connect_timeout_s: float = Field(
        default=5.0, gt=0, le=600, description="How long to wait for the connection."
    )
    latency_ms: int = Field(
        default=100, ge=0, le=60_000, description="How old a weight may be at the most when it arrives."
    )

    @model_validator(mode="after")
    def _limits_fit(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise SettingsError(f"low ({self.low}) is above high ({self.high})", at=("low",))
        if self.unit is None and (self.low is not None or self.high is not None):
            raise ValueError("limits need a unit: say unit: g")
        return self
