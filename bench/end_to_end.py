"""Measure the whole way: events submitted, journalled, sent over MQTT, verified and receipted by the store.

The gateway's journal and forwarder run in this process, mosquitto and the audit store in their own. The
ratio is to a bare loop that canonicalises, hashes and signs the same records, run alone before. Then a
backlog that was written before is sent: the ratio of its rate is to that of the live records. Usage:

    python bench/end_to_end.py [--records 20000] [--backlog 100000]
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from append import BATCH, bare, tightening
from peak_memory import peak_mib
from whole_line import Plant, gateway, plant

from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.journal.attestations import JournalHead
from linewitness.journal.file import JournalFile
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission

#: Events that wait for their commit at a time, as many busy devices would have.
WINDOW = 512


async def measure(plant: Plant, count: int) -> tuple[float, float]:
    """Return records per second into the journal, and to the receipt."""
    async with gateway(plant) as own:
        began = time.perf_counter()
        waiting: list[asyncio.Future[JournalHead]] = []
        for number in range(count):
            waiting.append(own.journal.submit([tightening(number, own.clock.stamp().realtime_ns)]))
            if len(waiting) == WINDOW:
                await waiting[WINDOW // 2]
                waiting = waiting[WINDOW // 2 :]
        await asyncio.wait(waiting)
        journalled = time.perf_counter() - began
        await own.judge.reached(count + 1)
        receipted = time.perf_counter() - began
    return count / journalled, count / receipted


def pile_up(plant: Plant, count: int) -> None:
    """Write a backlog into the journal, as an outage of the network would."""
    clock = SystemClock()
    file = JournalFile.open(plant.folder / "journal", clock=clock, clock_state=SharedClockState())
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        file.append([Submission(events=(tightening(n, clock.stamp().realtime_ns),)) for n in numbers])
    file.close()


async def drain(plant: Plant, count: int) -> float:
    """Return records per second of a backlog, from the start of the gateway to the receipt over all."""
    await asyncio.to_thread(pile_up, plant, count)
    with JournalReader(plant.folder / "journal") as reader:
        size = reader.size()
    began = time.perf_counter()
    async with gateway(plant) as own:
        await own.judge.reached(size)
        return count / (time.perf_counter() - began)


async def run(count: int, backlog: int, folder: Path) -> None:
    async with plant(folder) as running:
        rates = await measure(running, count)
        drained = await drain(running, backlog)
        for pid, name in (("self", "gateway"), (running.store.pid, "store")):
            print(f"peak memory of the {name} {peak_mib(pid):,.0f} MB")
    with JournalReader(folder / "journal") as reader:
        records = [data for _, data in reader.records(reader.size() - count, reader.size())]
    reference = bare(records)
    print(f"bare loop {reference:8,.0f}/s")
    print(f"append    {rates[0]:8,.0f}/s, ratio {rates[0] / reference:.2f} (while being forwarded)")
    print(f"receipt   {rates[1]:8,.0f}/s, ratio {rates[1] / reference:.2f} (end to end)")
    print(
        f"backlog   {drained:8,.0f}/s, ratio {drained / rates[1]:.2f} to the live records up to their receipt"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--records", type=int, default=20_000)
    arguments.add_argument("--backlog", type=int, default=100_000)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(chosen.records, chosen.backlog, Path(folder)))


if __name__ == "__main__":
    main()
