"""A journal is restored from a copy that was made while the uplink was unplugged: nobody outside can tell."""

import shutil
from pathlib import Path
from typing import Any

from linewitness.demo.plant import Plant
from support.plants import (
    at_work,
    held,
    held_tightenings,
    journal_verdict,
    running_plant,
    said,
    settle,
    stopped,
)
from support.rollbacks import fields, frozen, work
from support.software_tpm import needs_a_tpm, software_tpm
from support.waiting import until


async def restored(plant: Plant) -> tuple[set[int], set[int]]:
    """Settle, unplug, copy, work, and restore the copy; return what was made before, and what was lost."""
    before = await work(plant)
    await settle(plant, before)
    assert plant.broker is not None
    await plant.broker.stop()
    shutil.copytree(plant.folder / "journal", plant.folder / "image")
    await plant.gateway.start()
    await at_work(plant)
    lost = await work(plant)
    assert await stopped(plant) == 0
    shutil.rmtree(plant.folder / "journal")
    (plant.folder / "image").rename(plant.folder / "journal")
    await plant.broker.start()
    return before, lost


def continuities(plant: Plant) -> list[Any]:
    return [record for record in held(plant).records if record["kind"] == "stream.continuity"]


async def test_the_tools_memory_gives_back_what_the_copy_lacks_and_that_it_is_one_is_not_excluded(
    tmp_path: Path,
) -> None:
    async with running_plant(tmp_path) as plant:
        _, lost = await restored(plant)
        await plant.gateway.start()
        await at_work(plant)
        await until(lambda: lost <= held_tightenings(plant), lambda: f"lost results; {said(plant)[-2000:]}")
        made = await work(plant)
        await settle(plant, lost | made)
        assert not frozen(plant)
        again = [
            record
            for record in held(plant).kind("tightening.result")
            if int(record["resource"]["id"].rpartition("/")[2]) in lost
        ]
        assert len(again) == len(lost)
        assert {fields(record)["unknown_because"] for record in again} == {
            "the result was fetched afterwards"
        }
        newest = continuities(plant)[-1]
        assert fields(newest)["continuity"] == "verified"
        assert fields(newest)["starts_not_on_record"] is None
        assert "is not excluded" in newest["reason"]
        stretches = journal_verdict(plant).without_capture
        off = [each.why for each in stretches if "was off" in each.why and each.last is not None]
        assert off
        assert all(why.endswith("; a restored copy is not excluded") for why in off)


async def test_a_memory_that_was_erased_leaves_a_gap_in_its_place(tmp_path: Path) -> None:
    async with running_plant(tmp_path) as plant:
        _, lost = await restored(plant)
        plant.devices.torque.purge(below=max(lost) + 1)
        await plant.gateway.start()
        await at_work(plant)
        await settle(plant, await work(plant))
        gaps = [fields(record) for record in held(plant).kind("source.gap")]
        numbered = [gap for gap in gaps if gap["first"].isdigit()]
        assert any(int(gap["first"]) <= min(lost) for gap in numbered), gaps


@needs_a_tpm
async def test_a_tpm_counts_the_start_that_the_copy_lacks(tmp_path: Path) -> None:
    (tmp_path / "tpm").mkdir()
    async with software_tpm(tmp_path / "tpm") as tcti, running_plant(tmp_path) as plant:
        assert await stopped(plant) == 0
        text = plant.line_file.read_text()
        plant.line_file.write_text(f"{text}\ntpm: {{tcti: '{tcti}'}}\n")
        await plant.gateway.start()
        await at_work(plant)
        _, lost = await restored(plant)
        await plant.gateway.start()
        await at_work(plant)
        await settle(plant, lost | await work(plant))
        newest = continuities(plant)[-1]
        assert fields(newest)["starts_not_on_record"] == 1
        assert "the TPM counted 1 start before this one of which nothing is on record" in newest["reason"]
        assert "the TPM has counted starts that are not on record" in said(plant)
