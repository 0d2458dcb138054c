"""Measure the whole way: events submitted, journalled, sent over MQTT, verified and receipted by the store.

The gateway's journal and forwarder run in this process, mosquitto and the audit store in their own. The
ratio is to a bare loop that canonicalises, hashes and signs the same records, run alone before. Usage:

    python bench/end_to_end.py [--records 20000]
"""

import argparse
import asyncio
import resource
import shutil
import tempfile
import time
from pathlib import Path

from append import IDENTITY, bare, tightening

from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.base.secrets import Secret
from linewitness.demo.broker import Mosquitto
from linewitness.demo.plant import Process, free_port
from linewitness.evidence.format.note import Vkey
from linewitness.gateway.ahead.alarms import AlarmWatch
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.continuity import Continuity
from linewitness.gateway.forward import Forwarder
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.journal.attestations import JournalHead
from linewitness.journal.file import JournalFile
from linewitness.journal.journal import open_journal
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
#: Events that wait for their commit at a time, as many busy devices would have.
WINDOW = 512


async def prepare(folder: Path, port: int) -> Cosigner:
    """Make journal, store and enrolment."""
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


async def measure(folder: Path, port: int, store_vkey: Vkey, count: int) -> tuple[float, float]:
    """Return records per second into the journal, and to the receipt."""
    clock, state = SystemClock(), SharedClockState()
    options = JournalOptions(directory=folder / "journal")
    telemetry = TelemetryBuffer(folder / "journal", max_bytes=1_000_000)
    async with open_journal(options, clock=clock, clock_state=state) as journal:
        signer = CheckpointSigner(journal, Keyring(folder / "journal").load(LOG_KEY))
        judge = ReceiptJudge(journal, Continuity(journal, clock=clock), store_vkey=store_vkey, clock=clock)
        uplink = MqttOptions(url=f"mqtt://127.0.0.1:{port}")
        health = Health()
        forwarder = Forwarder(
            MqttConnector(uplink).connect,
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
            sender = group.create_task(forwarder.run())
            await judge.reached(1)
            began = time.perf_counter()
            waiting: list[asyncio.Future[JournalHead]] = []
            for number in range(count):
                waiting.append(journal.submit([tightening(number, clock.stamp().realtime_ns)]))
                if len(waiting) == WINDOW:
                    await waiting[WINDOW // 2]
                    waiting = waiting[WINDOW // 2 :]
            await asyncio.wait(waiting)
            journalled = time.perf_counter() - began
            await judge.reached(count + 1)
            receipted = time.perf_counter() - began
            sender.cancel()
            await journal.drain()
            await asyncio.wait([writer])
    telemetry.close()
    return count / journalled, count / receipted


async def run(count: int, folder: Path) -> None:
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        raise SystemExit("mosquitto is not installed: apt-get install mosquitto")
    broker = Mosquitto(folder, free_port(), Path(program))
    await broker.start()
    store = Process("store", folder, "store", "run", "store.yaml")
    try:
        cosigner = await prepare(folder, broker.port)
        await store.start()
        rates = await measure(folder, broker.port, Vkey.parse(str(cosigner.vkey)), count)
    finally:
        await store.stop()
        await broker.stop()
    for who, name in ((resource.RUSAGE_SELF, "gateway"), (resource.RUSAGE_CHILDREN, "store")):
        print(f"peak memory of the {name} {resource.getrusage(who).ru_maxrss / 1024:,.0f} MB")
    with JournalReader(folder / "journal") as reader:
        records = [data for _, data in reader.records(reader.size() - count, reader.size())]
    reference = bare(records)
    print(f"bare loop {reference:8,.0f}/s")
    print(f"append    {rates[0]:8,.0f}/s, ratio {rates[0] / reference:.2f} (while being forwarded)")
    print(f"receipt   {rates[1]:8,.0f}/s, ratio {rates[1] / reference:.2f} (end to end)")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--records", type=int, default=20_000)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(chosen.records, Path(folder)))


if __name__ == "__main__":
    main()
