"""Measure how a backlog drains while live results arrive: are they held up, and does memory grow with it?

A real gateway (`linewitness run`) with one torque controller, mosquitto and a real audit store, in three
acts: live results alone; the same while a backlog that was written into the journal before is sent; the same
alone again, with the journal as large as it is then. "Live" means captured and confirmed: the time from a
tightening to the controller's being told that it is durable. Records leave in the order of their sequence
numbers, so that a live result reaches the store when the backlog before it has. Some live results are not ok:
of each the bench says how long after its commit here the store knew it by notice, by a signed head, and by
record. Usage:

    python bench/backlog.py [--records 100000] [--rate 20] [--quiet-s 30] [--store-in /dev/shm]

The store shares the gateway's disk unless `--store-in` names another: their commits wait for each other
there, which they do not where the store is another machine.
"""

import argparse
import asyncio
import itertools
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from append import BATCH, tightening

from linewitness.base.clock import SharedClockState, SystemClock, monotonic
from linewitness.base.secrets import Secret
from linewitness.config import load
from linewitness.demo.broker import Mosquitto
from linewitness.demo.plant import STORE_NAME, Process, free_port
from linewitness.evidence.format.record import parse
from linewitness.journal.file import JournalFile
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.store.keys import Cosigner
from linewitness_simulators.torque.server import TorqueSimulator, serve

LINE = """\
version: 1
line: {{tenant: bench, plant: plant, line: line, gateway: gw, origin: bench.example/plant/line/1}}
journal: {{directory: journal}}
clock: {{chrony: auto}}
uplink: {{url: "mqtt://127.0.0.1:{broker}"}}
store: {{vkey: {vkey}}}
status: {{enabled: false}}
stations:
  - {{id: st-10, devices: [wrench-10]}}
devices:
  - {{id: wrench-10, driver: open_protocol, host: 127.0.0.1, port: {torque}, timezone: UTC, start_after: 0}}
"""
MB = 1_000_000
SAMPLE_S = 0.5
#: One live result of so many is not ok: its notice is waited for.
BAD_EVERY = 40
KNOWN_S = 0.05
PATIENCE_S = 7200.0


class Live:
    """A controller at work, and how long it waits for each confirmation."""

    def __init__(self, simulator: TorqueSimulator) -> None:
        self.waits_ms: list[float] = []
        self.made = 0
        self.bad: set[int] = set()
        self._simulator = simulator
        self._made_at: dict[int, float] = {}
        add = simulator.ledger.add

        def noting(session: int, what: str, mid: int, number: int | None = None, text: str = "") -> None:
            add(session, what, mid, number, text)
            if what == "acked" and number in self._made_at:
                self.waits_ms.append((monotonic() - self._made_at.pop(number)) * 1000)

        simulator.ledger.add = noting  # type: ignore[method-assign]  # the moment is all that is wanted

    @property
    def waiting(self) -> int:
        """Results that were not confirmed yet."""
        return len(self._made_at)

    async def listened_to(self) -> None:
        """Wait until the gateway listens."""
        while not self._simulator.subscribed():  # noqa: ASYNC110 (a bench looks from outside)
            await asyncio.sleep(0.05)

    async def work(self, rate: float, over: asyncio.Event) -> None:
        """Tighten at this rate, whether or not confirmations come."""
        await self.listened_to()
        began = monotonic()
        for count in itertools.count(1):
            if over.is_set():
                return
            made_at = monotonic()
            ok = count % BAD_EVERY != 1
            number = self._simulator.tighten(ok=ok)
            self._made_at[number] = made_at
            if not ok:
                self.bad.add(number)
            self.made += 1
            await asyncio.sleep(max(0.0, began + count / rate - monotonic()))


@dataclass
class Act:
    """What was seen in one act."""

    name: str
    waits_ms: list[float] = field(default_factory=list)
    rss: dict[str, list[int]] = field(default_factory=lambda: {"gateway": [], "store": [], "broker": []})
    seconds: float = 0.0
    receipted: int = 0
    known_s: dict[str, list[float]] = field(default_factory=lambda: {"notice": [], "head": [], "record": []})

    def known(self) -> str:
        """Say how long after its commit the store knew a live result, in the middle and at most."""
        return "\n".join(
            f"at the store by {how:<6}: {len(seconds)} live results that are not ok, "
            f"after {statistics.median(seconds):.1f} s, {max(seconds):.1f} s at most"
            for how, seconds in self.known_s.items()
            if seconds
        )

    def line(self) -> str:
        waits = sorted(self.waits_ms)
        memory = ", ".join(
            f"{name} {seen[0] / MB:.0f}/{max(seen) / MB:.0f}/{seen[-1] / MB:.0f}"
            for name, seen in self.rss.items()
        )
        return (
            f"{self.name:<14} {len(waits):>6} live, ms to confirm: median {statistics.median(waits):.1f}, "
            f"99 % {waits[int(len(waits) * 0.99)]:.1f}, max {waits[-1]:.1f}; "
            f"MB at begin/most/end: {memory}"
        )


class Bench:
    """The folder, the processes and the acts."""

    def __init__(
        self, folder: Path, broker: Mosquitto, simulator: TorqueSimulator, *, rate: float, store_folder: Path
    ) -> None:
        self.folder = folder
        self._database = store_folder / "store.db"
        self.broker = broker
        self.gateway = Process("gateway", folder, "run", "line.yaml")
        self.store = Process("store", folder, "store", "run", "store.yaml")
        self.live = Live(simulator)
        self._port = simulator.port
        self._rate = rate

    async def prepare(self) -> None:
        """Make store and stream, and let them know each other."""
        (self.folder / "store.yaml").write_text(
            f"database: sqlite:///{self._database}\nname: {STORE_NAME}\nkey: {{file: store.key}}\n"
            f"mqtt: {{url: mqtt://127.0.0.1:{self.broker.port}}}\n",
            encoding="utf-8",
        )
        await Process("store-init", self.folder, "store", "init", "store.yaml").run()
        vkey = Cosigner.load(STORE_NAME, Secret(file=self.folder / "store.key")).vkey
        text = LINE.format(broker=self.broker.port, torque=self._port, vkey=vkey)
        (self.folder / "line.yaml").write_text(text, encoding="utf-8")
        await Process("init", self.folder, "init", "line.yaml").run()
        with self.journal() as journal:
            pinned = ("--log-vkey", str(journal.log_vkey), "--record0", journal.record_0_hash)
        await Process(
            *("enroll", self.folder, "store", "enroll", "store.yaml", "--tenant", "bench", "--gateway", "gw"),
            *pinned,
        ).run()

    def journal(self) -> JournalReader:
        return JournalReader(self.folder / "journal")

    def pile_up(self, count: int) -> float:
        """Write a backlog into the journal, as an outage of the network would; return records a second."""
        clock = SystemClock()
        directory = load(self.folder / "line.yaml").journal.directory
        file = JournalFile.open(directory, clock=clock, clock_state=SharedClockState())
        began = time.perf_counter()
        for start in range(0, count, BATCH):
            numbers = range(start, min(start + BATCH, count))
            file.append([Submission(events=(tightening(n, clock.stamp().realtime_ns),)) for n in numbers])
        file.close()
        return count / (time.perf_counter() - began)

    async def act(self, name: str, *, quiet_s: float | None) -> Act:
        """Run gateway and store with live results, for a time or until a backlog is drained."""
        seen = Act(name)
        self.live.waits_ms = seen.waits_ms
        self.live.bad = set()
        over = asyncio.Event()
        with self.journal() as journal:
            before = journal.figures()
            await self.store.start()
            await self.gateway.start()
            began = monotonic()
            async with asyncio.TaskGroup() as group:
                work = group.create_task(self.live.work(self._rate, over))
                looking = group.create_task(self._look(seen))
                knowing = group.create_task(self._known(seen, before.size))
                if quiet_s is not None:
                    await asyncio.sleep(quiet_s)
                else:
                    await self._drained(journal, before.size)
                seen.seconds = monotonic() - began
                seen.receipted = journal.figures().receipted - before.receipted
                over.set()
                await work
                await self._until(lambda: not self.live.waiting, "confirmations")
                await self._drained(journal, journal.figures().size - 50)
                looking.cancel()
                knowing.cancel()
        await self.gateway.stop()
        await self.store.stop()
        return seen

    async def _known(self, seen: Act, first: int) -> None:
        """Note how long after its commit the store knows each live result that is not ok, and by what."""
        waiting: dict[int, tuple[float, set[str]]] = {}
        with self.journal() as journal:
            looked = first
            while True:
                size = journal.size()
                for sequence_no, data in journal.records(looked, size):
                    members = parse(data)
                    number = members["resource"]["id"].rpartition("/")[2]
                    if members["kind"] == "tightening.result" and int(number) in self.live.bad:
                        self.live.bad.remove(int(number))
                        waiting[sequence_no] = (monotonic(), set())
                looked = size
                at, known = monotonic(), await asyncio.to_thread(self._at_store)
                for sequence_no, (found_at, by) in list(waiting.items()):
                    for how in known(sequence_no) - by:
                        seen.known_s[how].append(at - found_at)
                        by.add(how)
                    if "record" in by:
                        del waiting[sequence_no]
                await asyncio.sleep(KNOWN_S)

    def _at_store(self) -> Callable[[int], set[str]]:
        """Return by what the store knows a record now."""
        connection = sqlite3.connect(self._database)
        try:
            (size,) = connection.execute("SELECT size FROM streams").fetchone()
            (head,) = connection.execute("SELECT COALESCE(MAX(size), 0) FROM heads").fetchone()
            noticed = {row[0] for row in connection.execute("SELECT seq FROM notices")}
        finally:
            connection.close()

        def known(seq: int) -> set[str]:
            marks = {"notice": seq in noticed, "head": seq < max(head, size), "record": seq < size}
            return {how for how, is_known in marks.items() if is_known}

        return known

    async def _drained(self, journal: JournalReader, size: int) -> None:
        await self._until(lambda: journal.figures().receipted >= size, f"a receipt over {size} records")

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = monotonic() + PATIENCE_S
        while not condition():
            if monotonic() > deadline or not self.gateway.running:
                raise SystemExit(f"waited for {what}: {self.gateway.log.read_text()[-2000:]}")
            await asyncio.sleep(0.25)

    async def _look(self, seen: Act) -> None:
        await self.live.listened_to()
        while True:
            pids = {"gateway": self.gateway.pid, "store": self.store.pid, "broker": self.broker_pid}
            for name, pid in pids.items():
                seen.rss[name].append(psutil.Process(pid).memory_info().rss)
            await asyncio.sleep(SAMPLE_S)

    @property
    def broker_pid(self) -> int:
        pid: int = next(
            child.pid
            for child in psutil.Process().children()
            if child.name() == "mosquitto" and str(self.folder) in " ".join(child.cmdline())
        )
        return pid

    def stored(self) -> tuple[int, int, int]:
        """Return how many records the store holds, the highest number among them, and results told of."""
        connection = sqlite3.connect(self._database)
        try:
            count, highest = connection.execute("SELECT COUNT(*), MAX(seq) FROM entries").fetchone()
        finally:
            connection.close()
        return count, highest, self.live.made


@contextmanager
def scratch(parent: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)


@asynccontextmanager
async def opened(folder: Path, *, rate: float, store_folder: Path) -> AsyncIterator[Bench]:
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        raise SystemExit("mosquitto is not installed: apt-get install mosquitto")
    broker = Mosquitto(folder, free_port(), Path(program))
    await broker.start()
    try:
        async with serve() as simulator:
            bench = Bench(folder, broker, simulator, rate=rate, store_folder=store_folder)
            try:
                await bench.prepare()
                yield bench
            finally:
                await bench.gateway.kill()
                await bench.store.stop()
    finally:
        await broker.stop()


async def run(records: int, quiet_s: float, bench_opened: AbstractAsyncContextManager[Bench]) -> None:
    async with bench_opened as bench:
        before = await bench.act("no backlog", quiet_s=quiet_s)
        print(before.line(), flush=True)
        appended = await asyncio.to_thread(bench.pile_up, records)
        print(f"{records:,} records written at {appended:,.0f}/s, unsent", flush=True)
        during = await bench.act("backlog", quiet_s=None)
        print(during.line(), flush=True)
        print(f"receipted {during.receipted:,} records in {during.seconds:,.0f} s")
        print(during.known(), flush=True)
        after = await bench.act("large journal", quiet_s=quiet_s)
        print(after.line(), flush=True)
        report(bench, before, during, after)


def report(bench: Bench, before: Act, during: Act, after: Act) -> None:
    drained = during.receipted / during.seconds
    with bench.journal() as journal:
        some = [len(data) + 1 for _, data in journal.records(1000, 2000)]
    batch = 256 * 1024 / statistics.fmean(some)
    print(f"drained {during.receipted:,} records in {during.seconds:,.0f} s: {drained:,.0f}/s")
    print(f"one batch of {batch:,.0f} records takes {batch / drained * 1000:,.0f} ms of it")
    alone = max(*before.waits_ms, *after.waits_ms)
    print(
        f"slowest live confirmation: {max(during.waits_ms):,.0f} ms, "
        f"{max(during.waits_ms) / alone:.1f} times that without backlog ({alone:,.0f} ms); "
        f"medians {statistics.median(during.waits_ms):.1f} "
        f"and {statistics.median(before.waits_ms + after.waits_ms):.1f} ms"
    )
    for name in during.rss:
        most, quiet = max(during.rss[name]), max(*before.rss[name], *after.rss[name])
        print(f"most memory of the {name}: {most / MB:.0f} MB, {most / quiet:.2f} times that without")
    count, highest, made = bench.stored()
    whole = "none missing, none twice" if count == highest + 1 else "NOT WHOLE"
    print(f"the store holds {count:,} records up to number {highest:,}: {whole}; {made:,} live results made")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--records", type=int, default=100_000)
    arguments.add_argument("--rate", type=float, default=20.0, help="live results a second")
    arguments.add_argument("--quiet-s", type=float, default=30.0, help="seconds of the acts without backlog")
    arguments.add_argument("--folder", type=Path, default=None, help="where to write; default: a new folder")
    arguments.add_argument(
        "--store-in", type=Path, default=None, help="another disk for the store's database"
    )
    chosen = arguments.parse_args()
    with scratch(chosen.folder) as folder, scratch(chosen.store_in or folder) as store_folder:
        bench = opened(folder, rate=chosen.rate, store_folder=store_folder)
        asyncio.run(run(chosen.records, chosen.quiet_s, bench))


if __name__ == "__main__":
    main()
