"""Say a result in the words of a PowerMACS station: a cycle (0106), and its bolts (0107)."""

from linewitness_simulators.torque.fields import Content, Values
from linewitness_simulators.torque.model import ControllerDescription, StoredResult

OK, NOT_OK = 0, 2


def cycle(station: ControllerDescription, made: StoredResult) -> Values:
    """Return the values of 0106: every spindle is a bolt, and its number is that of the result."""
    return {
        "messages": 1 + made.spindles,
        "message": 1,
        "data_number": made.id,
        "station_number": made.station_id,
        "station_name": station.station_name,
        "timestamp": made.time,
        "mode": made.pset.id,
        "mode_name": made.pset.name,
        "simple_status": int(made.ok),
        "cycle_status": OK if made.ok else NOT_OK,
        "vin": made.vin,
        "number_of_bolts": made.spindles,
        "bolts": [_bolt(made, number) for number in range(1, made.spindles + 1)],
        "number_of_specials": 0,
    }


def bolt(made: StoredResult, number: int) -> Values:
    """Return the values of 0107 of one bolt."""
    result = {"name": "Torque", "kind": "F", "value": _float(made.torque)}
    return {
        "messages": 1 + made.spindles,
        "message": 1 + number,
        "data_number": made.id,
        "station_number": made.station_id,
        "timestamp": made.time,
        "bolt_number": number,
        "bolt_name": f"Bolt {number}",
        "program_name": made.pset.name,
        "bolt_status": OK if made.ok else NOT_OK,
        "errors": "",
        "customer_error": "",
        "number_of_results": 1,
        "results": [result],
        "number_of_steps": 0,
        "all_steps_sent": 1,
        "steps": [],
        "number_of_specials": 0,
    }


def _bolt(made: StoredResult, number: int) -> dict[str, Content]:
    pset = made.pset
    values: dict[str, Content] = {
        "bolt": number,
        "status": int(made.ok),
        "torque_status": made.torque_status,
        "angle_status": made.angle_status,
        "torque": _float(made.torque),
        "angle": f"{made.angle}.0",
        "torque_high": _float(pset.torque_max),
        "torque_low": _float(pset.torque_min),
        "angle_high": f"{pset.angle_max}.0",
        "angle_low": f"{pset.angle_min}.0",
    }
    return {**{f"id_{number}": f"{number}" for number in range(13, 23)}, **values}


def _float(hundredths: int) -> str:
    """Return a number with as many of four decimals as fit into seven characters."""
    return f"{hundredths / 100:.4f}"[:7]
