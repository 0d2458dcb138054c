"""Measure verifying a stream on all cores, as a ratio to checking one bare signature a record on all cores.

The bare loop checks a signature over the message of each record with the same library, in as many processes,
with everything at hand and nothing else to do. In the stream one signature vouches for a whole commit.
Usage:

    python bench/verify.py [--records 1000000] [--workers 2]
"""

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from append import BATCH, IDENTITY, tightening
from nacl.signing import SigningKey

from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.evidence.format.reading import read
from linewitness.evidence.verify.stream import read_ndjson, verify
from linewitness.journal.file import JournalFile
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission

SAMPLE = 20_000


def fill(directory: Path, records: int) -> None:
    """Write a journal of so many records."""
    clock = SystemClock()
    JournalFile.create(directory, IDENTITY, clock=clock, clock_state=SharedClockState()).close()
    journal = JournalFile.open(directory, clock=clock, clock_state=SharedClockState())
    for start in range(journal.head.size, records, BATCH):
        numbers = range(start, min(start + BATCH, records))
        journal.append([Submission(events=(tightening(n, clock.stamp().realtime_ns),)) for n in numbers])
    journal.close()


def bare(records: list[bytes]) -> float:
    """Check a signature of each record, whose messages are at hand; return seconds a record."""
    key = SigningKey.generate()
    work = [
        (message, key.sign(message).signature) for message in (read(data).fields.message for data in records)
    ]
    began = time.perf_counter()
    for message, signature in work:
        key.verify_key.verify(message, signature)
    return (time.perf_counter() - began) / len(work)


def bare_rate(records: list[bytes], workers: int) -> float:
    """Return signatures per second of so many processes at once."""
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        took = pool.starmap(bare, [(records,)] * workers)
    return sum(1 / each for each in took)


class Peak(threading.Thread):
    """The largest memory of this process and of its workers while something runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.own = self.worker = 0
        self._end = threading.Event()

    def run(self) -> None:
        me = psutil.Process()
        while not self._end.wait(0.1):
            self.own = max(self.own, me.memory_info().rss)
            for child in me.children(recursive=True):
                try:
                    self.worker = max(self.worker, child.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue

    def end(self) -> None:
        self._end.set()
        self.join()


def export(directory: Path, path: Path) -> None:
    with JournalReader(directory) as reader, path.open("wb") as file:
        file.writelines(data + b"\n" for _, data in reader.records())


def measured(records: Iterator[bytes], workers: int) -> tuple[float, Peak, str]:
    peak = Peak()
    peak.start()
    began = time.perf_counter()
    verdict = verify(records, workers=workers)
    took = time.perf_counter() - began
    peak.end()
    return took, peak, verdict.text


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--records", type=int, default=100_000)
    arguments.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments.add_argument("--folder", type=Path, default=None, help="where to write; default: a new folder")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        fill(Path(folder) / "journal", chosen.records)
        path = Path(folder) / "records.ndjson"
        export(Path(folder) / "journal", path)
        sample = [data for _, data in zip(range(SAMPLE), read_ndjson(path), strict=False)][-SAMPLE // 2 :]
        before = bare_rate(sample, chosen.workers)
        took, peak, text = measured(read_ndjson(path), chosen.workers)
        after = bare_rate(sample, chosen.workers)
    rate, reference = chosen.records / took, (before + after) / 2
    print(
        f"{chosen.records:,} records on {chosen.workers} cores: {rate:,.0f}/s,"
        f" bare signatures {reference:,.0f}/s ({before:,.0f} before, {after:,.0f} after),"
        f" ratio {rate / reference:.2f}; peak memory {peak.own / 1e6:,.0f} MB,"
        f" of a worker {peak.worker / 1e6:,.0f} MB; {text}"
    )


if __name__ == "__main__":
    main()
