"""Look at the processes every few seconds, and draw a line through what was seen."""

import asyncio
import csv
import itertools
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

import psutil

from linewitness.base.clock import monotonic
from soak.line import Line

PERIOD_S = 5.0
#: The status page is read this often, in samples.
PAGE_EVERY = 3
MB = 1_000_000


@dataclass(frozen=True)
class Sample:
    """What was seen at one moment; 0 where a process was away."""

    at_s: float
    gateway: int
    rss: int
    uss: int
    fds: int
    threads: int
    cpu_s: float
    tasks: int
    blocks: int
    journal: int
    wal: int
    telemetry: int
    log: int
    pending: int
    store: int
    store_rss: int
    store_fds: int
    store_db: int
    store_log: int
    broker_rss: int


class Sampler:
    """Take samples, keep them, and write each one down at once."""

    def __init__(self, line: Line, file: Path) -> None:
        self._line = line
        self._file = file
        self._began = monotonic()
        self._inside = b""
        self.samples: list[Sample] = []
        self.pages = 0
        self.pages_missed = 0
        with file.open("w", newline="", encoding="utf-8") as rows:
            csv.writer(rows).writerow(field.name for field in fields(Sample))

    async def run(self, until: asyncio.Event) -> None:
        """Take samples until told otherwise."""
        pending = 0
        for number in itertools.count():
            if number % PAGE_EVERY == 0:
                pending = await self._pending(pending)
            self._keep(self._take(pending))
            with suppress(TimeoutError):
                async with asyncio.timeout(PERIOD_S):
                    await until.wait()
            if until.is_set():
                return

    def _keep(self, sample: Sample) -> None:
        self.samples.append(sample)
        with self._file.open("a", newline="", encoding="utf-8") as rows:
            csv.writer(rows).writerow(asdict(sample).values())

    def _take(self, pending: int) -> Sample:
        plant = self._line.plant
        folder, journal = plant.folder, plant.folder / "journal"
        gateway, store = _look(plant.gateway), _look(plant.store)
        tasks, blocks = self._from_inside(gateway.pid)
        return Sample(
            at_s=round(monotonic() - self._began, 1),
            gateway=gateway.pid,
            rss=gateway.rss,
            uss=gateway.uss,
            fds=gateway.fds,
            threads=gateway.threads,
            cpu_s=round(gateway.cpu_s, 1),
            tasks=tasks,
            blocks=blocks,
            journal=_bytes(journal / "journal.sqlite"),
            wal=_bytes(journal / "journal.sqlite-wal"),
            telemetry=_bytes(journal / "telemetry.sqlite") + _bytes(journal / "telemetry.sqlite-wal"),
            log=_bytes(plant.gateway.log),
            pending=pending,
            store=store.pid,
            store_rss=store.rss,
            store_fds=store.fds,
            store_db=_bytes(folder / "store.db") + _bytes(folder / "store.db-wal"),
            store_log=_bytes(plant.store.log),
            broker_rss=_rss(cast(Any, plant.broker).pid),
        )

    def _from_inside(self, pid: int) -> tuple[int, int]:
        """Return the newest numbers of tasks and blocks that this process wrote, 0 where it wrote none."""
        with suppress(FileNotFoundError), self._line.inside_file.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 400))
            for text in reversed(file.read().split(b"\n")):
                if text.startswith(b'{"pid": %d, "tasks"' % pid) and text.endswith(b"}"):
                    told = json.loads(text)
                    return told["tasks"], told["blocks"]
        return 0, 0

    async def _pending(self, before: int) -> int:
        """Read the metrics as a Prometheus would; what it said before where nobody answers."""
        if not self._line.plant.gateway.running:
            return before
        try:
            async with asyncio.timeout(5):
                text = await _get("/metrics", self._line.status_port)
        except (OSError, TimeoutError):
            self.pages_missed += 1
            return before
        self.pages += 1
        for line in text.splitlines():
            if line.startswith("linewitness_records_pending "):
                return int(float(line.split()[1]))
        return before


@dataclass(frozen=True)
class Seen:
    pid: int = 0
    rss: int = 0
    uss: int = 0
    fds: int = 0
    threads: int = 0
    cpu_s: float = 0.0


def _look(process: Any) -> Seen:
    if not process.running:
        return Seen()
    try:
        seen = psutil.Process(process.pid)
        memory, cpu = seen.memory_full_info(), seen.cpu_times()
        return Seen(
            process.pid, memory.rss, memory.uss, seen.num_fds(), seen.num_threads(), cpu.user + cpu.system
        )
    except psutil.Error:
        return Seen()


def _rss(pid: int) -> int:
    try:
        return psutil.Process(pid).memory_info().rss if pid else 0
    except psutil.Error:
        return 0


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


async def _get(path: str, port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        return (await reader.read()).decode()
    finally:
        writer.close()


@dataclass(frozen=True)
class Trend:
    """A straight line through samples: what it gains in an hour, and what the samples spanned."""

    per_hour: float
    error: float
    least: float
    most: float
    first: float
    last: float


def trend(samples: Sequence[Sample], value: Callable[[Sample], float]) -> Trend:
    """Fit by least squares; `error` is the slope's standard error, `first` and `last` medians of a fifth."""
    hours = [sample.at_s / 3600 for sample in samples]
    values = [float(value(sample)) for sample in samples]
    slope, level = statistics.linear_regression(hours, values)
    middle = statistics.fmean(hours)
    rest = sum((y - level - slope * x) ** 2 for x, y in zip(hours, values, strict=True))
    spread = sum((x - middle) ** 2 for x in hours)
    fifth = max(1, len(values) // 5)
    return Trend(
        slope,
        (rest / max(1, len(values) - 2) / spread) ** 0.5,
        min(values),
        max(values),
        statistics.median(values[:fifth]),
        statistics.median(values[-fifth:]),
    )


def lifetimes(samples: Sequence[Sample], which: Callable[[Sample], int]) -> Iterator[list[Sample]]:
    """Yield the samples of one process after the other."""
    for pid, group in itertools.groupby(samples, which):
        if pid:
            yield list(group)


def longest(samples: Sequence[Sample], which: Callable[[Sample], int], warm_s: float) -> list[Sample]:
    """Return the samples of the process that was watched longest, without its first `warm_s` seconds."""
    watched = max(lifetimes(samples, which), key=lambda life: life[-1].at_s - life[0].at_s, default=[])
    return [sample for sample in watched if sample.at_s - watched[0].at_s >= warm_s]
