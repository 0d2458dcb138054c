"""Mistakes in the YAML that end with one sentence that says what to change, and with no endless error 97."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from linewitness.base.errors import ExitCode
from linewitness_simulators.oven import server as oven
from linewitness_simulators.press import server as press
from linewitness_simulators.torque import TorqueOptions, serve, without
from support.journals import verdict_of
from support.torque_gateway import Gateway
from support.torque_line import line, wrench
from support.waiting import until


@asynccontextmanager
async def plain(answer: Any) -> AsyncIterator[Any]:
    """Serve a port that answers every block of bytes in this way; None hears and says nothing."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            while await reader.read(4096):
                if answer is not None:
                    writer.write(answer)
        writer.close()

    served: list[Any] = []
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        if served:
            await asyncio.wait(served, timeout=5)


@asynccontextmanager
async def controller(**options: Any) -> AsyncIterator[Any]:
    async with serve(TorqueOptions(**options)) as simulator:
        yield simulator.port


@asynccontextmanager
async def opcua_server() -> AsyncIterator[Any]:
    async with press.serve(press.PressSimulation()) as sim:
        yield sim.port


@asynccontextmanager
async def modbus_server() -> AsyncIterator[Any]:
    async with oven.serve(oven.OvenServerOptions()) as sim:
        yield sim.port


@asynccontextmanager
async def nobody() -> AsyncIterator[Any]:
    async with plain(None) as port:
        pass
    yield port


MISTAKES: dict[str, tuple[Callable[[], Any], dict[str, Any], str]] = {
    "revision too high": (lambda: controller(max_revision=4), {"result_revision": 7}, "set it to 4"),
    "revision with gaps": (
        lambda: controller(special_revisions=()),
        {"result_revision": 999},
        "remove result_revision",
    ),
    "no results behind this port": (
        lambda: controller(revisions=without(60)),
        {},
        "use the port of a station with a tool",
    ),
    "operations not offered": (
        lambda: controller(revisions=without(8, 1201)),
        {"results": "operations"},
        "remove results: operations",
    ),
    "link level not offered": (
        lambda: controller(link_level=False),
        {"acknowledge": "link"},
        "remove acknowledge: link",
    ),
    "another controller": (
        controller,
        {"controller_serial": "OTHER"},
        "set host and port to the right controller, or controller_serial to this one",
    ),
    "a web server": (lambda: plain(b"HTTP/1.1 400 Bad Request\r\n\r\n"), {}, "usually 4545"),
    "an OPC UA server": (opcua_server, {}, "4545"),
    "a Modbus server": (modbus_server, {}, "4545"),
    "a port that never answers": (lambda: plain(None), {}, "usually 4545"),
    "nobody there": (nobody, {}, "usually 4545"),
}


@pytest.mark.parametrize("name", MISTAKES)
async def test_a_mistake_is_said_once_with_what_to_change(tmp_path: Path, name: str) -> None:
    place, settings, advice = MISTAKES[name]
    quick = {"request_timeout_s": 1, **settings}
    async with place() as port, line(tmp_path, [wrench(SimpleNamespace(port=port), **quick)]) as running:
        await until(lambda: running.records("device.lost"), "said")
        await until(lambda: running.health.why["wrench-10"])
        assert advice in running.health.why["wrench-10"]
        await asyncio.sleep(0.5)
        (lost,) = running.records("device.lost")
        assert advice in lost["reason"]
    assert verdict_of(tmp_path / "journal").status == "INTACT"


async def test_a_wrong_revision_is_not_asked_for_again_and_again(tmp_path: Path) -> None:
    """What others turn into an endless row of errors 97 is asked once, and then not for a minute."""
    async with serve(TorqueOptions(max_revision=4)) as simulator:
        gateway = Gateway(tmp_path, simulator.port, result_revision=7)
        await gateway.init()
        await gateway.process.start()
        await until(lambda: "device lost" in gateway.said(), gateway.said)
        await asyncio.sleep(1.5)
        code, told = await gateway.command("status", "line.yaml")
        assert await gateway.process.stop() == 0, gateway.said()
        asked = [entry for entry in simulator.ledger.entries if (entry.what, entry.mid) == ("refused", 60)]
    assert code == 0
    assert "does not offer results in revision 7" in told
    assert gateway.said().count("device lost") == 1
    assert "set it to 4" in gateway.said()
    # Once in the wanted revision, and once each on the way down to the one that is offered.
    assert [entry.number for entry in asked] == [97] * 4


WRONG = {
    "result_revision: 61": "results have no revision 61; leave it out, or choose 1 to 11, 998 or 999",
    "mid: 61": "mid",
    "port: 99999": "99999",
    "back_fill: sometimes": "back_fill",
    "keepalive_s: 14\n    dead_after_s: 10": "must be below dead_after_s",
    "acknowledge: link\n    start_revision: 5": "needs start_revision 6",
    "timezone: CEST": "Europe/Berlin",
}


@pytest.mark.parametrize("text", WRONG)
async def test_check_says_where_the_yaml_is_wrong_before_anything_starts(tmp_path: Path, text: str) -> None:
    gateway = Gateway(tmp_path, 4545)
    file = tmp_path / "line.yaml"
    if text.startswith(("port", "timezone")):
        key = text.partition(":")[0]
        file.write_text(re.sub(rf"{key}: .*", text, file.read_text()))
    else:
        file.write_text(file.read_text() + f"    {text}\n")
    code, told = await gateway.command("check", "line.yaml")
    assert code == ExitCode.CONFIGURATION
    problems = [each for each in told.splitlines() if "line.yaml:" in each]
    assert len(problems) == 1, told
    assert WRONG[text] in told


@pytest.mark.parametrize(
    "name", ["a web server", "nobody there", pytest.param("a Modbus server", marks=pytest.mark.slow)]
)
async def test_the_probe_says_it_too(tmp_path: Path, name: str) -> None:
    place, _, advice = MISTAKES[name]
    async with place() as port:
        code, told = await Gateway(tmp_path, port).command("probe", f"open-protocol://127.0.0.1:{port}")
    assert code == ExitCode.REFUSED, told
    assert advice in " ".join(told.split())
