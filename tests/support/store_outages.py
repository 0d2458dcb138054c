"""A gateway that sends again what has no receipt, and a store process whose log and status can be read."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy.engine import URL

from linewitness.base.clock import SystemClock
from linewitness.base.secrets import Secret
from linewitness.cli.sources import load_store
from linewitness.evidence.format.accusation import is_accusation
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.inspection import inspect
from linewitness.store.keys import Cosigner, create_key
from linewitness.store.reports import read_conflicts, read_receipts, read_records
from linewitness.uplink.mqtt import MqttConnection, MqttConnector
from linewitness.uplink.options import MqttOptions
from support.brokers import Broker
from support.fake_gateway import FakeGateway
from support.waiting import until

NAME = "store.example"
START_S = 120.0
AGAIN_S = 1.0


def gateways_of(count: int, tenant: str = "acme") -> list[FakeGateway]:
    """Return gateways with streams of their own."""
    return [
        FakeGateway(f"{tenant}.example/line-{at}/1", tenant, f"gw-{at}", f"{tenant} {at}")
        for at in range(count)
    ]


class StoreSite:
    """A store's YAML and database; processes of it are started and stopped."""

    def __init__(self, folder: Path, url: URL, broker: Broker, workers: int = 1) -> None:
        self.folder, self.url, self.broker = folder, url, broker
        self.file = folder / "store.yaml"
        key = folder / "store.key"
        self.cosigner = create_key(NAME, key) if not key.exists() else Cosigner.load(NAME, Secret(file=key))
        self.write(url, workers)

    def write(self, url: URL, workers: int = 1, more: str = "") -> None:
        text = url.render_as_string(hide_password=False)
        self.file.write_text(
            f"database: '{text}'\nname: {NAME}\nkey: {{file: store.key}}\nworkers: {workers}\n"
            f"mqtt: {{url: '{self.broker.url}'}}\n{more}"
        )

    def database(self) -> Database:
        options = load_store(self.file)
        return Database(options.database_url, password=options.database_password)

    def enroll(self, *gateways: FakeGateway) -> None:
        database = self.database()
        try:
            for gateway in gateways:
                enroll(
                    database,
                    clock=SystemClock(),
                    tenant=gateway.tenant,
                    gateway=gateway.gateway,
                    log_vkey=str(gateway.log_vkey),
                    record0_hash=gateway.record0_hash,
                )
        finally:
            database.close()

    async def sound(self, sender: "Senders") -> None:
        """Require that the store holds each gateway's records, each once, and all that was receipted."""
        database = self.database()
        try:
            assert await inspect(database, store_key=self.cosigner.vkey) == []
            assert read_conflicts(database) == []
            held = list(read_records(database))
            for gateway in sender.gateways:
                mine = [record.data for record in held if record.origin == gateway.origin]
                assert mine == gateway.records[: len(mine)], "in order, each once"
                assert len(mine) >= sender.receipted[gateway.origin], "nothing receipted is missing"
                kept = set(read_receipts(database, gateway.origin, tenant=gateway.tenant))
                assert sender.receipts[gateway.origin] <= kept, "each receipt that left the house is kept"
        finally:
            database.close()


class StoreProcess:
    """A running `linewitness store run`."""

    def __init__(self, site: StoreSite, log: Path, words: list[str]) -> None:
        self.site, self.log_file, self.words = site, log, words
        self.process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def status(self) -> str:
        """What systemd was told last."""
        return next((word[7:] for word in reversed(self.words) if word.startswith("STATUS=")), "")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        assert self.process is not None
        return self.process.returncode is None

    def workers(self) -> list[int]:
        """Return the processes that the supervisor has started."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    async def ended(self) -> int:
        assert self.process is not None
        async with asyncio.timeout(START_S):
            return await self.process.wait()

    async def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()


@contextmanager
def _systemd() -> Iterator[tuple[str, list[str]]]:
    """Hear what is told to systemd."""
    words: list[str] = []
    loop = asyncio.get_running_loop()
    with TemporaryDirectory(prefix="lw-") as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(f"{folder}/notify")
        ear.setblocking(False)
        loop.add_reader(ear, lambda: words.extend(ear.recv(65_536).decode().split("\n")))
        try:
            yield f"{folder}/notify", words
        finally:
            loop.remove_reader(ear)


@asynccontextmanager
async def store_process(site: StoreSite, *, ready: bool = True) -> AsyncIterator[StoreProcess]:
    """Run the store as a process, and leave none behind."""
    number = len(list(site.folder.glob("store-*.log")))
    log = site.folder / f"store-{number}.log"
    with _systemd() as (address, words), log.open("wb") as output:
        running = StoreProcess(site, log, words)
        running.process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "linewitness", "store", "run", str(site.file)),
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            env={**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1500000"},
            start_new_session=True,
        )
        try:
            if ready:
                assert process.stdout is not None
                async with asyncio.timeout(START_S):
                    assert (await process.stdout.readline()).startswith(b"ready"), running.log
            yield running
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


class Senders:
    """Gateways at work: they write records, and send again what has no receipt, as real ones do."""

    def __init__(self, connection: MqttConnection, gateways: list[FakeGateway], site: StoreSite) -> None:
        self.gateways, self._connection, self._site = gateways, connection, site
        self.receipted = dict.fromkeys((gateway.origin for gateway in gateways), 0)
        self.receipts: dict[str, set[str]] = {gateway.origin: set() for gateway in gateways}
        self.accusations: list[bytes] = []
        self._topics = {gateway.topics.receipt: gateway for gateway in gateways}

    async def listen(self) -> None:
        async for message in self._connection.messages():
            gateway = self._topics.get(message.topic)
            if gateway is None or not message.payload:
                continue
            if is_accusation(message.payload):
                self.accusations.append(message.payload)
                continue
            text = message.payload.decode()
            checkpoint, note = open_checkpoint(text, gateway.log_vkey)
            assert note.signed_by(self._site.cosigner.vkey)
            self.receipts[gateway.origin].add(text)
            self.receipted[gateway.origin] = max(self.receipted[gateway.origin], checkpoint.size)

    async def publish(self, topic: str, payload: bytes) -> None:
        await self._connection.publish(topic, payload)

    async def send(self, gateway: FakeGateway, *, most: int = 64) -> None:
        """Send what has no receipt, with a checkpoint over it."""
        first = self.receipted[gateway.origin]
        last = min(gateway.size, first + most)
        await self._connection.publish(gateway.topics.records, gateway.batch(first, last))
        await self._connection.publish(gateway.topics.checkpoint, gateway.checkpoint(last))

    async def work(self, *, batch: int = 7, pause_s: float = 0.05) -> None:
        """Write and send for ever, all gateways at once."""
        async with asyncio.TaskGroup() as tasks:
            for gateway in self.gateways:
                tasks.create_task(self._work_one(gateway, batch, pause_s))

    async def _work_one(self, gateway: FakeGateway, batch: int, pause_s: float) -> None:
        while True:
            gateway.grow(batch)
            await self.send(gateway)
            await self._heard(gateway, gateway.size)
            await asyncio.sleep(pause_s)

    async def _heard(self, gateway: FakeGateway, size: int) -> None:
        """Wait for a receipt, and not for long: then it is time to send again."""
        with suppress(AssertionError):
            await until(lambda: self.receipted[gateway.origin] >= size, timeout_s=AGAIN_S)

    async def receipt(self, *gateways: FakeGateway) -> None:
        """Send again and again until these have a receipt over all that they have written."""
        async with asyncio.timeout(START_S):
            for gateway in gateways:
                size = gateway.size
                while self.receipted[gateway.origin] < size:
                    await self.send(gateway, most=100_000)
                    await self._heard(gateway, size)


@asynccontextmanager
async def senders(site: StoreSite, gateways: list[FakeGateway]) -> AsyncIterator[Senders]:
    """Connect gateways to the broker, and hear the receipts."""
    async with MqttConnector(MqttOptions(url=site.broker.url)).connect() as connection:
        made = Senders(connection, gateways, site)
        for gateway in gateways:
            await connection.subscribe(gateway.topics.receipt)
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(made.listen())
            try:
                yield made
            finally:
                listening.cancel()


@asynccontextmanager
async def working(sender: Senders) -> AsyncIterator[None]:
    """Let the gateways write and send meanwhile."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(sender.work())
        try:
            yield
        finally:
            task.cancel()
