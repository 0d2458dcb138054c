"""A station that needs results of a tool with several spindles: a tightening counts once, however it is told.

The gate is a coil of a PLC: it holds the unit while results are missing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from linewitness.stations.checklist.options import ResultRequirement
from linewitness.stations.options import GateOptions
from linewitness_simulators.oven.device import Oven
from linewitness_simulators.oven.server import OvenServerOptions, serve
from support.bare_controller import Answers, BareController, listening, spindles, tightening
from support.oven_rig import options_for
from support.torque_line import Line, fields_of, line, station, wrench
from support.waiting import until

GATE = {"id": "gate", "record": "change", "table": "coil", "address": 1}
FIRST, SECOND, THIRD = (f"2026-03-14:09:2{minute}:00" for minute in (1, 2, 3))
#: MID and data field of what is pushed.
Push = tuple[int, bytes]


def both(mid: int, _: bytes) -> Answers | None:
    """A controller that offers results (0060) and multi-spindle results (0100)."""
    return [(5, b"0100")] if mid == 100 else None


@dataclass
class Bay:
    """A station with a gate and a tool of two spindles, and its unit SN1."""

    running: Line
    controller: BareController
    oven: Oven

    async def push(self, *pushes: Push) -> None:
        """Push one after the other; each is durable when it is confirmed."""
        for mid, data in pushes:
            count = self.controller.count(mid + 1) + 1
            self.controller.push(mid, data)
            await until(partial(lambda ack, count: self.controller.count(ack) == count, mid + 1, count))

    @property
    def decisions(self) -> list[str]:
        """What was decided about the gate so far, in order; not that it was written, or written anew."""
        moves = [*self.running.records("gate.closed"), *self.running.records("gate.opened")]
        decided = [each for each in moves if each["changes"][0].get("before")]
        return [each["kind"] for each in sorted(decided, key=lambda each: each["sequence_no"])]

    async def is_held(self, lacking: int) -> None:
        """Make sure that the gate holds the unit, and was never opened for it."""
        assert self.decisions == ["gate.closed"], f"{lacking} results are missing"
        await until(lambda: self.oven.inputs.fan, "the gate is closed")

    async def is_released(self) -> None:
        assert self.decisions == ["gate.closed", "gate.opened"]
        await until(lambda: not self.oven.inputs.fan, "the gate is open")

    async def leave(self) -> dict[str, Any]:
        """Let the next unit come, and return what is on record of the one that leaves."""
        await self.push((61, tightening(99, unit="SN2", time="2026-03-14:10:00:00")))
        (left,) = self.running.records("unit.left")
        return fields_of(left)


@asynccontextmanager
async def bay(tmp_path: Path, count: int) -> AsyncIterator[Bay]:
    """Run the station, whose unit needs so many results."""
    controller = BareController(both)
    async with listening(controller), serve(OvenServerOptions()) as oven:
        oven.oven.inputs.fan = False
        place = station(
            *("wrench-10", "oven-1"),
            requires=(ResultRequirement(device="wrench-10", count=count),),
            gate=GateOptions(device="oven-1", point="gate", hold=("missing",), safe="opened"),
        )
        # Nothing is pushed again here: a busy machine must not break the connection.
        patient: dict[str, Any] = {"request_timeout_s": 30, "dead_after_s": 60}
        tool = wrench(controller, multi_spindle=True, parameter_sets=False, alarms=False, **patient)
        async with line(tmp_path, [tool, options_for(oven, GATE)], [place]) as running:
            await until(lambda: controller.count(100))
            await until(
                lambda: any("confirmed" in fields_of(each) for each in running.records("gate.opened"))
            )
            yield Bay(running, controller, oven.oven)


def told(
    sync: int, first: int, time: str, *torques: int, nok: tuple[int, ...] = ()
) -> tuple[list[Push], Push]:
    """Return one tightening of several spindles: as a 0061 of each, and as one 0101."""
    alone = [
        (61, tightening(number, unit="SN1", torque=torque, time=time, ok=spindle not in nok))
        for spindle, (number, torque) in enumerate(enumerate(torques, start=first), start=1)
    ]
    return alone, (101, spindles(sync, *torques, unit="SN1", time=time, nok=nok))


@pytest.mark.parametrize("together_first", [False, True])
async def test_a_unit_is_released_when_it_has_what_it_needs_and_not_before(
    tmp_path: Path, together_first: bool
) -> None:
    async with bay(tmp_path, count=4) as here:
        alone, together = told(1, 1, FIRST, 2510, 2520)
        await here.push(*([together, *alone] if together_first else [*alone, together]))
        await here.is_held(lacking=2)
        alone, together = told(2, 3, SECOND, 2530, 2540)
        await here.push(*([together] if together_first else alone[:1]))
        if not together_first:
            await here.is_held(lacking=1)
            await here.push(*alone[1:])
        await here.is_released()
        await here.push(*(alone if together_first else [together]))
        await here.is_released()
        left = await here.leave()
        assert (left["wrench-10.tightening.done"], left["results_ok"], left["results_not_ok"]) == (4, 4, 0)
        counted = [each for each in here.running.records() if "same_as" not in fields_of(each)]
        assert len(here.running.records()) == 9, "both tellings of each, and the next unit's"
        assert len(counted) == 5


@pytest.mark.parametrize("together_first", [False, True])
async def test_a_spindle_that_is_not_ok_is_missing_until_it_is_tightened_again(
    tmp_path: Path, together_first: bool
) -> None:
    async with bay(tmp_path, count=2) as here:
        alone, together = told(1, 1, FIRST, 2510, 2910, nok=(2,))
        await here.push(*([together, *alone] if together_first else [*alone, together]))
        await here.is_held(lacking=1)
        alone, together = told(2, 3, SECOND, 2920, nok=(1,))
        await here.push(*([together, *alone] if together_first else [*alone, together]))
        await here.is_held(lacking=1)
        alone, together = told(3, 4, THIRD, 2530)
        await here.push(*([together] if together_first else alone))
        await here.is_released()
        await here.push(*(alone if together_first else [together]))
        left = await here.leave()
        assert (left["wrench-10.tightening.done"], left["wrench-10.tightening.not_ok"]) == (2, 2)
        assert (left["results_ok"], left["results_not_ok"]) == (2, 2)
