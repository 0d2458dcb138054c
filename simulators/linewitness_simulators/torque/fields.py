"""Say what a controller knows in the words of the protocol's layouts: key to value, None for blank."""

from collections.abc import Mapping, Sequence
from typing import Final

from linewitness_simulators.torque.model import (
    Alarm,
    ControllerDescription,
    Job,
    ParameterSet,
    Setup,
    State,
    StoredResult,
)

Content = int | str | None
Values = Mapping[str, Content | Sequence[Mapping[str, Content]]]

ZERO_TIME: Final = "0000-00-00:00:00:00"
STRATEGY: Final = 2  # torque control with angle monitoring
STRATEGY_OPTIONS: Final = 3  # torque and angle
STATUS_PLACES: Final = (
    "current_monitoring_status",
    "selftap_status",
    "pvt_monitoring_status",
    "pvt_compensate_status",
)
NEWTON_METRE: Final = 1


def start(
    station: ControllerDescription, client: int, *, link_level: bool, optional_keep_alive: int
) -> Values:
    """Return the values of 0002."""
    return {
        "cell_id": station.cell_id,
        "channel_id": station.channel_id,
        "controller_name": station.name,
        "supplier_code": station.supplier,
        "open_protocol_version": station.protocol_version,
        "controller_sw_version": station.software,
        "tool_sw_version": station.tool_software,
        "rbu_type": "",
        "controller_serial_number": station.serial,
        "system_type": 3,
        "system_subtype": 1,
        "sequence_number_support": int(link_level),
        "linking_support": 1,
        "station_or_cell_id": station.station_id,
        "station_or_cell_name": station.station_name,
        "client_id": client % 10,
        "optional_keep_alive": optional_keep_alive,
    }


def result(station: ControllerDescription, made: StoredResult) -> Values:
    """Return the values of 0061 and of 0065, which share their keys."""
    pset = made.pset
    second, third, fourth = made.identifiers
    return {
        "cell_id": station.cell_id,
        "channel_id": station.channel_id,
        "controller_name": station.name,
        "vin": made.vin,
        "job_id": made.job_id,
        "pset_id": pset.id,
        "strategy": STRATEGY,
        "strategy_options": STRATEGY_OPTIONS,
        "batch_size": pset.batch_size,
        "batch_counter": made.batch_counter,
        "tightening_status": int(made.ok),
        "batch_status": made.batch_status,
        "torque_status": made.torque_status,
        "angle_status": made.angle_status,
        "rundown_angle_status": 1,
        **dict.fromkeys(STATUS_PLACES),
        "tightening_error_status": made.error_bits,
        "torque_min_limit": pset.torque_min,
        "torque_max_limit": pset.torque_max,
        "torque_final_target": pset.torque_target,
        "torque": made.torque,
        "angle_min": pset.angle_min,
        "angle_max": pset.angle_max,
        "final_angle_target": pset.angle_target,
        "angle": made.angle,
        "rundown_angle_min": 0,
        "rundown_angle_max": 9999,
        "rundown_angle": made.rundown_angle,
        "tightening_id": made.id,
        "job_sequence_number": made.job_sequence,
        "sync_tightening_id": made.sync_id,
        "tool_serial_number": made.tool_serial,
        "timestamp": made.time,
        "pset_last_change": pset.last_change,
        "pset_name": pset.name,
        "torque_unit": NEWTON_METRE,
        "result_type": made.result_type,
        "identifier_2": second,
        "identifier_3": third,
        "identifier_4": fourth,
        "customer_error_code": "",
        "pvt_compensate_value": 0,
        "tightening_error_status_2": 0,
        "compensated_angle": made.angle * 100,
        "final_angle_decimal": made.angle * 100,
        "station_id": made.station_id,
        "station_name": station.station_name,
        "post_view_torque_activated": 0,
        "angle_scale_numerator": 1,
        "angle_scale_denominator": 1,
        "overall_angle_status": made.angle_status,
        "overall_angle": made.angle,
        "peak_torque": made.torque,
        "stages_in_multistage": 1,
        "number_of_stage_results": 1,
        "stage_results": [{"torque": made.torque, "angle": made.angle}],
    }


def tool_data(setup: Setup, state: State, station: ControllerDescription) -> Values:
    """Return the values of 0041."""
    tool = setup.tool
    return {
        "tool_serial_number": tool.serial,
        "tool_tightenings": tool.lifetime_before + state.tightenings,
        "last_calibration_date": tool.calibrated_at or ZERO_TIME,
        "controller_serial_number": station.serial,
        "calibration_value": tool.calibration_value,
        "last_service_date": tool.serviced_at or ZERO_TIME,
        "tightenings_since_service": tool.since_service_before + state.tightenings,
        "tool_type": tool.kind,
        "motor_size": tool.motor_size,
        "open_end_data": 0,
        "controller_sw_version": station.software,
        "tool_max_torque": 5000,
        "gear_ratio": 1845,
        "tool_full_speed": 90000,
        "primary_tool": 1,
        "tool_model": tool.model,
        "tool_number": tool.number,
        "tool_article_number": tool.article,
        "rundown_min_speed": 5000,
        "downshift_max_speed": 20000,
        "downshift_min_speed": 5000,
    }


def parameter_set(pset: ParameterSet) -> Values:
    """Return the values of 0013 and of 0015."""
    return {
        "pset_id": pset.id,
        "pset_name": pset.name,
        "rotation_direction": pset.direction,
        "batch_size": pset.batch_size,
        "torque_min": pset.torque_min,
        "torque_max": pset.torque_max,
        "torque_final_target": pset.torque_target,
        "angle_min": pset.angle_min,
        "angle_max": pset.angle_max,
        "final_angle_target": pset.angle_target,
        "first_target": None,
        "start_final_angle": None,
        "last_change": pset.last_change,
    }


def job_info(job: Job, state: State, shown: str) -> Values:
    """Return the values of 0035."""
    done = state.job_counter >= job.batch_size
    first, second, third, fourth = state.identifiers
    return {
        "job_id": job.id,
        "job_status": int(done),
        "job_batch_mode": 0,
        "job_batch_size": job.batch_size,
        "job_batch_counter": state.job_counter,
        "timestamp": shown,
        "job_current_step": 1,
        "job_total_steps": 1,
        "job_step_type": 1,
        "job_tightening_status": 1 if state.job_counter else 0,
        "job_sequence_number": state.job_sequence,
        "vin": first,
        "identifier_2": second,
        "identifier_3": third,
        "identifier_4": fourth,
    }


def job_ids(numbers: Sequence[int]) -> Values:
    """Return the values of 0031."""
    return {"number_of_jobs": len(numbers), "jobs": [{"job_id": number} for number in numbers]}


def job_data(job: Job) -> Values:
    """Return the values of 0033: one entry, as our jobs have one parameter set."""
    entry = {"channel": 1, "pset_id": job.parameter_set, "auto": 1, "batch_size": job.batch_size}
    return {
        "job_id": job.id,
        "job_name": job.name,
        "forced_order": 0,
        "max_time_first": 0,
        "max_time_job": 0,
        "job_batch_mode": 0,
        "lock_at_job_done": 0,
        "use_line_control": 0,
        "repeat_job": 0,
        "loosening": 0,
        "reserved": 0,
        "number_of_psets": 1,
        "psets": [{**entry, "sep_1": ":", "sep_2": ":", "sep_3": ":", "sep_4": ";"}],
    }


def identifiers(state: State) -> Values:
    """Return the values of 0052."""
    first, second, third, fourth = state.identifiers
    return {"vin": first, "identifier_2": second, "identifier_3": third, "identifier_4": fourth}


def identifier_parts(state: State) -> Values:
    """Return the values of 0152: type, included in the work order, status and the part itself."""
    parts = enumerate(state.identifiers, start=1)
    return {
        f"identifier_{n}": f"{n}{1 if text else 0:02d}{1 if text else 5:02d}{text:<25}" for n, text in parts
    }


def alarm(raised: Alarm) -> Values:
    """Return the values of 0071."""
    return {
        "error_code": raised.code,
        "controller_ready": int(raised.controller_ready),
        "tool_ready": int(raised.tool_ready),
        "time": raised.time,
        "tool_health": 1,
        "alarm_text": raised.text,
    }


def alarm_status(raised: Alarm | None, shown: str) -> Values:
    """Return the values of 0076."""
    quiet = Alarm(code="", text="", time=shown)
    return {**alarm(raised or quiet), "alarm_status": int(raised is not None)}


def sync_result(made: StoredResult) -> Values:
    """Return the values of 0101: every spindle tightened alike, numbered from 1."""
    pset = made.pset
    alike: dict[str, Content] = {
        "status": int(made.ok),
        "torque_status": made.torque_status,
        "torque": made.torque,
        "angle_status": int(made.angle_status == 1),
        "angle": made.angle,
    }
    return {
        "number_of_spindles": made.spindles,
        "vin": made.vin,
        "job_id": made.job_id,
        "pset_id": pset.id,
        "batch_size": pset.batch_size,
        "batch_counter": made.batch_counter,
        "batch_status": made.batch_status,
        "torque_min_limit": pset.torque_min,
        "torque_max_limit": pset.torque_max,
        "torque_final_target": pset.torque_target,
        "angle_min": pset.angle_min,
        "angle_max": pset.angle_max,
        "final_angle_target": pset.angle_target,
        "pset_last_change": pset.last_change,
        "timestamp": made.time,
        "sync_tightening_id": made.sync_id,
        "sync_overall_status": int(made.ok),
        "spindle_results": [{"spindle": n, "channel": n, **alike} for n in range(1, made.spindles + 1)],
    }
