"""The data of a simulated controller: parameter sets, jobs, the tool, its state, and stored results."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class ResultType(IntEnum):
    """What a stored result is about (0061 revision 3 and later)."""

    TIGHTENING = 1
    LOOSENING = 2
    BATCH_INCREMENT = 3
    BATCH_DECREMENT = 4
    BYPASS = 5
    ABORT_JOB = 6
    SYNC_TIGHTENING = 7
    REFERENCE_SETUP = 8
    BATCH_RESET = 9
    JOB_RESTART = 10


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """What the tool aims at. Torques in hundredths of a newton metre, angles in degrees."""

    id: int
    name: str
    torque_min: int
    torque_max: int
    torque_target: int
    angle_min: int
    angle_max: int
    angle_target: int = 0
    batch_size: int = 4
    direction: int = 1
    last_change: str = "2026-01-20:07:00:00"


@dataclass(frozen=True, slots=True)
class Tool:
    """The tool at the controller, as it describes itself."""

    serial: str = "A1234567"
    number: int = 1
    model: str = "ETV ST61-50"
    article: str = "8433 2061 50"
    lifetime_before: int = 184_233
    since_service_before: int = 40_211
    calibrated_at: str = "2025-11-03:14:05:00"
    serviced_at: str = "2025-06-01:08:00:00"
    calibration_value: int = 2987
    kind: int = 4
    motor_size: int = 61


@dataclass(frozen=True, slots=True)
class Job:
    """A list of tightenings with one parameter set."""

    id: int
    name: str
    parameter_set: int
    batch_size: int


@dataclass(frozen=True, slots=True)
class ControllerDescription:
    """Who the controller says it is."""

    cell_id: int = 1
    channel_id: int = 3
    name: str = "ST-07"
    supplier: str = "ACT"
    protocol_version: str = "v2.0"
    software: str = "3.6.1"
    tool_software: str = ""
    serial: str = "SIM0000001"
    station_id: int = 1
    station_name: str = "Virtual station 1"


@dataclass(frozen=True, slots=True)
class Setup:
    """What does not change while the controller runs."""

    parameter_sets: Mapping[int, ParameterSet]
    jobs: Mapping[int, Job]
    tool: Tool
    seed: int = 1
    #: Channels that tighten together; from two on there are multi-spindle results.
    spindles: int = 1
    #: The highest id, and the one that follows it.
    last_id: int = 4_294_967_295
    after_last: int = 0


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that is active at the controller."""

    code: str
    text: str
    time: str
    controller_ready: bool = True
    tool_ready: bool = True


@dataclass(frozen=True, slots=True)
class State:
    """What a controller remembers; `device_offset_s` is how far its clock is off."""

    next_id: int = 1
    parameter_set: int = 7
    batch_counter: int = 0
    batch_done: bool = False
    identifiers: tuple[str, str, str, str] = ("", "", "", "")
    job: int = 0
    job_counter: int = 0
    job_sequence: int = 0
    sync_id: int = 0
    tightenings: int = 0
    tool_enabled: bool = True
    device_offset_s: float = 0.0
    units: int = 0
    #: Good tightenings that the unit in work still needs, on a line that runs by itself.
    unit_left: int = 0
    #: Batch sizes that a client set (0019), by parameter set.
    batch_sizes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the operator did, or what a test wants the tool to have measured (None: drawn from the seed)."""

    ok: bool = True
    vin: str | None = None
    torque: int | None = None
    angle: int | None = None
    rundown_angle: int | None = None
    result_type: int = ResultType.TIGHTENING
    station_id: int | None = None


@dataclass(frozen=True, slots=True)
class StoredResult:
    """One stored result. Torques in hundredths of a newton metre, angles in degrees; `time` as shown."""

    id: int
    station_id: int
    made_ns: int
    time: str
    vin: str
    identifiers: tuple[str, ...]
    job_id: int
    job_sequence: int
    pset: ParameterSet
    batch_counter: int
    batch_status: int
    ok: bool
    torque: int
    angle: int
    rundown_angle: int
    torque_status: int
    angle_status: int
    error_bits: int
    result_type: int
    tool_serial: str
    sync_id: int = 0
    spindles: int = 1

    @property
    def is_tightening(self) -> bool:
        """Whether a screw was tightened, or only the bookkeeping changed."""
        return self.result_type in (ResultType.TIGHTENING, ResultType.SYNC_TIGHTENING)
