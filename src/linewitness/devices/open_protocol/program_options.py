"""What the YAML says of the programs of a controller: which parameter set or job a unit needs."""

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from linewitness.base.errors import DeviceRefused
from linewitness.base.patterns import PatternText, matches
from linewitness.base.settings import Options, SettingsError
from linewitness.devices.unit_commands import UnitCommand


class ProgramOptions(Options):
    """The parameter set or the job of some units."""

    unit: PatternText | None = Field(
        default=None,
        description="Regular expression (RE2) that the serial numbers of these units match as a whole.",
    )
    product: tuple[str, ...] = Field(
        default=(), description="Products of these units, as the station knows them (work_order)."
    )
    parameter_set: int | None = Field(default=None, ge=1, le=999, description="Parameter set (0018).")
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=9999,
        description="Number of tightenings in the batch of the parameter set, which is set before it is "
        "selected (0019).",
    )
    job: int | None = Field(default=None, ge=1, le=9999, description="Job (0038).")
    abort_job: bool = Field(
        default=False, description="Abort the job that the unit before left unfinished (0127) first."
    )
    restart_job: bool = Field(
        default=False,
        description="Restart the job after it is selected (0039), for controllers that would go on with it.",
    )

    @model_validator(mode="after")
    def _one_program(self) -> Self:
        if self.unit is None and not self.product:
            raise SettingsError("say for which units: unit, product or both", at=("unit",))
        if (self.parameter_set is None) == (self.job is None):
            raise SettingsError("say either parameter_set or job", at=("unit",))
        if self.batch_size is not None and self.parameter_set is None:
            raise SettingsError(
                "batch_size: it belongs to a parameter_set; a job has its own", at=("batch_size",)
            )
        if self.restart_job and self.job is None:
            raise SettingsError("restart_job: it belongs to a job", at=("restart_job",))
        return self

    @property
    def before(self) -> Sequence[UnitCommand]:
        """What is sent before the unit is named."""
        return (UnitCommand("abort_job", "running"),) if self.abort_job else ()

    @property
    def selection(self) -> Sequence[UnitCommand]:
        """What is sent to select the program."""
        if self.job is not None:
            number = str(self.job)
            again = (UnitCommand("restart_job", number, after="job"),) if self.restart_job else ()
            return (UnitCommand("job", number), *again)
        number = str(self.parameter_set)
        if self.batch_size is None:
            return (UnitCommand("parameter_set", number),)
        size = UnitCommand("batch_size", f"{number}:{self.batch_size}")
        return (size, UnitCommand("parameter_set", number, after="batch_size"))


def program_for(device: str, unit: str, product: str, programs: Sequence[ProgramOptions]) -> ProgramOptions:
    """Return the first program that fits a unit; its product is empty where nobody knows it.

    Raises DeviceRefused where none does.
    """
    for program in programs:
        if matches(program.unit, unit) and (not program.product or product in program.product):
            return program
    of_product = f" of product {product}" if product else ""
    raise DeviceRefused(
        f"no program of {device} fits the unit {unit}{of_product}: the controller is told nothing of it",
        hint=f"add an entry to programs of {device} whose unit and product fit, then read the unit again",
    )
