"""A gateway in a hostile plant keeps running, says so once and loses nothing; or ends with the right code."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from linewitness.base.clock import SystemClock
from linewitness.base.errors import ExitCode
from linewitness.demo.plant import Process
from linewitness.devices.opcua.connection.certificates import make_client_certificate
from linewitness.evidence.format.raw import keyed_hash
from linewitness_simulators.press.server import PressSimulation
from linewitness_simulators.press.server import serve as serve_press
from support.brokers import mosquitto
from support.journals import forger
from support.lines import prepare
from support.plants import (
    Load,
    account,
    at_work,
    change,
    held,
    log_lines,
    new_plant,
    run,
    running_plant,
    said,
    settle,
    stopped,
)
from support.present import present
from support.waiting import until


async def test_unreachable_broker_is_said_once_while_capture_goes_on(tmp_path: Path) -> None:
    async with running_plant(tmp_path) as plant:
        await plant.broker.stop()
        load = Load(plant)
        async with load.going_on():
            await until(lambda: load.steps > 80, "four seconds of work without a broker")
        await until(lambda: set(plant.devices.torque.acked) >= load.made, "confirmations")
        assert len(log_lines(plant, "uplink lost")) == 1, said(plant)
        await plant.broker.start()
        await settle(plant, load.made)
        assert len(log_lines(plant, "uplink connected")) == 2, said(plant)
        account(plant, load.made).check()


async def test_lost_device_is_said_once_while_the_others_go_on(tmp_path: Path) -> None:
    async with running_plant(tmp_path) as plant:
        await plant.devices.oven.stop()
        made = set()
        async with (load := Load(plant)).going_on():
            await until(lambda: load.steps > 60, "work without the oven")
            await plant.devices.oven.start()
            await until(lambda: log_lines(plant, "device connected", device="oven-10")[1:], "the oven back")
        made = load.made
        await settle(plant, made)
        assert len(log_lines(plant, "device lost", device="oven-10")) == 1
        account(plant, made).check()
        lost = [r for r in held(plant).kind("device.lost") if r["resource"]["id"] == "oven-10"]
        assert len(lost) == 1


async def test_broken_telegram_is_stored_raw_and_confirmed(tmp_path: Path) -> None:
    async with running_plant(tmp_path) as plant:
        torque = plant.devices.torque
        torque.faults.garbled_fields = {"torque": "NaN"}
        made = {torque.tighten()}
        await until(lambda: set(torque.acked) >= made, f"a confirmation; {said(plant)}")
        torque.faults.garbled_fields = {}
        made.add(torque.tighten())
        await settle(plant, made)
        account(plant, made).check()
        (record,) = [
            r for r in held(plant).kind("tightening.result") if r["resource"]["id"].endswith(f"/{min(made)}")
        ]
        with plant.journal() as journal:
            salt, data = present(journal.raw_of(record["sequence_no"]))
            assert b"NaN" in data
            assert keyed_hash(salt, data) == record["context"]["raw_hmac_sha256"]


async def test_telegram_of_no_known_form_is_stored_raw_and_confirmed(tmp_path: Path) -> None:
    async with running_plant(tmp_path) as plant:
        torque = plant.devices.torque
        torque.faults.corrupt_results = 1
        made = {torque.tighten()}
        await until(lambda: set(torque.acked) >= made, f"a confirmation; {said(plant)}")
        await until(lambda: torque.faults.corrupt_results == 0)
        made.add(torque.tighten())
        await until(lambda: set(torque.acked) >= made, "confirmations")
        assert await stopped(plant) == 0
        with plant.journal() as journal:
            raw = [data for _, data in journal.records() if b"raw_hmac_sha256" in data]
        assert raw


async def test_refused_certificate_parks_the_device_and_status_says_why(tmp_path: Path) -> None:
    for name in ("ours", "other"):
        make_client_certificate(
            certificate=tmp_path / f"{name}.der",
            key=tmp_path / f"{name}.pem",
            application_uri=f"urn:{name}",
            host="gateway",
            clock=SystemClock(),
        )
    simulation = PressSimulation(certificates=tmp_path / "press")
    async with serve_press(simulation) as press:
        line = tmp_path / "line.yaml"
        line.write_text(
            "version: 1\n"
            "line: {tenant: demo, plant: p, line: l, gateway: g, origin: demo.example/p/l/1}\n"
            "journal: {directory: journal}\n"
            "devices:\n"
            f"  - id: press\n    driver: opcua\n    endpoint: {press.url}\n"
            "    security: {policy: basic256sha256, certificate: ours.der, key: {file: ours.pem}, "
            "server_certificate: other.der}\n"
            "    points: [{id: holding, node: ns=2;s=Press.Holding, record: change}]\n"
        )
        await prepare("init", line)
        async with gateway_on(line) as gateway:
            log = tmp_path / "gateway.log"
            await until(lambda: "device lost" in log.read_text(), "the refusal")
            status = await run("status", line)
            assert "press  refused" in status.out, status
            assert "certificate" in status.out, status
            assert gateway.running


@asynccontextmanager
async def gateway_on(line: Any) -> AsyncIterator[Any]:
    gateway = Process("gateway", line.parent, "run", str(line))
    await gateway.start()
    try:
        yield gateway
        assert await gateway.stop() == 0
    finally:
        await gateway.kill()


def overwrite_signals(folder: Path) -> None:
    """Damage the buffer of signals behind the running gateway's back."""
    file = folder / "telemetry.sqlite"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with file.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xa5" * (file.stat().st_size - 4096))


async def test_buffer_of_signals_that_is_damaged_under_way_stops_nothing(tmp_path: Path) -> None:
    async with running_plant(tmp_path) as plant:
        await plant.broker.stop()
        journal = plant.folder / "journal"
        load = Load(plant)
        async with load.going_on():
            await until(lambda: load.steps > 40, "signals that wait")
            overwrite_signals(journal)
            await until(lambda: load.steps > 60, "work after the damage")
            await plant.broker.start()
            await until(lambda: "telemetry buffer damaged" in said(plant), f"the damage; {said(plant)}")
        await until(lambda: "signals dropped" in said(plant), "the loss to be put on record")
        await settle(plant, load.made)
        account(plant, load.made).check()
        gaps = [r for r in held(plant).kind("source.gap") if r["resource"]["type"] == "telemetry"]
        assert gaps, "the loss of signals is on record"
        assert sum(change["after"] for gap in gaps for change in gap["changes"]) > 0
        assert (journal / "telemetry.sqlite.damaged").exists()
        assert len(log_lines(plant, "telemetry buffer damaged")) == 1


async def test_full_journal_holds_back_confirmations_and_still_stops(tmp_path: Path) -> None:
    async with new_plant(tmp_path) as plant:
        change(plant, "directory: journal", f"directory: journal\n  min_free: {2**50}")
        await plant.gateway.start()
        await until(lambda: "journal full" in said(plant), "the journal to be full")
        full = await run("status", plant.line_file)
        assert "FULL: there is no room" in full.out
        assert "STOPPED" not in full.out
        assert full.code == ExitCode.JOURNAL
        plant.devices.torque.tighten()
        assert await stopped(plant) == 0
        assert plant.devices.torque.acked == []
        assert "STOPPED" in (await run("status", plant.line_file)).out


async def test_broker_that_refuses_us_is_said_with_what_to_do(tmp_path: Path) -> None:
    async with new_plant(tmp_path) as plant:
        await plant.broker.stop()
        change(
            plant, f"url: mqtt://127.0.0.1:{plant.broker.port}", "url: mqtt://127.0.0.1:1\n  username: nobody"
        )
        async with mosquitto(tmp_path / "strict", passwords={"somebody": "secret"}) as strict:
            change(plant, "mqtt://127.0.0.1:1\n", f"{strict.url}\n")
            await plant.gateway.start()
            await at_work(plant)
            await until(lambda: log_lines(plant, "uplink lost", state="refused"), f"a refusal; {said(plant)}")
            made = plant.devices.torque.tighten()
            await until(lambda: made in plant.devices.torque.acked, "a confirmation")
            assert await stopped(plant) == 0


async def test_store_that_the_broker_refuses_ends_with_3(tmp_path: Path) -> None:
    async with mosquitto(tmp_path / "strict", passwords={"somebody": "secret"}) as strict:
        file = tmp_path / "store.yaml"
        file.write_text(
            "database: sqlite:///store.db\nname: s.example\nkey: {file: store.key}\n"
            f"mqtt: {{url: '{strict.url}'}}\n"
        )
        await prepare("store", "init", file)
        found = await run("store", "run", file)
        assert found.code == ExitCode.REFUSED, found
        assert "Traceback" not in found.err


async def test_forged_record_makes_verify_end_with_1(tmp_path: Path) -> None:
    async with running_plant(tmp_path) as plant:
        assert await stopped(plant) == 0
        connection = forger(plant.folder / "journal")
        connection.execute("DROP TRIGGER record_is_final")
        connection.execute(
            "UPDATE record SET bytes = CAST(replace(plain(bytes), 'up', 'UP') AS BLOB) WHERE seq = 3"
        )
        connection.commit()
        connection.close()
        found = await run("verify", plant.line_file)
        assert found.code == ExitCode.BROKEN
        assert "BROKEN at record 3" in found.out


async def test_bug_ends_with_70_and_asks_to_be_reported(tmp_path: Path) -> None:
    code = (
        "import sys, linewitness.config as c\n"
        "def bug(path): raise ZeroDivisionError('seven')\n"
        "c.load = bug\n"
        "sys.argv = ['linewitness', 'run', 'line.yaml']\n"
        "from linewitness.cli import main\n"
        "main()\n"
    )
    found = await run(python=("-c", code))
    assert found.code == ExitCode.BUG
    assert "ZeroDivisionError: seven" in found.err
    assert "please report" in found.err
