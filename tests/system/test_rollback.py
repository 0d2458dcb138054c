"""A restored image and a copied gateway are found at first contact; the line goes on in a new generation."""

import json
import shutil
from pathlib import Path

import pytest

from linewitness.base.clock import SystemClock
from linewitness.base.errors import ExitCode
from linewitness.uplink.mqtt import MqttConnector
from linewitness.uplink.options import MqttOptions
from linewitness.uplink.topics import Topics
from support.journals import result_event, running
from support.plants import (
    at_work,
    held,
    held_tightenings,
    journal_verdict,
    log_lines,
    new_plant,
    run,
    running_plant,
    said,
    settle,
    stopped,
)
from support.rollbacks import begin_next_generation, conflicts, fields, frozen, roll_back, work
from support.waiting import until


async def test_a_restored_image_is_found_before_it_sends_anything_and_the_line_goes_on(
    tmp_path: Path,
) -> None:
    async with running_plant(tmp_path) as plant:
        before = await roll_back(plant)
        at_store = held(plant)
        old_size = len(at_store.records)
        await plant.gateway.start()
        await at_work(plant)
        await until(lambda: frozen(plant), f"the frozen stream; {said(plant)[-2000:]}")
        captured = await work(plant)  # capture goes on: devices are confirmed into the frozen stream
        assert await stopped(plant) == 0
        assert conflicts(plant) == []
        assert len(held(plant).records) == old_size
        status = await run("status", plant.line_file)
        assert "FROZEN" in status.out
        assert f"the store holds {old_size} records of this stream" in status.out
        assert status.code == ExitCode.BROKEN

        # A restart changes nothing: nothing is sent, capture goes on.
        await plant.gateway.start()
        await at_work(plant)
        captured |= await work(plant, 2)
        assert await stopped(plant) == 0
        assert len(held(plant).records) == old_size
        with plant.journal() as journal:
            own_size = journal.size()

        begun = await begin_next_generation(plant)
        assert f"the store holds {old_size} records" in begun.out
        await plant.gateway.start()
        await at_work(plant)
        later = await work(plant)
        await until(lambda: later <= held_tightenings(plant), "the new generation in the store")
        assert await stopped(plant) == 0

        new = held(plant)
        assert new.verdict.status in ("COMPLETE", "INTACT"), new.verdict
        created, continuity = new.records[:2]
        for record in (created, continuity):
            assert fields(record)["size"] == own_size
            assert fields(record)["store_size"] == old_size
        assert continuity["kind"] == "stream.continuity"
        aside = plant.folder / "journal" / "ended-1"
        assert (await run("verify", aside)).code == 0
        kept = (await run("export", aside)).out
        results = [json.loads(line) for line in kept.splitlines() if '"tightening.result"' in line]
        there = {int(record["resource"]["id"].rpartition("/")[2]) for record in results}
        assert captured <= there
        again = set(new.tightenings())
        assert later <= again
        assert not again & there, "what the frozen stream holds is not reported twice"
        # Results that only the store has may come again: the restored memory did not know them.
        assert again - later <= before
        assert before <= there | held_tightenings(plant)
        assert journal_verdict(plant).status in ("COMPLETE", "INTACT")


async def test_two_live_forks_the_second_at_the_store_is_frozen(tmp_path: Path) -> None:
    async with running_plant(tmp_path) as plant:
        made = await work(plant)
        await settle(plant, made)
        shutil.copytree(plant.folder / "journal", plant.folder / "copy")
        # The copy works while the store is away, so that it cannot know better.
        await plant.store.stop()
        await plant.gateway.start()
        await at_work(plant)
        await work(plant)
        assert await stopped(plant) == 0
        (plant.folder / "journal").rename(plant.folder / "first")
        (plant.folder / "copy").rename(plant.folder / "journal")
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        await settle(plant, made | await work(plant, 30))
        (plant.folder / "journal").rename(plant.folder / "second")
        (plant.folder / "first").rename(plant.folder / "journal")
        await plant.gateway.start()
        await until(lambda: frozen(plant), f"the frozen stream; {said(plant)[-2000:]}")
        assert await stopped(plant) == 0
        assert held(plant).verdict.status in ("COMPLETE", "INTACT")
        # While the store was away, the first one has left a signed checkpoint at the broker.
        (conflict,) = conflicts(plant)
        assert "the checkpoint has another root" in conflict.reason


async def test_a_fork_that_no_receipt_shows_is_frozen_by_the_stores_signed_conflict(tmp_path: Path) -> None:
    """A copy of the journal has sent records, and died before any checkpoint: no receipt covers them."""
    async with running_plant(tmp_path) as plant:
        await settle(plant, await work(plant))
        shutil.copytree(plant.folder / "journal", plant.folder / "copy")
        at_store, clock = len(held(plant).records), SystemClock()
        async with running(plant.folder / "copy", clock) as journal:
            await journal.submit([result_event(900, clock)])
            batch = await journal.read(lambda reader: reader.batch(at_store, 1_000_000))
        line = plant.config.line
        options = MqttOptions(url=f"mqtt://127.0.0.1:{plant.broker.port}")
        async with MqttConnector(options).connect() as copy:
            await copy.publish(Topics(line.tenant, line.gateway).records, b"\n".join(batch))
        await until(lambda: len(held(plant).records) > at_store, "the copy's records in the store")
        await plant.gateway.start()
        await until(lambda: frozen(plant), f"the frozen stream; {said(plant)[-2000:]}")
        assert await stopped(plant) == 0
        (conflict,) = conflicts(plant)
        assert conflict.seq == at_store + len(batch) - 1
        status = (await run("status", plant.line_file)).out
        assert f"the store holds another record {conflict.seq} than this journal" in status
        assert held(plant).records[-1]["resource"]["id"].endswith("/900")


@pytest.mark.timeout(900)
async def test_an_image_restored_while_the_uplink_is_unplugged_is_found_by_a_folder_of_anchors(
    tmp_path: Path,
) -> None:
    worm = tmp_path / "worm"
    worm.mkdir()
    settings = {"clock:\n": f"anchors: {{directories: [{{id: worm, path: {worm}}}]}}\nclock:\n"}

    def anchors() -> list[str]:
        return sorted(path.name for path in worm.rglob("*.checkpoint"))

    async with new_plant(tmp_path, settings) as plant:
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        await plant.receipted(1)
        await roll_back(plant)
        anchored = anchors()
        await plant.store.stop()
        await plant.broker.stop()  # it retains the store's newest receipt
        await plant.gateway.start()
        await at_work(plant)
        await until(lambda: frozen(plant), f"the frozen stream; {said(plant)[-2000:]}")
        await work(plant)  # capture goes on
        assert await stopped(plant) == 0
        assert anchors() == anchored, "nothing of the fork is anchored"
        assert len(log_lines(plant, "another history contradicts this journal")) == 1
        status = await run("status", plant.line_file)
        assert "FROZEN" in status.out
        assert f"directory worm holds a checkpoint of {int(anchored[-1].split('.')[0])} records" in status.out
        assert status.code == ExitCode.BROKEN
        with plant.journal() as journal:
            own_size = journal.size()
            records = [json.loads(data) for _, data in journal.records()]
        continuity = [fields(record) for record in records if record["kind"] == "stream.continuity"][-1]
        assert (continuity["continuity"], continuity["place"]) == ("contradicted", "directory worm")

        await plant.broker.start()
        await plant.store.start()
        begun = await begin_next_generation(plant)
        assert "directory worm holds a checkpoint of" in begun.out
        await plant.gateway.start()
        await at_work(plant)
        later = await work(plant)
        await until(lambda: later <= held_tightenings(plant), "the new generation in the store")
        assert await stopped(plant) == 0
        assert fields(held(plant).records[0])["size"] == own_size
        assert held(plant).verdict.status in ("COMPLETE", "INTACT")
        assert conflicts(plant) == []
