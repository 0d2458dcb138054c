"""A disk without room is an alarm in a gateway and a store that live: nothing is lost, and all goes on."""

import asyncio
import json
import resource
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from linewitness.base.errors import ExitCode
from linewitness.demo.plant import Plant, Process
from support.figures import asked, page_of
from support.lines import prepare
from support.plants import Load, account, at_work, change, held, log_lines, new_plant, run, said, settle
from support.small_disk import SmallDisk, small_disk
from support.waiting import until

FULL = "journal full"
#: Attempts to go on, while nothing may happen; one a second.
RETRIES_S = 4.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", "64m") as mounted:
        yield mounted


def lives_on(plant: Plant, disk: SmallDisk, more: str = "") -> None:
    """Put the line's journal on the small disk, without a reserve, and the status page on a free port."""
    shutil.move(plant.folder / "journal", disk.folder / "journal")
    (plant.folder / "journal").symlink_to(disk.folder / "journal")
    change(
        plant,
        "directory: journal",
        f"directory: {disk.folder}/journal\n  min_free: 0\n  max_size: 64MiB{more}",
    )
    plant.line_file.write_text(plant.line_file.read_text() + "\nstatus: {listen: '127.0.0.1:0'}\n")


async def check_alarm(page: str) -> None:
    """Check what the page, the health check and the metrics say of a full disk."""
    code, text = await asked(f"{page}healthz")
    assert code == 503
    (problem,) = [one for one in json.loads(text)["problems"] if one["code"] == "journal-full"]
    assert problem["alarm"]
    assert "is full" in problem["what"]
    _, metrics = await asked(f"{page}metrics")
    assert "linewitness_journal_level 3.0" in metrics
    assert "devices are no longer confirmed" in (await asked(page))[1]


async def test_a_full_disk_is_an_alarm_and_the_line_goes_on_by_itself(
    tmp_path: Path, disk: SmallDisk
) -> None:
    """Keys are rotated every few seconds, also while there is no room for a new one."""
    async with new_plant(tmp_path) as plant:
        lives_on(plant, disk, "\n  rotate_key_h: 0.0006")
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        load = Load(plant)
        async with load.going_on():
            await until(lambda: load.steps > 20, "work")
            disk.fill()
            await until(lambda: log_lines(plant, FULL), "the alarm")
            confirmed = set(plant.devices.torque.acked)
            await asyncio.sleep(RETRIES_S)
            await check_alarm(page_of(said(plant)))
            assert len(set(plant.devices.torque.acked) - confirmed) == 0, "nobody is confirmed"
            assert len(load.made - confirmed) > 5
            status = await run("status", plant.line_file)
            assert (status.code, "FULL" in status.out) == (ExitCode.JOURNAL, True), status
            disk.free()
            await until(lambda: len(plant.devices.torque.acked) > len(confirmed) + 20, "confirmations")
        await until(lambda: log_lines(plant, "journal has room again"), "the end of the alarm")
        await settle(plant, load.made)
        account(plant, load.made).check()
        assert len(log_lines(plant, FULL)) == 1, "one alarm"
        assert len(log_lines(plant, "gateway started")) == 1, "the same process"
        levels = [
            item["after"]
            for record in held(plant).kind("journal.pressure")
            for item in record["changes"]
            if item["field"] == "level"
        ]
        assert "full" in levels
        assert levels[-1] != "full"
        assert len(list((disk.folder / "journal" / "keys").iterdir())) == 2, "no keys are left behind"


async def test_a_disk_that_fills_up_by_itself_is_waited_for(tmp_path: Path, disk: SmallDisk) -> None:
    async with new_plant(tmp_path) as plant:
        lives_on(plant, disk)
        await plant.gateway.start()
        await at_work(plant)
        disk.fill(leave=3 * 2**20)
        load = Load(plant, period_s=0.01)
        async with load.going_on():
            await until(lambda: log_lines(plant, FULL), "the alarm")
        await asyncio.sleep(RETRIES_S)
        assert plant.gateway.running
        disk.resize("128m")
        await plant.store.start()
        await settle(plant, load.made)
        account(plant, load.made).check()
        assert "Traceback" not in said(plant)


async def test_a_limit_of_a_files_size_is_waited_for(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands for quotas: the write fails with EFBIG, and with a signal that we must survive."""
    async with new_plant(tmp_path) as plant:
        plant.gateway.wrapper = ("prlimit", f"--fsize={2**20}:")
        await plant.gateway.start()
        await at_work(plant)
        load = Load(plant, period_s=0.01)
        async with load.going_on():
            await until(lambda: log_lines(plant, FULL), "the alarm")
        await asyncio.sleep(RETRIES_S)
        assert plant.gateway.running
        resource.prlimit(plant.gateway.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        await plant.store.start()
        await settle(plant, load.made)
        account(plant, load.made).check()
        assert len(log_lines(plant, "gateway started")) == 1


async def test_a_gateway_that_is_stopped_on_a_full_disk_ends_with_4(tmp_path: Path, disk: SmallDisk) -> None:
    async with new_plant(tmp_path) as plant:
        lives_on(plant, disk)
        await plant.gateway.start()
        await at_work(plant)
        load = Load(plant)
        async with load.going_on():
            await until(lambda: load.steps > 10, "work")
            disk.fill()
            await until(lambda: log_lines(plant, FULL), "the alarm")
        async with asyncio.timeout(30):
            assert await plant.gateway.stop() == 4
        assert "is full" in said(plant)
        assert "Traceback" not in said(plant)
        disk.free()
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        await settle(plant, load.made)
        account(plant, load.made).check()


LINE = """\
version: 1
line: {{tenant: demo, plant: p, line: l, gateway: g, origin: demo.example/p/l/1}}
journal: {{directory: {disk}/journal, min_free: 0, max_size: 64MiB}}
devices: [{{id: w, driver: open_protocol, host: 127.0.0.1, port: 9, timezone: UTC}}]
status: {{listen: '127.0.0.1:0'}}
"""


@asynccontextmanager
async def systemd(folder: Path) -> AsyncIterator[tuple[Path, list[str]]]:
    """A notification socket like systemd's, and what was said to it."""
    heard: list[str] = []
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setblocking(False)
    receiver.bind(str(folder / "notify"))
    loop = asyncio.get_running_loop()
    loop.add_reader(receiver, lambda: heard.append(receiver.recv(4096).decode()))
    try:
        yield folder / "notify", heard
    finally:
        loop.remove_reader(receiver)
        receiver.close()


@pytest.mark.parametrize("killed", [False, True])
async def test_a_gateway_that_starts_on_a_full_disk_waits_for_room(
    tmp_path: Path, disk: SmallDisk, killed: bool
) -> None:
    """After a kill there is a log, and the journal can be opened: then the first record finds no room."""
    line, log = tmp_path / "line.yaml", tmp_path / "gateway.log"
    line.write_text(LINE.format(disk=disk.folder))
    await prepare("init", line)
    gateway = Process("gateway", tmp_path, "run", str(line))
    if killed:
        await gateway.start()
        await until(lambda: log.exists() and "device lost" in log.read_text(), "the first run")
        await gateway.kill()
        log.unlink()
    disk.fill()
    async with systemd(tmp_path) as (path, heard):
        gateway.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000000"}
        await gateway.start()
        try:
            await until(lambda: "READY=1" in heard, log.read_text)
            await until(lambda: any("JOURNAL FULL" in text for text in heard), "the status for systemd")
            await until(lambda: '"status page"' in log.read_text(), "the page")
            await check_alarm(page_of(log.read_text()))
            beats = len(heard)
            await until(lambda: len(heard) > beats + 3, "the watchdog is fed")
            assert "gateway started" not in log.read_text()
            assert gateway.running
            disk.free()
            await until(lambda: "gateway started" in log.read_text(), log.read_text)
            await until(lambda: any("0 of 1 devices up" in text for text in heard), "the status afterwards")
            await until(lambda: "journal has room again" in log.read_text(), "the end of the alarm")
            assert log.read_text().count(FULL) == 1
            assert await gateway.stop() == 0
        finally:
            await gateway.kill()
    assert (await run("verify", line)).code == 0


async def test_a_gateway_that_waits_for_room_to_start_can_be_stopped(tmp_path: Path, disk: SmallDisk) -> None:
    line, log = tmp_path / "line.yaml", tmp_path / "gateway.log"
    line.write_text(LINE.format(disk=disk.folder))
    await prepare("init", line)
    disk.fill()
    gateway = Process("gateway", tmp_path, "run", str(line))
    await gateway.start()
    try:
        await until(lambda: log.exists() and FULL in log.read_text(), "the alarm")
        async with asyncio.timeout(20):
            assert await gateway.stop() == 4
    finally:
        await gateway.kill()
    assert "Traceback" not in log.read_text()


async def test_a_store_on_a_full_disk_lives_and_takes_the_records_up_again(
    tmp_path: Path, disk: SmallDisk
) -> None:
    async with new_plant(tmp_path) as plant, systemd(tmp_path) as (path, heard):
        for file in plant.folder.glob("store.db*"):
            shutil.move(file, disk.folder / file.name)
        (plant.folder / "store.db").symlink_to(disk.folder / "store.db")
        text = plant.store_file.read_text().replace("sqlite:///store.db", f"sqlite:///{disk.folder}/store.db")
        plant.store_file.write_text(text)
        change(plant, "\nuplink:", "\nforward: {receipt_timeout_s: 2}\nuplink:")
        plant.store.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000000"}
        disk.fill()
        await plant.store.start()
        await until(lambda: "disk full" in said(plant, "store"), "the alarm at the start")
        assert any("READY=1" in one for one in heard)
        disk.free()
        await until(lambda: "room again" in said(plant, "store"), "the end of the alarm")
        await plant.gateway.start()
        await at_work(plant)
        load = Load(plant)
        async with load.going_on():
            await plant.receipted(20)
            disk.fill()
            await until(lambda: said(plant, "store").count("disk full") == 2, "the alarm")
            await until(lambda: any("DISK FULL" in one for one in heard), "the status")
            with plant.journal() as journal:
                receipted = journal.figures().receipted
                made = len(load.made)
                await until(lambda: len(plant.devices.torque.acked) > made + 20, "capture goes on")
                assert journal.figures().receipted == receipted, "no receipt without the disk"
            assert plant.store.running
            disk.free()
            await plant.receipted(receipted + 100)
        await settle(plant, load.made)
        account(plant, load.made).check()
        assert said(plant, "store").count("disk full") == 2, "each alarm once"
        assert "Traceback" not in said(plant, "store")
