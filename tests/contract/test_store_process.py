"""`linewitness store run` as a process: it says when it is ready, survives SIGKILL and stops when asked."""

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import SystemClock
from linewitness.base.errors import ExitCode
from linewitness.cli.sources import load_store
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.store import reports
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import StoreLedger
from linewitness.store.questions.where_used import where_used
from linewitness.uplink.mqtt import MqttConnector
from linewitness.uplink.options import MqttOptions
from support.brokers import Broker, mosquitto
from support.fake_gateway import FakeGateway
from support.waiting import until

DEADLINE_S = 60
BATCH = 25


async def command(*arguments: Any) -> Any:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "linewitness",
        "store",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def running(file: Path) -> AsyncIterator[Any]:
    process = await command("run", file)
    try:
        async with asyncio.timeout(DEADLINE_S):
            assert (await process.stdout.readline()).startswith(b"ready mqtt://")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with mosquitto(tmp_path / "broker") as running_broker:
        yield running_broker


@pytest.fixture
async def file(tmp_path: Path, broker: Broker) -> Path:
    file = tmp_path / "store.yaml"
    file.write_text(
        f"database: sqlite:///store.db\nname: store.example\nkey: {{file: store.key}}\n"
        f"mqtt: {{url: '{broker.url}'}}\n"
    )
    process = await command("init", file)
    _, said = await process.communicate()
    assert process.returncode == 0, said
    return file


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    database = Database(load_store(file).database_url)
    yield database
    database.close()


async def test_sigterm_stops_it_with_exit_code_0(file: Path) -> None:
    async with running(file) as process:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_S):
            assert await process.wait() == ExitCode.OK


async def test_missing_broker_is_waited_for_and_said_once(file: Path, broker: Broker) -> None:
    broker.stop()
    process = await command("run", file)
    try:
        async with asyncio.timeout(DEADLINE_S):
            first = await process.stderr.readline()
            while b"broker connection lost" not in first:
                first = await process.stderr.readline()
        broker.start()
        assert await broker.ready()
        async with asyncio.timeout(DEADLINE_S):
            assert (await process.stdout.readline()).startswith(b"ready")
        process.send_signal(signal.SIGTERM)
        _, rest = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert b"broker connection lost" not in rest
    assert rest.count(b"broker connected again") == 1


async def test_missing_key_ends_it_with_exit_code_2(file: Path, tmp_path: Path) -> None:
    (tmp_path / "store.key").unlink()
    process = await command("run", file)
    _, said = await process.communicate()
    assert process.returncode == ExitCode.CONFIGURATION
    assert b"store.key" in said
    assert b"Traceback" not in said


async def test_killed_again_and_again_it_loses_and_repeats_nothing(
    file: Path, broker: Broker, database: Database
) -> None:
    gateway = FakeGateway()
    for _ in range(8):
        gateway.grow(99, unit="SN-1")
        gateway.rotate()
    enroll(
        database,
        clock=SystemClock(),
        tenant=gateway.tenant,
        gateway=gateway.gateway,
        log_vkey=str(gateway.log_vkey),
        record0_hash=gateway.record0_hash,
    )
    options = load_store(file)
    vkey = Cosigner.load(options.name, options.key).vkey
    held = Held(gateway, vkey)
    seeded = random.Random(7)
    kills = 0
    async with MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
        await connection.subscribe(gateway.topics.receipt)
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
            listening = group.create_task(held.listen(connection))
            while held.size < gateway.size:
                async with running(file) as process:
                    sending = group.create_task(send_from(connection, gateway, held))
                    try:
                        async with asyncio.timeout(10 if kills >= 5 else seeded.uniform(0.01, 0.15)):
                            await held.everything()
                    except TimeoutError:
                        process.kill()
                        kills += 1
                    sending.cancel()
            listening.cancel()
    assert kills >= 3
    assert [record.data for record in reports.read_records(database)] == gateway.records
    assert reports.read_conflicts(database) == []
    for note in reports.read_receipts(database, gateway.origin):
        checkpoint, _ = open_checkpoint(note, gateway.log_vkey)
        assert note.startswith(gateway.checkpoint(checkpoint.size).decode())


class Held:
    """What the receipts said so far; a receipt is never taken back."""

    def __init__(self, gateway: Any, vkey: Any) -> None:
        self.gateway, self.vkey, self.size = gateway, vkey, 0
        self._all = asyncio.Event()

    async def listen(self, connection: Any) -> None:
        async for message in connection.messages():
            if not message.payload:  # a store that was killed before its first receipt asks for everything
                continue
            checkpoint, note = open_checkpoint(message.payload.decode(), self.gateway.log_vkey)
            assert note.signed_by(self.vkey)
            assert checkpoint.size >= self.size
            self.size = checkpoint.size
            if self.size == self.gateway.size:
                self._all.set()

    async def everything(self) -> None:
        await self._all.wait()


async def send_from(connection: Any, gateway: Any, held: Any) -> None:
    for first in range(held.size, gateway.size, BATCH):
        await connection.publish(gateway.topics.records, gateway.batch(first, first + BATCH))
        size = min(first + BATCH, gateway.size)
        await connection.publish(gateway.topics.checkpoint, gateway.checkpoint(size), retain=True)
        await asyncio.sleep(0.02)


async def test_a_running_store_fills_its_views(file: Path, database: Database) -> None:
    gateway = FakeGateway()
    clock = SystemClock()
    options = load_store(file)
    enroll(
        database,
        clock=clock,
        tenant=gateway.tenant,
        gateway=gateway.gateway,
        log_vkey=str(gateway.log_vkey),
        record0_hash=gateway.record0_hash,
    )
    gateway.grow(5, unit="SN-1")
    cosigner = Cosigner.load(options.name, options.key)
    StoreLedger(database=database, cosigner=cosigner, clock=clock).process(
        [(gateway.topics.records, gateway.batch())]
    )

    def units() -> list[Any]:
        return [row[0] for row in where_used(database, "tool", "tool-1").rows]

    assert units() == []
    async with running(file) as process:
        await until(lambda: units() == ["SN-1"])
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(DEADLINE_S):
            assert await process.wait() == ExitCode.OK
