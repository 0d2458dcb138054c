"""Build the data of the telegrams with variable fields: 0067, 0900, 0901, 0902, 1201 and 1202."""

import struct
from collections.abc import Iterable, Sequence
from itertools import starmap
from typing import Final, NamedTuple

from linewitness_simulators.torque.model import ControllerDescription, StoredResult, Tool

UNSIGNED: Final = 1
FLOAT: Final = 3
TEXT: Final = 4
TIME: Final = 5
NO_UNIT: Final = 0
NEWTON_METRE: Final = 1
DEGREE: Final = 50
MILLISECOND: Final = 202

SAMPLES: Final = 120
TORQUE_PER_SAMPLE: Final = 100
ANGLE_PER_SAMPLE: Final = 10
TRACE_ANGLE: Final = 1
TRACE_TORQUE: Final = 2


class VariableEntry(NamedTuple):
    """One variable field."""

    pid: int
    kind: int
    unit: int
    text: str


def fields(entries: Iterable[VariableEntry]) -> bytes:
    """Return the count and the fields themselves."""
    parts = [f"{e.pid:05d}{len(e.text):03d}{e.kind:02d}{e.unit:03d}0000{e.text}" for e in entries]
    return f"{len(parts):03d}{''.join(parts)}".encode()


def _centi(pid: int, value: int) -> VariableEntry:
    return VariableEntry(pid, FLOAT, NEWTON_METRE, f"{value / 100:.2f}")


def _whole(pid: int, value: int, unit: int = NO_UNIT) -> VariableEntry:
    return VariableEntry(pid, UNSIGNED, unit, str(value))


def overall(
    made: StoredResult,
    stored: Sequence[StoredResult],
    station: ControllerDescription,
    *,
    revision: int,
    request: int,
    total: int,
) -> bytes:
    """Return the data of 1201. `request` is the MID that it answers; `stored` is the memory, oldest first."""
    shape = "{:04d}{:d}{:d}{:04d}" if revision >= 3 else "{:04d}{:d}"
    objects = [shape.format(n, int(made.ok), 1, 1) for n in range(1, made.spindles + 1)]
    head = f"{total:03d}001{made.id:010d}{made.time}{int(made.ok)}{1 if made.spindles > 1 else 0:02d}"
    middle = f"{request:04d}" if revision >= 2 else ""
    known = [
        _whole(2, station.station_id),
        VariableEntry(3, TEXT, NO_UNIT, station.station_name),
        VariableEntry(10, TEXT, NO_UNIT, made.vin),
        *(VariableEntry(12 + n, TEXT, NO_UNIT, text) for n, text in enumerate(made.identifiers) if text),
        _whole(30, made.id),
        _whole(100, made.pset.batch_size),
        _whole(101, made.batch_counter),
        _whole(1000, made.pset.id),
        VariableEntry(1001, TEXT, NO_UNIT, made.pset.name),
        VariableEntry(1003, TIME, NO_UNIT, made.pset.last_change),
        _whole(1039, made.result_type),
        VariableEntry(1104, TEXT, NO_UNIT, station.serial),
    ]
    if stored:
        known += [_whole(50, stored[0].id), _whole(51, stored[-1].id)]
    return f"{head}{middle}{len(objects):03d}{''.join(objects)}".encode() + fields(known)


def of_object(made: StoredResult, number: int, *, revision: int, total: int) -> bytes:
    """Return the data of 1202 for the object of this number, from 1."""
    head = f"{total:03d}{number + 1:03d}{made.id:010d}{number:04d}"
    guid = f"00000000-0000-4000-8000-{number:012d}" if revision >= 2 else ""
    pset = made.pset
    known = [
        VariableEntry(1202, TEXT, NO_UNIT, made.tool_serial),
        _whole(1400, int(made.ok)),
        _whole(1402, made.torque_status),
        _whole(1403, made.angle_status),
        _centi(2000, pset.torque_target),
        _centi(2001, made.torque),
        _centi(2002, pset.torque_max),
        _centi(2003, pset.torque_min),
        _whole(2010, pset.angle_target, DEGREE),
        _whole(2011, made.angle, DEGREE),
        _whole(2012, pset.angle_max, DEGREE),
        _whole(2013, pset.angle_min, DEGREE),
    ]
    return f"{head}{guid}".encode() + fields(known)


def curve(made: StoredResult, trace: int) -> list[int]:
    """Return the samples of a trace: a rundown, then a rise to what the result says."""
    final = made.torque if trace == TRACE_TORQUE else made.angle * ANGLE_PER_SAMPLE
    knee = SAMPLES // 2
    low = final // 20 if trace == TRACE_TORQUE else 0
    return [
        low if n < knee else low + (final - low) * (n - knee) // (SAMPLES - 1 - knee) for n in range(SAMPLES)
    ]


def trace(made: StoredResult, kind: int, tool: Tool) -> bytes:
    """Return the data of 0900 revision 1: text, one NUL, then the samples, signed and big-endian."""
    samples = curve(made, kind)
    divide = TORQUE_PER_SAMPLE if kind == TRACE_TORQUE else ANGLE_PER_SAMPLE
    unit = NEWTON_METRE if kind == TRACE_TORQUE else DEGREE
    head = f"{made.id:010d}{made.time}".encode()
    about = fields([VariableEntry(1202, TEXT, NO_UNIT, tool.serial)])
    scale = fields([_whole(2213, divide)])
    step = "1.000"
    resolution = f"001{1:05d}{SAMPLES:05d}{len(step):03d}{FLOAT:02d}{MILLISECOND:03d}{step}"
    places = f"{kind:02d}{1:02d}{unit:03d}".encode()
    count = f"{SAMPLES:05d}".encode()
    return (
        head
        + about
        + places
        + scale
        + resolution.encode()
        + count
        + b"\0"
        + struct.pack(f">{SAMPLES}h", *samples)
    )


def plot(made: StoredResult) -> bytes:
    """Return the data of 0901 revision 1."""
    pset = made.pset
    limits = starmap(_centi, ((2000, pset.torque_target), (2002, pset.torque_max), (2003, pset.torque_min)))
    return f"{made.id:010d}{made.time}".encode() + fields(limits)


def database(stored: Sequence[StoredResult], capacity: int) -> bytes:
    """Return the data of 0902."""
    empty = (0, "0000-00-00:00:00:00")
    oldest = (stored[0].id, stored[0].time) if stored else empty
    newest = (stored[-1].id, stored[-1].time) if stored else empty
    return f"{capacity:010d}{oldest[0]:010d}{oldest[1]}{newest[0]:010d}{newest[1]}".encode() + fields([])


def result_list(stored: Sequence[StoredResult], start: int, count: int) -> bytes:
    """Return the data of 0067: from `start` (0: the newest) towards older results."""
    chosen = [r for r in reversed(stored) if not start or r.id <= start][: min(count, 300)]
    return f"{len(chosen):03d}{''.join(f'{r.id:010d}{r.time}{int(r.ok)}' for r in chosen)}".encode()
