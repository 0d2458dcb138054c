"""A gateway's journal and forwarder in this process, with mosquitto and the audit store in their own."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from append import IDENTITY

from linewitness.base.clock import Clock, SharedClockState, SystemClock
from linewitness.base.secrets import Secret
from linewitness.demo.broker import Mosquitto
from linewitness.demo.plant import Process, free_port
from linewitness.evidence.format.note import Vkey
from linewitness.gateway.ahead.alarms import AlarmWatch
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.continuity import Continuity
from linewitness.gateway.forward import Forwarder
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.journal.file import JournalFile
from linewitness.journal.journal import Journal, open_journal
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.options import JournalOptions
from linewitness.journal.reader import JournalReader
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.status.health import Health
from linewitness.store.keys import Cosigner
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.mqtt import MqttConnector
from linewitness.uplink.options import MqttOptions
from linewitness.uplink.topics import Topics

STORE = "store.bench.example"


@dataclass(frozen=True)
class Plant:
    """A broker and a store that run, and the folder where a journal waits for its gateway.

    `port` is where the gateway finds the broker.
    """

    folder: Path
    port: int
    store: Process
    store_vkey: Vkey

    @property
    def store_cpu_s(self) -> float:
        """Processor seconds that the store has taken until now."""
        return float(sum(psutil.Process(self.store.pid).cpu_times()[:2]))


@dataclass(frozen=True)
class Gateway:
    """What runs in this process."""

    journal: Journal
    judge: ReceiptJudge
    telemetry: TelemetryBuffer
    health: Health
    clock: Clock


@asynccontextmanager
async def plant(folder: Path) -> AsyncIterator[Plant]:
    """Start broker and store, and make a journal that is enrolled."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        raise SystemExit("mosquitto is not installed: apt-get install mosquitto")
    broker = Mosquitto(folder, free_port(), Path(program))
    await broker.start()
    store = Process("store", folder, "store", "run", "store.yaml")
    try:
        cosigner = await _prepare(folder, broker.port)
        await store.start()
        yield Plant(folder, broker.port, store, Vkey.parse(str(cosigner.vkey)))
    finally:
        await store.stop()
        await broker.stop()


async def _prepare(folder: Path, port: int) -> Cosigner:
    (folder / "store.yaml").write_text(
        f"database: sqlite:///store.db\nname: {STORE}\nkey: {{file: store.key}}\n"
        f"mqtt: {{url: mqtt://127.0.0.1:{port}}}\n",
        encoding="utf-8",
    )
    await Process("store-init", folder, "store", "init", "store.yaml").run()
    JournalFile.create(
        folder / "journal", IDENTITY, clock=SystemClock(), clock_state=SharedClockState()
    ).close()
    with JournalReader(folder / "journal") as reader:
        arguments = ("--log-vkey", str(reader.log_vkey), "--record0", reader.record_0_hash)
    await Process(
        "enroll", folder, "store", "enroll", "store.yaml", "--tenant", "bench", "--gateway", "gw", *arguments
    ).run()
    return Cosigner.load(STORE, Secret(file=folder / "store.key"))


@asynccontextmanager
async def gateway(plant: Plant, *, port: int | None = None) -> AsyncIterator[Gateway]:
    """Run journal, telemetry and forwarder until what was submitted is durable; `port` may be a relay's."""
    clock, state = SystemClock(), SharedClockState()
    directory = plant.folder / "journal"
    telemetry = TelemetryBuffer(directory, max_bytes=1 << 30)
    async with open_journal(JournalOptions(directory=directory), clock=clock, clock_state=state) as journal:
        signer = CheckpointSigner(journal, Keyring(directory).load(LOG_KEY))
        judge = ReceiptJudge(
            journal, Continuity(journal, clock=clock), store_vkey=plant.store_vkey, clock=clock
        )
        health = Health()
        forwarder = Forwarder(
            MqttConnector(MqttOptions(url=f"mqtt://127.0.0.1:{port or plant.port}")).connect,
            journal=journal,
            telemetry=telemetry,
            signer=signer,
            judge=judge,
            alarms=AlarmWatch(journal, judge, counts=health.notices),
            topics=Topics("bench", "gw"),
            options=ForwardOptions(),
            clock=clock,
            health=health,
        )
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(journal.run())
            others = [group.create_task(run) for run in (telemetry.run(), forwarder.run())]
            await judge.reached(1)
            yield Gateway(journal, judge, telemetry, health, clock)
            for task in others:
                task.cancel()
            await journal.drain()
            await asyncio.wait([writer])
    telemetry.close()
