"""Results that were confirmed into a frozen stream reach the store by command, and are found there."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from linewitness.demo.plant import Plant
from support.plants import (
    at_work,
    held,
    held_tightenings,
    policy_of,
    run,
    running_plant,
    said,
    stopped,
)
from support.rollbacks import begin_next_generation, frozen, roll_back, work
from support.waiting import until

FORK = "SN7777"

pytestmark = pytest.mark.timeout(600)


async def good(*arguments: object) -> str:
    """Run a command that succeeds, and return what it printed."""
    ended = await run(*arguments)
    assert ended.code == 0, ended
    return ended.out


async def read_unit(plant: Plant, unit: str) -> None:
    """Read a unit's code at the station, and wait until the gateway has recorded it."""

    def recorded() -> bool:
        with plant.journal() as journal:
            return any(True for _ in journal.of_unit(unit))

    await plant.devices.scanner.scan(unit)
    await until(recorded, f"{unit} at the station; {said(plant)[-1000:]}")
    await asyncio.sleep(1.2)  # a pause: the tool has nothing more of the unit before


async def tightened(plant: Plant, count: int) -> set[int]:
    """Tighten, and wait until the gateway has confirmed each result."""
    torque = plant.devices.torque
    made = {torque.tighten() for _ in range(count)}
    await until(lambda: made <= set(torque.acked), f"confirmations; {said(plant)[-1000:]}")
    return made


def tightenings(lines: str) -> set[int]:
    found: list[dict[str, Any]] = [json.loads(line) for line in lines.splitlines()]
    return {
        int(record["resource"]["id"].rpartition("/")[2])
        for record in found
        if record["kind"] == "tightening.result"
    }


def tool(line: str) -> int:
    """Return the tool's number of the result in a line of the list."""
    return int(line.rpartition("/")[2])


async def test_what_was_confirmed_after_a_restored_snapshot_is_found_at_the_store(tmp_path: Path) -> None:
    async with running_plant(tmp_path) as plant:
        before = await roll_back(plant)
        origin, policy = policy_of(plant).origin, plant.folder / "policy.json"
        policy.write_bytes(policy_of(plant).canonical)
        receipted = len(held(plant).records)
        await plant.gateway.start()
        await at_work(plant)
        await until(lambda: frozen(plant), f"the frozen stream; {said(plant)[-2000:]}")
        captured = await work(plant)
        await read_unit(plant, FORK)
        of_unit = await tightened(plant, 4)
        captured |= of_unit
        assert await stopped(plant) == 0

        await begin_next_generation(plant)
        await plant.gateway.start()
        await at_work(plant)
        later = await work(plant)
        await until(lambda: later <= held_tightenings(plant), "the new generation at the store")
        assert not captured & held_tightenings(plant), "confirmed, and not at the store"
        status = await good("status", plant.line_file)
        assert "ended-1 holds" in status
        assert "linewitness handover" in status

        # Gateway and store run meanwhile; the package and the statement are carried by hand.
        package, note = plant.folder / "ended.zip", plant.folder / "ended.zip.note"
        await good("handover", plant.line_file, "-o", package)
        said_of_package = (await run("verify", package, "--policy", policy)).out
        assert f"{origin}: INTACT, " in said_of_package
        assert "the log key states that the stream ended with" in said_of_package
        assert "COMPLETE" not in said_of_package
        taken = await good("store", "take-over", plant.store_file, package)
        assert f"records of a fork of {origin}, from record " in taken
        assert "held already" in await good("store", "take-over", plant.store_file, package)

        assert captured <= tightenings(await good("store", "export", plant.store_file, "--ended"))
        listed = (await good("store", "unit", plant.store_file, FORK)).splitlines()
        where = {
            tool(line): listed[row + 1] for row, line in enumerate(listed) if "tightening.result" in line
        }
        mark = f"from the ended fork of {origin}, which leaves it at record "
        assert of_unit <= {number for number, held_as in where.items() if mark in held_as}, listed
        whole = await good("store", "export", plant.store_file, "--stream", origin)
        assert len(whole.splitlines()) == receipted, "the receipted stream is as it was"
        assert before <= held_tightenings(plant) | captured

        await good("handover", plant.line_file, "--taken-over", note)
        assert "ended-1" not in await good("status", plant.line_file)
        assert "sound" in await good("store", "check", plant.store_file)
        more = await work(plant)
        await until(lambda: more <= held_tightenings(plant), "receipts go on")
        assert await stopped(plant) == 0
        assert held(plant).verdict.status in ("COMPLETE", "INTACT")
