"""A store that is behind: restored from a backup or begun anew, it gets from the gateway what it lacks."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from linewitness_selftest.outcome import FaultOutcome
from support.brokers import free_port
from support.figures import figures
from support.lines import prepare
from support.outcomes import kept
from support.plants import (
    Load,
    at_work,
    change,
    held,
    held_tightenings,
    log_lines,
    new_plant,
    running_plant,
    said,
    settle,
)
from support.waiting import until


async def work(plant: Any, load: Any, steps: int = 15) -> None:
    goal = load.steps + steps
    async with load.going_on():
        await until(lambda: load.steps > goal, "work")
    await until(lambda: load.made <= held_tightenings(plant), "it in the store")


async def all_receipted(plant: Any) -> None:
    """Wait for the receipt over all that is in the store; records of custody come after it without end."""
    await plant.receipted(len(held(plant).records))


async def test_store_restored_from_a_backup_gets_what_it_lost(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    async with running_plant(tmp_path) as plant:
        load = Load(plant)
        await work(plant, load)
        assert await plant.store.stop() == 0
        shutil.copy(plant.folder / "store.db", tmp_path / "backup.db")
        await plant.store.start()
        await work(plant, load)
        await all_receipted(plant)
        assert await plant.store.stop() == 0
        shutil.copy(tmp_path / "backup.db", plant.folder / "store.db")
        await plant.store.start()
        await settle(plant, load.made)
        account(kept("store restored from a backup", plant, load.made))


async def test_store_restored_while_the_gateway_is_away_gets_what_it_lost(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    async with running_plant(tmp_path) as plant:
        load = Load(plant)
        await work(plant, load)
        assert await plant.store.stop() == 0
        shutil.copy(plant.folder / "store.db", tmp_path / "backup.db")
        await plant.store.start()
        await work(plant, load)
        await all_receipted(plant)
        assert await plant.gateway.stop() == 0
        assert await plant.store.stop() == 0
        shutil.copy(tmp_path / "backup.db", plant.folder / "store.db")
        await plant.gateway.start()
        await plant.store.start()
        await settle(plant, load.made)
        account(kept("store restored while the gateway was away", plant, load.made))


async def test_store_that_begins_anew_gets_everything(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    async with running_plant(tmp_path) as plant:
        load = Load(plant)
        await work(plant, load)
        await all_receipted(plant)
        assert await plant.store.stop() == 0
        for file in plant.folder.glob("store.db*"):
            file.unlink()
        (plant.folder / "store.key").rename(tmp_path / "key")
        await prepare("store", "init", plant.store_file)
        shutil.copy(tmp_path / "key", plant.folder / "store.key")
        with plant.journal() as journal:
            log_vkey, record_0 = str(journal.log_vkey), journal.record_0_hash
        line = plant.config.line
        await prepare(
            *("store", "enroll", plant.store_file, "--tenant", line.tenant, "--gateway", line.gateway),
            *("--log-vkey", log_vkey, "--record0", record_0),
        )
        await plant.store.start()
        await settle(plant, load.made)
        account(kept("store begun anew", plant, load.made))
        assert held(plant).records[0]["kind"] == "stream.created"


async def pruned(plant: Any) -> Any:
    """Let the gateway prune what the store has, which it does at its start; return the first that is left."""
    assert await plant.gateway.stop() == 0
    await plant.gateway.start()
    await at_work(plant)
    await until(lambda: log_lines(plant, "journal pruned"), "pruning")
    with plant.journal() as journal:
        return journal.pruned


async def use(plant: Any, database: Any) -> None:
    """Let the store go on with another copy of its database, whether or not it runs."""
    assert await plant.store.stop() == 0
    for file in plant.folder.glob("store.db-*"):
        file.unlink()
    shutil.copy(database, plant.folder / "store.db")
    await plant.store.start()


async def test_store_that_lost_what_was_pruned_on_its_receipt_is_said_and_gets_the_rest_once_it_is_back(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    """Nobody can give it those records: it must be restored from a newer backup."""
    async with new_plant(tmp_path) as plant:
        change(
            plant,
            "directory: journal\n",
            "directory: journal\n  keep_days: 0.000001\n  prune_requires: receipt\n",
        )
        port = free_port()
        change(plant, "clock:\n", f"status: {{listen: '127.0.0.1:{port}'}}\nclock:\n")
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        load = Load(plant)
        await work(plant, load, steps=5)
        assert await plant.store.stop() == 0
        shutil.copy(plant.folder / "store.db", tmp_path / "old.db")
        await plant.store.start()
        await work(plant, load, steps=120)
        await until(lambda: receipted(plant) > 256, "a receipt over the first tile")
        first_left = await pruned(plant)
        assert first_left >= 256
        await work(plant, load)
        assert await plant.store.stop() == 0
        shutil.copy(plant.folder / "store.db", tmp_path / "new.db")

        await use(plant, tmp_path / "old.db")
        holds, covered = len(held(plant).records), held(plant).verdict.attested
        told = "the store lost records that are no longer here"
        await until(lambda: log_lines(plant, told), lambda: said(plant)[-2000:])
        (line,) = log_lines(plant, told)
        assert f"the store holds {covered} records and needs those from {covered} on" in line["why"]
        assert "newer backup" in line["hint"]
        before = set(load.made)
        async with load.going_on():
            goal = load.steps + 20
            await until(lambda: load.steps > goal, "work")
        await until(lambda: set(plant.devices.torque.acked) >= load.made, "confirmations all the same")
        assert len(held(plant).records) == holds, "no record that does not follow its last one"
        assert not (load.made - before) & held_tightenings(plant)
        assert len(log_lines(plant, told)) == 1, "said once"

        assert (await figures(port))["linewitness_uplink_conflict"] == 1

        await use(plant, tmp_path / "new.db")
        await until(lambda: load.made <= held_tightenings(plant), "the rest in the store")
        async with asyncio.timeout(10):
            while (await figures(port))["linewitness_uplink_conflict"]:  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.1)
        assert (await figures(port))["linewitness_uplink_up"] == 1
        await settle(plant, load.made)
        account(kept("store restored from before what was pruned", plant, load.made))


def receipted(plant: Any) -> Any:
    with plant.journal() as journal:
        return journal.figures().receipted
