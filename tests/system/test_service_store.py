"""The audit store under systemd's eyes: alive while its loops go on, ended where one is stuck."""

import asyncio
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from linewitness.base.errors import ExitCode
from linewitness.uplink.mqtt import MqttConnector
from linewitness.uplink.options import MqttOptions
from support.brokers import Authority, Broker, mosquitto
from support.fake_gateway import FakeGateway
from support.lines import prepare
from support.plants import run
from support.waiting import until

#: Short limits, then what a test does to a part.
SHORT = """
import sys, time
import linewitness.base.watchdog as s
s.LOOK_S, s.COMMIT_S, s.GRACE_S = 0.2, 1.0, 1.0
import linewitness.store.database.sqlite as d
d._BUSY_S = 1
from linewitness.cli import main
%s
sys.argv = ["linewitness", "store", "run", sys.argv[1]]
main()
"""
STUCK_THREAD = """
from linewitness.store.ledger import StoreLedger
StoreLedger.process = lambda self, messages: time.sleep(3600)
"""


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
async def store(tmp_path: Path, broker: Broker) -> Path:
    file = tmp_path / "store.yaml"
    file.write_text(
        "database: sqlite:///store.db\nname: store.example\nkey: {file: store.key}\n"
        f"mqtt: {{url: '{broker.url}'}}\n"
    )
    await prepare("store", "init", file)
    return file


@asynccontextmanager
async def under_systemd(file: Path, *, code: str = "") -> AsyncIterator[Any]:
    """The store as a process, and what it says to systemd and to the log."""
    folder, said = file.parent, []
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setblocking(False)
    receiver.bind(str(folder / "notify"))
    loop = asyncio.get_running_loop()
    loop.add_reader(receiver, lambda: said.append(receiver.recv(4096).decode()))
    environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "600000"}
    with (folder / "store.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SHORT % code, str(file), env=environment, stdout=log, stderr=log
        )
    try:
        yield process, said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        loop.remove_reader(receiver)
        receiver.close()


async def send_one_batch(broker: Any, gateway: Any) -> None:
    async with MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
        await connection.publish(gateway.topics.records, gateway.batch(0, gateway.size))
        await connection.publish(gateway.topics.checkpoint, gateway.checkpoint(gateway.size))


async def enrolled(store: Any) -> Any:
    gateway = FakeGateway()
    await prepare(
        *("store", "enroll", store, "--tenant", gateway.tenant, "--gateway", gateway.gateway),
        *("--log-vkey", gateway.log_vkey, "--record0", gateway.record0_hash),
    )
    return gateway


async def test_systemd_is_told_how_the_store_is(store: Path, broker: Broker) -> None:
    gateway = await enrolled(store)
    async with under_systemd(store) as (process, said):
        await until(lambda: "READY=1" in said, "ready")
        await until(lambda: any("broker connected" in text for text in said), "the broker")
        await send_one_batch(broker, gateway)
        await until(lambda: any("2 messages judged" in text for text in said), "the messages")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await process.wait() == ExitCode.OK
        await until(lambda: "STOPPING=1" in said, "the farewell")


async def test_systemd_and_status_are_told_whose_messages_are_dropped(store: Path, broker: Broker) -> None:
    await enrolled(store)
    stranger = FakeGateway(gateway="stranger", origin="stranger.example/1")
    async with under_systemd(store) as (_, said):
        await until(lambda: any("broker connected" in text for text in said), "the broker")
        await send_one_batch(broker, stranger)
        sentence = "drops messages of acme/stranger: this gateway is not enrolled (2 since the start)"
        await until(lambda: any(sentence in text for text in said), "the sentence")
        log = store.parent / "store.log"
        await until(lambda: "messages dropped" in log.read_text(), "the log")
        status = await run("store", "status", store)
        assert "this gateway is not enrolled: 2 messages of " in status.out


async def test_a_stuck_thread_ends_the_process_with_70(store: Path, broker: Broker) -> None:
    gateway = await enrolled(store)
    async with under_systemd(store, code=STUCK_THREAD) as (process, said):
        await until(lambda: any("broker connected" in text for text in said), "the broker")
        await send_one_batch(broker, gateway)
        async with asyncio.timeout(20):
            assert await process.wait() == ExitCode.BUG
        log = (store.parent / "store.log").read_text()
        assert "no progress: judge and commit" in log
        assert "most recent call first" in log
        assert not said[-1].startswith("WATCHDOG"), said


async def test_a_database_that_another_process_holds_ends_it_with_4(store: Path, broker: Broker) -> None:
    gateway = await enrolled(store)
    other = sqlite3.connect(store.parent / "store.db", isolation_level=None)
    async with under_systemd(store) as (process, said):
        await until(lambda: any("broker connected" in text for text in said), "the broker")
        other.execute("BEGIN IMMEDIATE")
        await send_one_batch(broker, gateway)
        async with asyncio.timeout(20):
            assert await process.wait() == ExitCode.JOURNAL
    log = (store.parent / "store.log").read_text()
    assert "database is locked" in log
    assert "Traceback" not in log
    assert other.execute("SELECT COUNT(*) FROM receipts").fetchone() == (0,), "nothing was receipted"
    other.close()


async def test_certificates_that_end_soon_are_said_in_log_and_status(store: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    identity = authority.issue("store", days=12)
    tls = f"{{ca: {authority.file}, certificate: {identity.certificate}, key: {{file: {identity.key}}}}}"
    text = store.read_text().partition("mqtt:")[0]  # noqa: ASYNC240
    store.write_text(f"{text}mqtt: {{url: 'mqtts://127.0.0.1:9', tls: {tls}}}\n")  # noqa: ASYNC240
    async with under_systemd(store) as (process, said):
        await until(lambda: any("mqtt.tls.certificate ends in" in text for text in said), "the status")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await process.wait() == ExitCode.OK
    log = (store.parent / "store.log").read_text()
    assert log.count("certificate ends soon") == 2, "the store's own and its authority's, once a day"
    assert str(identity.certificate) in log


async def test_no_core_dump_can_carry_keys_away(store: Path) -> None:
    async with under_systemd(store) as (process, said):
        await until(lambda: "READY=1" in said, "ready")
        assert psutil.Process(process.pid).rlimit(psutil.RLIMIT_CORE) == (0, 0)
