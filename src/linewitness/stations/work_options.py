"""What the YAML says of the work at a station: reasons that count, codes of the operator, tools."""

from typing import Literal, Self

from pydantic import Field, model_validator

from linewitness.base.patterns import PatternText, compiled
from linewitness.base.settings import Options, SettingsError


class ReasonOptions(Options):
    """Which reasons count where a person gives one."""

    codes: dict[str, str] = Field(default_factory=dict, description="Reason codes with their meaning.")
    text: Literal["optional", "required"] = Field(
        default="optional", description="Whether a text must come with the code (group `text`)."
    )
    min_length: int = Field(default=8, ge=1, le=200, description="Characters that a text must have.")
    refuse: tuple[str, ...] = Field(
        default=("ok", "okay", "see email", "see mail", "done", "fixed", "none", "n/a", "na", "-", "."),
        description="Texts that say nothing and are refused, in any case.",
    )


class CodeOptions(Options):
    """Codes by which the operator says what is done with the unit; each needs a group `reason`."""

    remove: PatternText | None = Field(
        default=None,
        description="Regular expression (RE2) of the code that is read before that of a component which is "
        "taken out again, whichever station built it in.",
    )
    scrap: PatternText | None = Field(
        default=None, description="Regular expression (RE2) of the code that scraps the unit."
    )
    within_s: float = Field(
        default=60.0, gt=0, le=3600, description="Seconds after `remove` in which the component is read."
    )

    @model_validator(mode="after")
    def _with_reason(self) -> Self:
        for name in ("remove", "scrap"):
            pattern = getattr(self, name)
            if pattern is not None and "reason" not in compiled(pattern).groups:
                raise SettingsError(
                    f"{name}: it needs a group named reason, such as {name.upper()}-(?P<reason>.+)",
                    at=(name,),
                )
        return self


class ToolOptions(Options):
    """Which tools' results count."""

    calibration: Literal["any", "list", "controller"] = Field(
        default="any",
        description="any: results of all tools count. list: only of tools that the list of calibrations "
        "names and that are not due. controller: only where the controller says when the tool was calibrated "
        "last, and that is not longer ago than interval_days.",
    )
    interval_days: int | None = Field(
        default=None, ge=1, le=3660, description="With `controller`: days for which a calibration is good."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.calibration == "controller") != (self.interval_days is not None):
            raise SettingsError(
                "interval_days belongs to calibration: controller, and is needed there", at=("interval_days",)
            )
        return self
