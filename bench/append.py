"""Measure appending: canonical form, chain, signature, fsync; as a ratio to a bare loop in the same run.

The bare loop canonicalises, hashes and signs the same records and stores nothing. Usage:

    python bench/append.py [--records 20000] [--sizes 10000,1000000]
"""

import argparse
import gc
import hashlib
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nacl.signing import SigningKey
from peak_memory import peak_mib

from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.evidence.format import canonical
from linewitness.evidence.format.record import Actor, Change, Event, Resource, pae, parse
from linewitness.journal.file import JournalFile
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.records.builder import StreamIdentity

IDENTITY = StreamIdentity("bench.example/plant/line/1", "bench", "plant", "line")
BATCH = 256


def tightening(number: int, now_ns: int) -> Event:
    """An event of the size that a torque tool's result has."""
    return Event(
        kind="tightening.result",
        occurred_ns=now_ns,
        occurred_from="device",
        occurred_unc_ms=500,
        device_time="2026-03-01:08:00:00",
        device_offset_ms=-120,
        actor=Actor("device", "wrench-10"),
        resource=Resource("tightening", f"ACT-1234/1/{number}", ("unit", f"SN{number // 8:07d}")),
        reason="the device completed an operation",
        changes=(
            Change("torque", None, "12.30", "Nm", "11.00", "13.00", "ok"),
            Change("angle", None, "45", "deg", "30", "60", "ok"),
            Change("pset", None, 3),
            Change("tool_serial", None, "C0720021"),
            Change("batch_counter", None, number % 4),
            Change("result", None, "ok", status="ok"),
        ),
        context={
            "device_id": "wrench-10",
            "station_id": "st-10",
            "session_id": "01J00000000000000000000000",
            "raw_hmac_sha256": "ab" * 32,
        },
    )


def append(journal: JournalFile, first: int, count: int, clock: SystemClock) -> float:
    """Append in group commits of `BATCH` and return records per second."""
    began = time.perf_counter()
    for start in range(first, first + count, BATCH):
        numbers = range(start, min(start + BATCH, first + count))
        journal.append([Submission(events=(tightening(n, clock.stamp().realtime_ns),)) for n in numbers])
    return count / (time.perf_counter() - began)


def bare(records: list[bytes], clock: Callable[[], float] = time.perf_counter) -> float:
    """Canonicalise, hash and sign parsed records; return records per second of this clock."""
    key = SigningKey.generate()
    members = [parse(data) for data in records]
    gc.collect()
    began = clock()
    for record in members:
        message = pae("application/vnd.linewitness.record.v1+json", canonical.encode(record))
        hashlib.sha256(message).hexdigest()
        key.sign(message)
    return len(members) / (clock() - began)


def in_a_process_of_its_own(records: list[bytes]) -> float:
    """Run the bare loop where it cannot count towards the memory of the append."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(bare, (records,))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--records", type=int, default=20_000, help="records per measurement")
    arguments.add_argument("--sizes", default="10000", help="journal sizes at which to measure")
    arguments.add_argument("--folder", type=Path, default=None, help="where to write; default: a new folder")
    chosen = arguments.parse_args()
    clock = SystemClock()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        directory = Path(folder) / "journal"
        JournalFile.create(directory, IDENTITY, clock=clock, clock_state=SharedClockState()).close()
        journal = JournalFile.open(directory, clock=clock, clock_state=SharedClockState())
        rates = {}
        for size in sorted(int(text) for text in chosen.sizes.split(",")):
            if journal.head.size < size:
                append(journal, journal.head.size, size - journal.head.size, clock)
            first = journal.head.size
            rate = append(journal, first, chosen.records, clock)
            memory = peak_mib()
            with JournalReader(directory) as reader:
                records = [data for _, data in reader.records(first, first + chosen.records)]
            reference = in_a_process_of_its_own(records)
            rates[size] = rate / reference
            print(
                f"journal of {size:>9,} records: append {rate:8,.0f}/s, bare loop {reference:8,.0f}/s, "
                f"ratio {rate / reference:.2f}, {sum(map(len, records)) // len(records)} bytes a record, "
                f"peak memory {memory:,.0f} MB",
                flush=True,
            )
        journal.close()
        if len(rates) > 1:
            smallest, largest = rates[min(rates)], rates[max(rates)]
            print(f"slower by {smallest / largest:.2f} at {max(rates):,} than at {min(rates):,} records")
        on_disk = sum(path.stat().st_size for path in directory.glob("journal.sqlite*"))
        print(f"journal on disk {on_disk / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
