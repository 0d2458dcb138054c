"""Which spindle's result (0101) and which tightening (0061) are one: both are recorded, and one counts."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from linewitness.base.mappings import EMPTY
from linewitness.devices.open_protocol.content.times import parse_time

PREFIX: Final = "pair/"
#: So many results wait for their other half; the oldest give way.
RETAINED: Final = 300
#: Both halves carry the time of the same tightening: with the same sync id they may differ by so much …
SAME_SYNC_S: Final = 60
#: … and by so much where only the values connect them.
SAME_VALUES_S: Final = 2


class Half(NamedTuple):
    """One half of a pair: a tightening or a spindle's result. `sync` None: the telegram does not say it."""

    spindle: bool
    name: str
    sync: int | None
    time: str
    torque: int | None
    angle: int | None
    ok: bool | None


@dataclass(frozen=True, slots=True)
class Pairing:
    """The other half of a result where it was captured before, None where it was not."""

    same_as: str | None
    remember: Mapping[str, str | None]


Fits = Callable[[Half, Half], bool]


class SyncPairs:
    """Results that were captured, and whose other half may follow."""

    def __init__(self, remembered: Mapping[str, str]) -> None:
        """Start from what was committed."""
        found = sorted(
            (int(key.removeprefix(PREFIX)), text)
            for key, text in remembered.items()
            if key.startswith(PREFIX)
        )
        self._waiting = {number: Half(*json.loads(text)) for number, text in found}
        self._last = found[-1][0] if found else 0
        #: Whether a spindle's result may follow; where none does, no tightening waits for its other half.
        self.expects_spindles = True

    def tightening(self, half: Half) -> Pairing:
        """Take in a tightening (0061, 0065)."""
        return self._take_all([half])[0]

    def spindles(self, halves: Iterable[Half]) -> list[Pairing]:
        """Take in the results of several spindles that tightened together."""
        return self._take_all(list(halves))

    def _take_all(self, halves: list[Half]) -> list[Pairing]:
        """Give each half its other one, those first of which the values say so."""
        others: dict[int, int] = {}
        for fits in (_by_values, _by_verdict, _by_sync):
            for position, half in enumerate(halves):
                if position not in others:
                    others.update(self._other(position, half, fits, frozenset(others.values())))
        return [self._take(half, others.get(position)) for position, half in enumerate(halves)]

    def _other(self, position: int, half: Half, fits: Fits, taken: frozenset[int]) -> dict[int, int]:
        fitting = (
            number
            for number, other in self._waiting.items()
            if other.spindle is not half.spindle and number not in taken and fits(half, other)
        )
        found = next(fitting, None)
        return {} if found is None else {position: found}

    def _take(self, half: Half, other: int | None) -> Pairing:
        if other is not None:
            return Pairing(self._waiting.pop(other).name, {f"{PREFIX}{other}": None})
        if not (half.spindle or self.expects_spindles):
            return Pairing(None, EMPTY)
        self._last += 1
        self._waiting[self._last] = half
        remember: dict[str, str | None] = {f"{PREFIX}{self._last}": json.dumps(half)}
        while len(self._waiting) > RETAINED:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            remember[f"{PREFIX}{oldest}"] = None
        return Pairing(None, remember)


def _by_values(one: Half, other: Half) -> bool:
    """Whether torque and angle are the same, in the same second or so, and the sync ids do not differ."""
    values = (one.torque, one.angle) == (other.torque, other.angle) and one.torque is not None
    within_s = SAME_SYNC_S if one.sync and one.sync == other.sync else SAME_VALUES_S
    # A spindle's sync id is its own, also where it is 0; a tightening says 0 where it has none.
    differ = bool(other.sync if one.spindle else one.sync) and one.sync != other.sync
    return values and not differ and _within(one, other, within_s)


def _by_verdict(one: Half, other: Half) -> bool:
    return _by_sync(one, other) and one.ok == other.ok


def _by_sync(one: Half, other: Half) -> bool:
    """Whether both say the same sync id; 0 is also what a tightening says that was none of several."""
    return bool(one.sync) and one.sync == other.sync and _within(one, other, SAME_SYNC_S)


def _within(one: Half, other: Half, seconds: int) -> bool:
    mine, theirs = parse_time(one.time), parse_time(other.time)
    if mine is None or theirs is None:
        return one.time == other.time
    return abs((mine - theirs).total_seconds()) <= seconds
