"""Any history of results, broken links, crashes and restarts: each result once, or named by a gap."""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from linewitness_simulators.torque import TorqueOptions, serve
from linewitness_simulators.torque.server import TorqueSimulator
from support.journals import verdict_of
from support.torque_line import fields_of, id_of, line, ready, records_of, unit_of, wrench
from support.waiting import until

STEPS = 12


class Crash(Exception):
    """The gateway's process ends here, without a word."""


class Histories:
    """A controller to which things happen; each result has a unit of its own, to tell it by."""

    def __init__(self, simulator: TorqueSimulator, seed: int) -> None:
        self.simulator, self.chance = simulator, random.Random(seed)
        self.made: dict[Any, Any] = {}
        self.told: list[Any] = []
        self.life = 0

    def tighten(self, most: int = 5) -> None:
        for _ in range(self.chance.randint(1, most)):
            unit = f"SN{len(self.made):05d}"
            torque, angle = self.chance.randint(2300, 2700), self.chance.randint(20, 90)
            self.made[unit] = self.life, self.simulator.tighten(unit, torque=torque, angle=angle)

    async def step(self) -> None:
        if self.chance.random() < 0.6:
            await until(self.simulator.subscribed)
        act = self.chance.choice([name for name in dir(self) if name.startswith("do_")])
        self.told.append(act)
        await getattr(self, act)()
        await asyncio.sleep(self.chance.choice((0, 0.02, 0.3)))

    async def do_nothing_special(self) -> None:
        self.tighten()

    async def do_drop(self) -> None:
        self.tighten()
        self.simulator.drop()
        self.tighten(2)

    async def do_pull_the_cable(self) -> None:
        await self.simulator.unplug()
        self.tighten(25)
        await self.simulator.plug_in()

    async def do_restart_the_controller(self) -> None:
        self.tighten()
        await self.simulator.restart(down_s=0.05)

    async def do_lose_a_confirmation(self) -> None:
        self.simulator.faults.lose_acks = 1
        self.tighten()

    async def do_drop_after_a_push(self) -> None:
        self.simulator.faults.drop_after_push = 1
        self.tighten()

    async def do_damage_a_result(self) -> None:
        self.simulator.faults.corrupt_results = 1
        self.tighten()

    async def do_forget_the_oldest(self) -> None:
        self.tighten()
        stored = self.simulator.stored()
        self.simulator.purge(below=self.chance.choice(stored))

    async def do_begin_the_ids_anew(self) -> None:
        self.simulator.reset()
        self.life += 1
        self.simulator.drop()
        self.tighten()

    async def do_crash_the_gateway(self) -> None:
        self.tighten()
        raise Crash


async def lived_through(tmp_path: Path, seed: int) -> None:
    """Let a random history happen and judge what is on record."""
    options = TorqueOptions(state=tmp_path / "memory", ack_timeout_s=0.2)
    async with serve(options) as simulator:
        history = Histories(simulator, seed)
        settings = {"reconcile_s": 1, "busy_retry_s": 0.3}
        async with line(tmp_path, [wrench(simulator, **cast(Any, settings))]) as running:
            await ready(simulator)
            history.tighten()
            await until(lambda: len(running.ids()) == len(history.made), "first contact")
        while len(history.told) < STEPS:
            try:
                async with line(tmp_path, [wrench(simulator, **cast(Any, settings))]):
                    while len(history.told) < STEPS:
                        await history.step()
            except* Crash:
                pass
        async with line(tmp_path, [wrench(simulator, **cast(Any, settings))]):
            await until(
                lambda: not awaited(tmp_path, history), lambda: (awaited(tmp_path, history), history.told)
            )
    assert verdict_of(tmp_path / "journal").status == "INTACT"
    found = captured(tmp_path)
    assert [unit for unit, count in found.items() if count > 1] == [], history.told
    assert found.keys() <= history.made.keys()
    lost = len(history.made) - len(found)
    print(f"\nseed {seed}: {len(history.made)} made, {len(found)} on record once, {lost} named by gaps")


def awaited(tmp_path: Path, history: Histories) -> set[str]:
    """Return what must still come: what the controller has, and what is explained by nothing."""
    stored = {result.vin for result in history.simulator.controller.memory.stored.values()}
    return unexplained(tmp_path, history.made).keys() | (stored - captured(tmp_path).keys())


def captured(tmp_path: Path) -> Counter[str]:
    results = records_of(tmp_path / "journal")
    return Counter(unit_of(each) for each in results if fields_of(each).get("decoded", True))


def unexplained(tmp_path: Path, made: dict[str, tuple[int, int]]) -> dict[Any, Any]:
    """Return what was made and is neither on record nor named by a gap of the same life of the ids."""
    epochs: dict[Any, Any] = {}
    for each in records_of(tmp_path / "journal"):
        if fields_of(each).get("decoded", True):
            epochs.setdefault(made[unit_of(each)][0], id_of(each)[1])
    found = captured(tmp_path)
    gaps = [(each["reason"], fields_of(each)) for each in records_of(tmp_path / "journal", "source.gap")]
    return {
        unit: (life, number)
        for unit, (life, number) in made.items()
        if unit not in found and not any(names(reason, gap, epochs, life, number) for reason, gap in gaps)
    }


def names(reason: str, gap: dict[str, Any], epochs: dict[int, int], life: int, number: int) -> bool:
    """Say whether a gap names a result: by its id, or because nobody saw what came at the end of a life."""
    if "not stored any more" in reason:
        # Ids that began anew unseen cannot be told from a memory that was overwritten: that much is said.
        return True
    epoch = int(reason.partition(":")[0].removeprefix("epoch "))
    if life in epochs:
        return epoch == epochs[life] and covers(gap, number)
    before = [seen for known, seen in epochs.items() if known < life]
    return bool(before) and epoch == max(before) and gap["last"] is None


def covers(gap: Any, number: int) -> Any:
    return int(gap["first"]) <= number and (gap["last"] is None or number <= int(gap["last"]))


@pytest.mark.parametrize("seed", range(3))
async def test_a_short_history_ends_with_each_result_once_or_in_a_gap(tmp_path: Path, seed: int) -> None:
    await lived_through(tmp_path, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
async def test_many_histories_end_with_each_result_once_or_in_a_gap(tmp_path: Path, seed: int) -> None:
    await lived_through(tmp_path, seed)
