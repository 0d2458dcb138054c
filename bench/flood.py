"""Measure how long a result waits for its receipt while another client floods the store.

One gateway makes a result every 200 ms; its journal and forwarder run in this process. The other client has a
process of its own and sends, in turn: nothing; small messages without an enrolment; record 0 of its own
enrolled stream; messages of 16 MiB of short lines without an enrolment. Usage:

    python bench/flood.py [--results 100] [--rate 3600]
"""

import argparse
import asyncio
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from append import IDENTITY, tightening
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from whole_line import STORE

from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.base.secrets import Secret
from linewitness.demo.broker import Mosquitto
from linewitness.demo.plant import Process, free_port
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
from linewitness.records.builder import StreamIdentity
from linewitness.status.health import Health, NoticeCounts
from linewitness.store.keys import Cosigner
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.mqtt import MqttConnector
from linewitness.uplink.options import MqttOptions
from linewitness.uplink.topics import Topics

OTHER = StreamIdentity("bench.example/plant/other/1", "bench", "plant", "other")
PERIOD_S = 0.2
SHORT_LINES = b"aa\n" * (16 * 2**20 // 3)
CLOCK = SystemClock()


def create(folder: Path, identity: StreamIdentity) -> tuple[str, str, bytes]:
    """Make a journal, and return its log key, and hash and bytes of record 0."""
    JournalFile.create(folder, identity, clock=CLOCK, clock_state=SharedClockState()).close()
    with JournalReader(folder) as reader:
        ((_, record_0),) = reader.records(0, 1)
        return str(reader.log_vkey), reader.record_0_hash, record_0


def flood(port: int, topic: str, payload: bytes, rate: float, sent: "Synchronized[int]") -> None:
    """Publish until killed: `rate` messages a second, in bursts of 10 ms, 500 unacknowledged at most."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    room = multiprocessing.Semaphore(500 if len(payload) < 2**16 else 4)

    def acknowledged(*_: object) -> None:
        sent.value += 1
        room.release()

    client.on_publish = acknowledged
    client.connect("127.0.0.1", port)
    client.loop_start()
    began, published = time.perf_counter(), 0
    while True:
        while published < (time.perf_counter() - began) * rate:
            room.acquire()
            client.publish(topic, payload, qos=1)
            published += 1
        time.sleep(0.01)


@contextmanager
def flooding(port: int, topic: str, payload: bytes, rate: float) -> Iterator["Synchronized[int]"]:
    """Flood in a process of its own."""
    sent = multiprocessing.Value("q", 0)
    process = multiprocessing.Process(target=flood, args=(port, topic, payload, rate, sent), daemon=True)
    process.start()
    try:
        yield sent
    finally:
        process.kill()
        process.join()


async def latencies(journal: Journal, judge: ReceiptJudge, count: int) -> list[float]:
    """Return how long each result waited for its receipt, in seconds."""
    waited = []
    for number in range(count):
        began = time.perf_counter()
        head = await journal.submit([tightening(number, CLOCK.stamp().realtime_ns)])
        await judge.reached(head.size)
        waited.append(time.perf_counter() - began)
        await asyncio.sleep(max(PERIOD_S - waited[-1], 0))
    return waited


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(
    folder: Path, port: int, store: Process, cases: dict[str, tuple[str, bytes, float]], count: int
) -> None:
    """Print a line for each case."""
    with JournalReader(folder / "journal") as reader:
        size = reader.size()
    state = SharedClockState()
    telemetry = TelemetryBuffer(folder / "journal", max_bytes=1_000_000)
    options = JournalOptions(directory=folder / "journal")
    async with open_journal(options, clock=CLOCK, clock_state=state) as journal:
        signer = CheckpointSigner(journal, Keyring(folder / "journal").load(LOG_KEY))
        vkey = Cosigner.load(STORE, Secret(file=folder / "store.key")).vkey
        judge = ReceiptJudge(journal, Continuity(journal, clock=CLOCK), store_vkey=vkey, clock=CLOCK)
        forwarder = Forwarder(
            MqttConnector(MqttOptions(url=f"mqtt://127.0.0.1:{port}")).connect,
            journal=journal,
            telemetry=telemetry,
            signer=signer,
            judge=judge,
            alarms=AlarmWatch(journal, judge, counts=NoticeCounts()),
            topics=Topics("bench", "gw"),
            options=ForwardOptions(),
            clock=CLOCK,
            health=Health(),
        )
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(journal.run()), group.create_task(forwarder.run())]
            await judge.reached(size)
            for name, (topic, payload, rate) in cases.items():
                with flooding(port, topic, payload, rate) as sent:
                    while rate and not sent.value:  # noqa: ASYNC110 (another process counts)
                        await asyncio.sleep(0.01)
                    began, before, used = time.perf_counter(), sent.value, cpu_s(store.pid)
                    found = sorted(await latencies(journal, judge, count))
                    took = time.perf_counter() - began
                    sent_rate, core = (sent.value - before) / took, (cpu_s(store.pid) - used) / took
                median, rare = statistics.median(found) * 1000, found[int(0.99 * count) - 1] * 1000
                print(
                    f"{name:24} {sent_rate:6,.0f} messages/s; receipt after {median:5,.0f} ms (median), "
                    f"{rare:5,.0f} ms (99 %), {found[-1] * 1000:5,.0f} ms (longest); "
                    f"the store used {core:.0%} of a core",
                    flush=True,
                )
                await asyncio.sleep(1)
            for task in reversed(tasks):
                task.cancel()
    telemetry.close()


async def run(count: int, rate: float, folder: Path) -> None:
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        raise SystemExit("mosquitto is not installed: apt-get install mosquitto")
    broker = Mosquitto(folder, free_port(), Path(program))
    with (folder / "mosquitto.conf").open("a", encoding="utf-8") as configuration:
        configuration.write(
            "max_inflight_messages 64\nmax_queued_messages 20000\nmax_queued_bytes 268435456\n"
        )
    await broker.start()
    (folder / "store.yaml").write_text(
        f"database: sqlite:///store.db\nname: {STORE}\nkey: {{file: store.key}}\n"
        f"mqtt: {{url: mqtt://127.0.0.1:{broker.port}}}\n",
        encoding="utf-8",
    )
    await Process("store-init", folder, "store", "init", "store.yaml").run()
    for name, identity in (("journal", IDENTITY), ("other", OTHER)):
        vkey, record_0_hash, record_0 = create(folder / name, identity)
        gateway = "gw" if name == "journal" else name
        names = ("--tenant", "bench", "--gateway", gateway, "--log-vkey", vkey, "--record0", record_0_hash)
        await Process(f"enroll-{name}", folder, "store", "enroll", "store.yaml", *names).run()
    stranger = Topics("bench", "stranger").records
    cases = {
        "no flood": (stranger, b"", 0.0),
        "small, not enrolled": (stranger, b"x" * 200, rate),
        "record 0, enrolled": (Topics("bench", "other").records, record_0 + b"\n", rate),
        "16 MiB, not enrolled": (stranger, SHORT_LINES, 5.0),
    }
    store = Process("store", folder, "store", "run", "store.yaml")
    try:
        await store.start()
        await measure(folder, broker.port, store, cases, count)
    finally:
        await store.stop()
        await broker.stop()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--results", type=int, default=100)
    arguments.add_argument("--rate", type=float, default=3600.0)
    chosen = arguments.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(chosen.results, chosen.rate, Path(folder)))


if __name__ == "__main__":
    main()
