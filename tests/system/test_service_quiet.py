"""The log stays small: an outage is said once, however long it lasts, and work is not said at all."""

import asyncio
from pathlib import Path
from typing import Any

from support.lines import prepare
from support.plants import Load, log_lines, running_plant, said, settle
from support.waiting import until

#: Every driver, none of its devices there; the broker is away as well.
AWAY = """\
version: 1
line: {tenant: demo, plant: p, line: l, gateway: g, origin: demo.example/p/l/1}
journal: {directory: journal}
status: {listen: '127.0.0.1:0'}
uplink: {url: 'mqtt://127.0.0.1:9'}
store: {vkey: store.acme.example/audit+b4dcf61e+BCMFTsFbsxey08iKGh/jeH91ZmwnP+9Z3DJHvz4wHZnA}
devices:
  - {id: wrench, driver: open_protocol, host: 127.0.0.1, port: 9, timezone: UTC}
  - {id: reader, driver: scanner, host: 127.0.0.1, port: 9}
  - {id: scale, driver: mt_sics, host: 127.0.0.1, port: 9}
  - id: press
    driver: opcua
    endpoint: opc.tcp://127.0.0.1:9
    points: [{id: holding, node: ns=2;s=Press.Holding, record: change}]
  - id: oven
    driver: modbus
    host: 127.0.0.1
    port: 9
    points: [{id: zone, table: holding, address: 0, type: uint16, record: change}]
"""
DEVICES = ("wrench", "reader", "scale", "press", "oven")


async def test_what_is_away_is_said_once(tmp_path: Path) -> None:
    from linewitness.demo.plant import Process  # noqa: PLC0415 (needs the extra)

    line = tmp_path / "line.yaml"
    line.write_text(AWAY)
    await prepare("init", line)
    gateway = Process("gateway", tmp_path, "run", str(line))
    await gateway.start()
    log = tmp_path / "gateway.log"
    try:
        await until(lambda: log.read_text().count("device lost") == len(DEVICES), log.read_text)
        await until(lambda: "uplink lost" in log.read_text(), "the broker's loss")
        before = log.read_text()
        await asyncio.sleep(12)  # some dozens of attempts to connect
        assert log.read_text() == before, "more of the same is no news"
    finally:
        assert await gateway.stop() == 0
    lines = log.read_text().splitlines()
    assert len(lines) <= len(DEVICES) + 8, log.read_text()


#: What is said once an hour of units: the first results are made before a code is read, on a busy machine
#: a code can be read late, and no unit gets its bearing.
ONCE = ('"the unit of a result is not known"', '"the station refused something"')


def but_for_units(log: str) -> list[str]:
    """Return the lines of a log but those on units."""
    return [line for line in log.splitlines() if not any(said in line for said in ONCE)]


async def test_work_leaves_no_line_in_the_log(tmp_path: Path) -> None:
    async with running_plant(tmp_path) as plant:
        load = Load(plant)
        await until(lambda: len(log_lines(plant, "device connected")) == 4, lambda: said(plant))
        await asyncio.sleep(1)
        before = but_for_units(said(plant))
        async with load.going_on():
            await until(lambda: load.steps > 60, "some hundred events")
        assert but_for_units(said(plant)) == before
        assert len(said(plant).splitlines()) <= len(before) + len(ONCE), "it is said once"
        await settle(plant, load.made)


async def test_what_comes_and_goes_all_the_time_is_not_said_all_the_time(tmp_path: Path) -> None:
    """A reader that hangs up on us, as a device does whose only connection somebody else holds."""
    from linewitness.demo.plant import Process  # noqa: PLC0415 (needs the extra)

    calls = []

    async def hang_up(_reader: Any, writer: asyncio.StreamWriter) -> None:
        calls.append(1)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        line = tmp_path / "line.yaml"
        line.write_text(
            "version: 1\n"
            "line: {tenant: demo, plant: p, line: l, gateway: g, origin: demo.example/p/l/1}\n"
            "journal: {directory: journal}\nstatus: {enabled: false}\n"
            "devices: [{id: reader, driver: scanner, host: 127.0.0.1, "
            f"port: {server.sockets[0].getsockname()[1]}}}]\n"
        )
        await prepare("init", line)
        gateway = Process("gateway", tmp_path, "run", str(line))
        await gateway.start()
        try:
            await until(lambda: len(calls) >= 3, "some attempts")
            await asyncio.sleep(10)
        finally:
            assert await gateway.stop() == 0
    assert len(calls) <= 8, "the attempts become fewer"
    assert len((tmp_path / "gateway.log").read_text().splitlines()) <= 2 * len(calls) + 4
