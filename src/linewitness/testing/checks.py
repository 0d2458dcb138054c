"""What is asked of one observation."""

from collections.abc import Mapping
from typing import get_args

from linewitness.base.clock import Stamp
from linewitness.devices.base import Observation, OccurredFrom, Readings, Signals, When
from linewitness.devices.together import MOST_READINGS


class ContractBroken(AssertionError):
    """A driver does not do what `devices/base.py` promises."""


def must(holds: bool, otherwise: str) -> None:
    """Raise ContractBroken with a sentence unless a condition holds."""
    if not holds:
        raise ContractBroken(otherwise)


def check_observation(one: Observation, device: str, session_id: str, begun: Stamp, ended: Stamp) -> None:
    """Check what every observation carries; it was received between two stamps of our clock."""
    must(one.device == device, f"it names the device {one.device!r}, not {device!r}")
    must(one.session_id == session_id, f"it names the session {one.session_id!r}, not {session_id!r}")
    received = one.received.boottime_ns
    must(
        begun.boottime_ns <= received <= ended.boottime_ns,
        "`received` is not the moment of the reception: stamp it with the clock of the context",
    )
    _check_when(one.when)
    must(one.raw is None or isinstance(one.raw, bytes), "`raw` is not bytes")
    for key, text in one.remember.items():
        must(isinstance(key, str) and isinstance(text, str | None), f"`remember` of {key!r} is not text")
    if isinstance(one, Signals):
        lengths = {len(column) for column in (one.points, one.values, one.times_ns) if column is not None}
        must(len(lengths) == 1, "the columns differ in length")
    if isinstance(one, Readings):
        _check_readings(one)


def _check_readings(one: Readings) -> None:
    columns = (one.points, one.values, one.whens, one.remembers)
    must(len({len(column) for column in columns if column is not None}) == 1, "the columns differ in length")
    must(len(one.points) <= MOST_READINGS, f"more than {MOST_READINGS} values stand in one Readings")
    must(not any(isinstance(value, Mapping) for value in one.values), "a mapping needs a Reading of its own")
    must(not one.confirmable, "a Readings cannot be confirmed")
    for when in one.whens or ():
        _check_when(when)


def _check_when(when: When) -> None:
    must(isinstance(when.occurred_ns, int), "`occurred_ns` is not a whole number of nanoseconds")
    must(when.occurred_from in get_args(OccurredFrom), f"{when.occurred_from!r} is no source of a time")
    must(when.unc_ms is None or when.unc_ms >= 0, "`unc_ms` is below zero")
