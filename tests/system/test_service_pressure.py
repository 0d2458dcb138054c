"""Room runs out and comes back under a running gateway: signals yield, devices wait, all goes on."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.plants import Load, account, at_work, change, held, log_lines, new_plant, said, settle
from support.waiting import until

MIB = 1024 * 1024
MIN_FREE = 8 * MIB
MAX_SIZE = 32 * MIB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system; where none can be mounted, the test fails."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def leave(disk: Any, room: int) -> None:
    """Fill the disk further, until so many bytes are left to the journal; may be less than none.

    Room never comes back meanwhile: the gateway looks whenever it likes.
    """
    size = shutil.disk_usage(disk).free - MIN_FREE - room
    with (disk / "ballast").open("ab") as ballast:
        for _ in range(size // MIB):
            ballast.write(b"\0" * MIB)
        ballast.write(b"\0" * (size % MIB))


async def test_signals_yield_first_then_devices_wait_and_all_goes_on_when_space_returns(
    tmp_path: Path, disk: Path
) -> None:
    async with new_plant(tmp_path) as plant:
        shutil.move(plant.folder / "journal", disk / "journal")
        (plant.folder / "journal").symlink_to(disk / "journal")
        settings = f"directory: {disk}/journal\n  max_size: {MAX_SIZE}\n  min_free: {MIN_FREE}"
        change(plant, "directory: journal", settings)
        await plant.broker.stop()  # signals wait, and nothing is receipted
        await plant.gateway.start()
        await at_work(plant)
        torque, load = plant.devices.torque, Load(plant)
        async with load.going_on():
            await until(lambda: load.steps > 20, "signals that wait")

        leave(disk, MIB)
        await until(lambda: log_lines(plant, "journal fills up", pressure="critical"), lambda: said(plant))
        load.made.add(last := torque.tighten())
        await until(lambda: last in torque.acked, "evidence goes on")
        await until(lambda: log_lines(plant, "signals dropped"), "signals to yield")

        leave(disk, -MIB)
        await until(lambda: log_lines(plant, "journal full"), lambda: said(plant))
        load.made.add(waiting := torque.tighten())
        await asyncio.sleep(2.5)  # two looks at the room: nothing may be confirmed meanwhile
        assert waiting not in torque.acked
        assert plant.gateway.running

        (disk / "ballast").unlink()
        await until(lambda: waiting in torque.acked, "the confirmation, without anybody's help")
        assert len(log_lines(plant, "journal full")) == 1
        assert log_lines(plant, "journal has room again")

        await plant.broker.start()
        await plant.store.start()
        await settle(plant, load.made)
        account(plant, load.made).check()
        store = held(plant)
        levels = [
            change["after"]
            for record in store.kind("journal.pressure")
            for change in record["changes"]
            if change["field"] == "level"
        ]
        assert [level for level in levels if level != "high"] == ["critical", "full", "normal"], levels
        gaps = [record for record in store.kind("source.gap") if record["resource"]["type"] == "telemetry"]
        assert gaps, "the loss of signals is on record"
