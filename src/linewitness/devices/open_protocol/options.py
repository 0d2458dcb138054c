"""What the YAML says of a tightening controller; id, driver and host are enough to begin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from linewitness.base.settings import Host, SettingsError
from linewitness.devices.open_protocol.program_options import ProgramOptions, program_for
from linewitness.devices.options import DeviceOptions
from linewitness.devices.unit_commands import UnitCommand

BackFill = Literal["auto", "exact", "at_or_before", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTiming:
    """How long to wait for what, in seconds."""

    request_s: float
    optional_s: float
    keepalive_s: float
    dead_after_s: float


class OpenProtocolOptions(DeviceOptions):
    """One controller, or one virtual station of it, on its own TCP port."""

    driver: Literal["open_protocol"] = Field(default="open_protocol", description="This driver.")
    host: Host = Field(min_length=1, description="Name or address of the controller.")
    port: int = Field(default=4545, ge=1, le=65535, description="Its Open Protocol port.")

    timezone: str | None = Field(
        default=None,
        description="Zone that the controller's clock keeps, such as Europe/Berlin. Without it the "
        "difference to UTC is measured, and results of another season are an hour off.",
    )
    set_clock_beyond_s: float | None = Field(
        default=None,
        ge=1,
        description="Set the controller's clock when it is off by more than this; it is on record. Never by "
        "default: it changes a measuring system.",
    )
    torque_unit: str = Field(
        default="Nm", description="Unit of torque where the telegrams do not name one (revisions 1 and 2)."
    )
    controller_serial: str | None = Field(
        default=None,
        description="Serial number that the controller must have. Without it, the one that was met first.",
    )
    tool_serial: str | None = Field(
        default=None, description="Serial number that the tool must have; another one is reported."
    )
    tool_number: int | None = Field(
        default=None,
        ge=1,
        le=9999,
        description="Which tool a gate locks where a controller has several; 9999 locks all. Without it, the "
        "only one.",
    )
    station: int | None = Field(
        default=None,
        ge=0,
        description="Own station, where several share the ids. Usually told by the controller.",
    )

    back_fill: BackFill = Field(
        default="auto",
        description="How the controller answers requests for old results: exact, at_or_before (shared ids), "
        "none; auto finds out.",
    )
    start_after: int | None = Field(
        default=None,
        ge=0,
        description="On first contact, capture what was stored after this tightening id; 0 is everything. "
        "Without it, capture starts after the newest one.",
    )
    back_fill_per_s: float = Field(
        default=15, gt=0, le=50, description="At most so many stored results are requested a second."
    )
    reconcile_s: float = Field(
        default=600,
        ge=1,
        description="How often the newest stored result and the tool's counter are compared.",
    )

    results: Literal["tightenings", "operations", "powermacs"] = Field(
        default="tightenings",
        description="What results are taken: tightenings (0061), or operations (1201) for controllers "
        "that have no others, or powermacs: the cycles of a PowerMACS station (0106).",
    )
    acknowledge: Literal["application", "link"] = Field(
        default="application",
        description="How what is durable is confirmed: application (0062 and its like), which every "
        "controller has; link (9997, 9998) numbers all telegrams.",
    )
    start_revision: int = Field(default=7, ge=1, le=7, description="Highest revision of the start (0001).")
    result_revision: int | None = Field(
        default=None,
        ge=1,
        le=999,
        description="Exactly this revision of results (0061). Without it the highest one offered, up to 7.",
    )
    tool_revision: int = Field(default=5, ge=1, le=7, description="Highest revision of tool data (0041).")

    alarms: bool = Field(default=True, description="Record alarms (0071, 0074, 0076).")
    parameter_sets: bool = Field(default=True, description="Record which parameter set is selected (0015).")
    identifiers: Literal["none", "single", "multiple"] = Field(
        default="none", description="Take identifiers that the controller reads: single 0052, multiple 0152."
    )
    jobs: bool = Field(default=False, description="Record job information (0035).")
    multi_spindle: bool = Field(default=False, description="Record multi-spindle results (0101) too.")
    bolt_details: bool = Field(
        default=False,
        description="With results: powermacs, record what the station says of each bolt besides (0107): "
        "names, errors, further values.",
    )
    traces: bool = Field(default=False, description="Keep torque and angle traces (0900).")

    commands: tuple[Literal["identifier", "program"], ...] = Field(
        default=(),
        description="What the controller is told when a unit arrives at the station; nothing by default. "
        "identifier: the unit's serial number (0050 or 0150); program: what programs has for it, a parameter "
        "set (0018) or a job (0038).",
    )
    programs: tuple[ProgramOptions, ...] = Field(
        default=(),
        description="Which parameter set or job a unit needs: the first entry that fits number and product.",
    )

    connect_timeout_s: float = Field(default=5, gt=0, description="How long connecting may take.")
    request_timeout_s: float = Field(default=10, gt=0, description="How long an answer may take.")
    busy_retry_s: float = Field(
        default=16,
        gt=0,
        description="How long to wait where the controller still holds an earlier session (15 s by itself).",
    )
    keepalive_s: float = Field(
        default=7, ge=0.2, le=14, description="Send a sign of life after so long without sending anything."
    )
    dead_after_s: float = Field(
        default=15, ge=0.5, description="The connection is dead after so long without receiving anything."
    )

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError) as error:
                raise ValueError(f"there is no zone {value!r}; write it like Europe/Berlin") from error
        return value

    @field_validator("result_revision")
    @classmethod
    def _known_revision(cls, value: int | None) -> int | None:
        if value is not None and not (value <= NEWEST_REVISION or value in SPECIAL_REVISIONS):
            known = f"1 to {NEWEST_REVISION}, 998 or 999"
            raise ValueError(f"results have no revision {value}; leave it out, or choose {known}")
        return value

    @model_validator(mode="after")
    def _alive_before_dead(self) -> Self:
        if self.keepalive_s >= self.dead_after_s:
            raise SettingsError(
                f"keepalive_s ({self.keepalive_s:g}) must be below dead_after_s ({self.dead_after_s:g})",
                at=("keepalive_s",),
            )
        return self

    @model_validator(mode="after")
    def _link_level_needs_revision(self) -> Self:
        if self.acknowledge == "link" and self.start_revision < LINK_LEVEL_REVISION:
            raise SettingsError(
                f"acknowledge: link needs start_revision {LINK_LEVEL_REVISION} or higher", at=("acknowledge",)
            )
        return self

    @model_validator(mode="after")
    def _details_of_cycles(self) -> Self:
        if self.bolt_details and (self.results != "powermacs" or self.acknowledge == "link"):
            raise SettingsError(
                "bolt_details: only results: powermacs has them, with acknowledge: application",
                at=("bolt_details",),
            )
        return self

    @model_validator(mode="after")
    def _zone_for_setting(self) -> Self:
        if self.set_clock_beyond_s is not None and self.timezone is None:
            raise SettingsError(
                "set_clock_beyond_s: say in timezone which zone the controller's clock keeps",
                at=("set_clock_beyond_s",),
            )
        return self

    @model_validator(mode="after")
    def _programs_for_command(self) -> Self:
        if "program" in self.commands and not self.programs:
            raise SettingsError(
                "commands: program needs programs, such as {unit: 'AX7.*', parameter_set: 7}",
                at=("commands",),
            )
        if self.programs and "program" not in self.commands:
            raise SettingsError(
                "programs: they are never selected; add program to commands, or remove them", at=("programs",)
            )
        return self

    @property
    def commands_units(self) -> bool:
        """Whether the controller is told anything of the unit at the station."""
        return bool(self.commands)

    def commands_for(self, unit: str, named_by: str, product: str = "") -> Sequence[UnitCommand]:
        """Return what the controller is told of a unit, which the device `named_by` named.

        A serial number is not sent back to the controller that read it. Raises DeviceRefused where no program
        fits.
        """
        program = program_for(self.id, unit, product, self.programs) if "program" in self.commands else None
        told = "identifier" in self.commands and named_by != self.id
        identifier = (UnitCommand("identifier", unit),) if told else ()
        return (*(program.before if program else ()), *identifier, *(program.selection if program else ()))

    @property
    def zone(self) -> ZoneInfo | None:
        """The configured zone."""
        return ZoneInfo(self.timezone) if self.timezone else None

    @property
    def name(self) -> str:
        """How messages call this controller."""
        return f"{self.id} ({self.host}:{self.port})"

    @property
    def timing(self) -> LinkTiming:
        """How long to wait for what."""
        return LinkTiming(
            request_s=self.request_timeout_s,
            optional_s=self.request_timeout_s * OPTIONAL_SHARE,
            keepalive_s=self.keepalive_s,
            dead_after_s=self.dead_after_s,
        )


#: Answers that capture can do without are waited for less long.
OPTIONAL_SHARE = 0.3
NEWEST_REVISION = 11
#: From this revision of the start on, controllers say whether they number telegrams.
LINK_LEVEL_REVISION = 6
SPECIAL_REVISIONS = (998, 999)
