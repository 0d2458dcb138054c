"""Disk images of a gateway that are restored, and how its line goes on afterwards."""

import shutil
from typing import Any

from sqlalchemy import make_url

from linewitness.base.errors import ExitCode
from linewitness.store.database.database import Database
from linewitness.store.reports import read_conflicts
from support.lines import prepare
from support.plants import Load, at_work, change, run, said, settle
from support.waiting import until


async def work(plant: Any, steps: int = 8) -> Any:
    load = Load(plant)
    for _ in range(steps):
        await load.step()
    await until(lambda: set(plant.devices.torque.acked) >= load.made, f"confirmations; {said(plant)[-1000:]}")
    return load.made


def frozen(plant: Any) -> Any:
    with plant.journal() as journal:
        return journal.frozen


def conflicts(plant: Any) -> Any:
    database = Database(make_url(f"sqlite:///{plant.folder / 'store.db'}"))
    try:
        return read_conflicts(database)
    finally:
        database.close()


async def roll_back(plant: Any) -> Any:
    """Work, take an image of the journal, work on, and restore the image."""
    made = await work(plant)
    await settle(plant, made)
    shutil.copytree(plant.folder / "journal", plant.folder / "image")
    await plant.gateway.start()
    await at_work(plant)
    made |= await work(plant)
    await settle(plant, made)
    shutil.rmtree(plant.folder / "journal")
    (plant.folder / "image").rename(plant.folder / "journal")
    return made


async def begin_next_generation(plant: Any) -> Any:
    refused = await run("init", plant.line_file, "--continue")
    assert refused.code == ExitCode.CONFIGURATION
    assert "/2`" in refused.err
    with plant.journal() as journal:
        origin = journal.identity.stream
    change(plant, origin, origin.removesuffix("/1") + "/2")
    begun = await run("init", plant.line_file, "--continue")
    assert begun.code == 0, begun.err
    with plant.journal() as journal:
        log_vkey, record_0 = str(journal.log_vkey), journal.record_0_hash
    line = plant.config.line
    await prepare(
        *("store", "enroll", plant.store_file, "--tenant", line.tenant, "--gateway", line.gateway),
        *("--log-vkey", log_vkey, "--record0", record_0),
    )
    return begun


def fields(record: Any) -> Any:
    return {item["field"]: item["after"] for item in record["changes"]}
