"""`linewitness probe` and `browse`, as an integrator uses them: they print YAML to paste."""

import asyncio
import sys
from typing import Any

import pytest
from ruamel.yaml import YAML

from linewitness_simulators.oven import server as oven
from linewitness_simulators.press import server as press
from linewitness_simulators.torque import server as torque
from linewitness_simulators.torque.options import TorqueOptions


async def linewitness(*arguments: Any) -> Any:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "linewitness", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_a_controller_says_who_it_is_and_gives_a_device_to_paste() -> None:
    async with torque.serve(TorqueOptions()) as sim:
        code, out, _ = await linewitness("probe", f"open-protocol://127.0.0.1:{sim.port}")
    assert code == 0
    assert "controller   ST-07" in out
    fragment = YAML(typ="safe").load(out.partition("\n\n")[2])
    assert fragment["devices"][0]["controller_serial"] == "SIM0000001"


async def test_a_server_shows_what_it_offers_and_what_a_node_reads() -> None:
    async with press.serve(press.PressSimulation()) as sim:
        code, out, _ = await linewitness("probe", sim.url, "--node", "ns=2;s=Press.Holding")
    assert code == 0
    assert "ns=2;s=Press.Holding = 125" in out
    assert "clock: " in out


async def test_browsing_prints_points_that_the_configuration_accepts() -> None:
    async with press.serve(press.PressSimulation()) as sim:
        code, out, _ = await linewitness("browse", sim.url, "--filter", "Holding")
    assert code == 0
    [point] = YAML(typ="safe").load(out)["points"]
    assert point["record"] == "change"
    assert point["unit"] == "bar"
    assert point["node"].endswith("s=Press.Holding")


async def test_a_scan_finds_the_registers_that_exist() -> None:
    async with oven.serve(oven.OvenServerOptions()) as sim:
        code, out, _ = await linewitness("probe", f"modbus://127.0.0.1:{sim.port}", "--scan", "holding:0-20")
    assert code == 0
    found = YAML(typ="safe").load(out[out.index("points:") :])["points"]
    assert [point["address"] for point in found] == [*range(5), *range(10, 20)]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("probe", "ftp://127.0.0.1"), 2, "open-protocol://"),
        (("probe", "nowhere.yaml", "press-4"), 2, "nowhere.yaml"),
        (("probe", "modbus://127.0.0.1:1", "--scan", "all"), 2, "holding:0-99"),
        (("probe", "open-protocol://127.0.0.1:1"), 3, "127.0.0.1:1"),
        (("browse", "modbus://127.0.0.1:1"), 2, "OPC UA"),
    ],
)
async def test_what_cannot_be_probed_says_why(arguments: Any, code: str, words: str) -> None:
    found, _, err = await linewitness(*arguments)
    assert found == code
    assert words in err
    assert "Traceback" not in err
