"""A store that is behind: restored from a backup or begun anew, it gets from the gateway what it lacks."""

import shutil

import pytest

from plants import Load, account, held, held_tightenings, running_plant, settle, until

pytestmark = pytest.mark.timeout(100)


async def work(plant, load, steps=15):
    goal = load.steps + steps
    async with load.going_on():
        await until(lambda: load.steps > goal, "work")
    await until(lambda: load.made <= held_tightenings(plant), "it in the store")


async def all_receipted(plant):
    """Wait for the receipt over all that is in the store; records of custody come after it without end."""
    await plant.receipted(len(held(plant).records))


async def test_store_restored_from_a_backup_gets_what_it_lost(tmp_path):
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
        account(plant, load.made).check()


async def test_store_restored_while_the_gateway_is_away_gets_what_it_lost(tmp_path):
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
        account(plant, load.made).check()


async def test_store_that_begins_anew_gets_everything(tmp_path):
    async with running_plant(tmp_path) as plant:
        load = Load(plant)
        await work(plant, load)
        await all_receipted(plant)
        assert await plant.store.stop() == 0
        for file in plant.folder.glob("store.db*"):
            file.unlink()
        (plant.folder / "store.key").rename(tmp_path / "key")
        await plant.command("store-again", "store", "init", str(plant.store_file))
        shutil.copy(tmp_path / "key", plant.folder / "store.key")
        with plant.journal() as journal:
            log_vkey, record_0 = str(journal.log_vkey), journal.record_0_hash
        line = plant.config.line
        await plant.command(
            "enroll-again",
            *("store", "enroll", str(plant.store_file), "--tenant", line.tenant, "--gateway", line.gateway),
            *("--log-vkey", log_vkey, "--record0", record_0),
        )
        await plant.store.start()
        await settle(plant, load.made)
        account(plant, load.made).check()
        assert held(plant).records[0]["kind"] == "stream.created"
