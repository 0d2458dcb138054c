"""A disk that is full for long, under a real systemd: the unit stays active and is never restarted."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from linewitness_simulators.torque.options import TorqueOptions
from linewitness_simulators.torque.server import TorqueSimulator, serve
from support.systemd_box import Box, box, why_not
from support.waiting import until

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"no systemd can be started here: {why_not()}")

#: How long the disk is full: beyond the watchdog's time and every limit of a loop, and in short.
FULL_S = 20 * 60.0
SHORT_S = 15.0
ARRIVED_S = 120.0
UNIT = "linewitness@line-20.service"
BALLAST = "/var/lib/ballast"
YAML = """\
version: 1
line: {{tenant: acme, plant: ber-01, line: line-20, gateway: gw-20, origin: acme.example/ber-01/line-20/1}}
journal: {{directory: /var/lib/linewitness/line-20, min_free: 0, max_size: 64MiB}}
status: {{listen: '127.0.0.1:0'}}
devices:
  - {{id: wrench-1, driver: open_protocol, host: 127.0.0.1, port: {port}, timezone: UTC, start_after: 0}}
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Box]:
    with box(tmp_path) as running:
        # As a whole: systemd renames what `linewitness init` made to /var/lib/private.
        running.must("mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "tmpfs", "/var/lib")
        yield running


def begin(machine: Box, port: int) -> None:
    """Install a line as docs/operating.md says it, with systemd's own times for everything."""
    machine.write("/root/line-20.yaml", YAML.format(port=port))
    machine.must("linewitness", "install", "/root/line-20.yaml")
    machine.must("linewitness", "init", "/etc/linewitness/line-20.yaml")
    started = machine.run("systemctl", "enable", "--now", UNIT)
    assert started.code == 0, machine.log(UNIT)


def fill(machine: Box) -> None:
    machine.run("dd", "if=/dev/zero", f"of={BALLAST}", "bs=4096")


def shown(machine: Box) -> dict[str, str]:
    return machine.show(UNIT, "ActiveState", "SubState", "NRestarts", "StatusText")


def recorded(machine: Box) -> Counter[int]:
    """Return the tightenings on record, as a command beside the gateway reads them."""
    text = machine.must("linewitness", "export", "/etc/linewitness/line-20.yaml")
    members = [json.loads(line) for line in text.splitlines()]
    return Counter(
        int(one["resource"]["id"].rpartition("/")[2]) for one in members if one["kind"] == "tightening.result"
    )


async def until_recorded(machine: Box, made: set[int]) -> None:
    """Wait until all is on record; the tool works on in this process."""
    async with asyncio.timeout(ARRIVED_S):
        while not made <= set(await asyncio.to_thread(recorded, machine)):  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.2)


async def work(tool: TorqueSimulator, made: set[int], count: int) -> None:
    for _ in range(count):
        made.add(tool.tighten())
        await asyncio.sleep(0.02)


async def full_for(machine: Box, tool: TorqueSimulator, seconds: float) -> None:
    """Fill the disk for so long while the tool goes on working; nothing is lost, and nobody helps."""
    made: set[int] = set()
    await until(lambda: tool.subscribed() > 0, lambda: machine.log(UNIT))
    await work(tool, made, 50)
    await until(lambda: made <= set(tool.acked), lambda: f"confirmations; {machine.log(UNIT)}")

    await asyncio.to_thread(fill, machine)
    begun = time.monotonic()  # noqa: TID251 (the time that a person would see)
    while "JOURNAL FULL" not in (await asyncio.to_thread(shown, machine))["StatusText"]:
        await work(tool, made, 5)
    confirmed = set(tool.acked)
    while time.monotonic() - begun < seconds:  # noqa: TID251 (the time that a person would see)
        await work(tool, made, 10)
        state = await asyncio.to_thread(shown, machine)
        assert "JOURNAL FULL" in state.pop("StatusText"), machine.log(UNIT)
        assert state == {"ActiveState": "active", "SubState": "running", "NRestarts": "0"}, machine.log(UNIT)
        assert set(tool.acked) == confirmed, "nobody is confirmed"
        await asyncio.sleep(seconds / 100)

    await asyncio.to_thread(machine.must, "rm", BALLAST)
    await until_recorded(machine, made)
    await until(lambda: tool.subscribed() > 0, "the tool")
    await work(tool, made, 10)
    await until_recorded(machine, made)
    found = await asyncio.to_thread(recorded, machine)
    assert set(found) == made
    assert max(found.values()) == 1, "nothing is there twice"
    state = await asyncio.to_thread(shown, machine)
    assert "JOURNAL FULL" not in state.pop("StatusText")
    assert state == {"ActiveState": "active", "SubState": "running", "NRestarts": "0"}
    assert machine.log(UNIT).count("journal full") == 1
    await asyncio.to_thread(machine.must, "systemctl", "stop", UNIT)
    await asyncio.to_thread(machine.must, "linewitness", "verify", "/var/lib/linewitness/line-20")


async def test_a_disk_that_is_full_for_a_while_never_ends_the_unit(machine: Box, tmp_path: Path) -> None:
    async with serve(TorqueOptions(state=tmp_path / "controller.db")) as tool:
        await asyncio.to_thread(begin, machine, tool.port)
        await full_for(machine, tool, SHORT_S)


@pytest.mark.slow
@pytest.mark.timeout(2 * FULL_S)
async def test_a_disk_that_is_full_for_twenty_minutes_never_ends_the_unit(
    machine: Box, tmp_path: Path
) -> None:
    async with serve(TorqueOptions(state=tmp_path / "controller.db")) as tool:
        await asyncio.to_thread(begin, machine, tool.port)
        await full_for(machine, tool, FULL_S)


async def test_a_unit_that_starts_on_a_full_disk_is_active_and_goes_on(machine: Box, tmp_path: Path) -> None:
    async with serve(TorqueOptions(state=tmp_path / "controller.db")) as tool:
        await asyncio.to_thread(begin, machine, tool.port)
        await until(lambda: tool.subscribed() > 0, lambda: machine.log(UNIT))
        await asyncio.to_thread(machine.must, "systemctl", "stop", UNIT)
        made: set[int] = set()
        await work(tool, made, 10)
        await asyncio.to_thread(fill, machine)
        await asyncio.to_thread(machine.must, "systemctl", "start", UNIT)
        state = await asyncio.to_thread(shown, machine)
        assert (state["ActiveState"], state["SubState"]) == ("active", "running")
        await asyncio.to_thread(
            machine.wait_until, lambda: "JOURNAL FULL" in shown(machine)["StatusText"], "the status", UNIT
        )
        await asyncio.to_thread(machine.must, "rm", BALLAST)
        await until_recorded(machine, made)
        assert (await asyncio.to_thread(shown, machine))["NRestarts"] == "0"
