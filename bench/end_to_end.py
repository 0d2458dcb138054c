"""Measure the whole way: events submitted, journalled, sent over MQTT, verified and receipted by the store.

The gateway's journal and forwarder run in this process, mosquitto and the audit store in their own. The
ratio is to a bare loop that canonicalises, hashes and signs the same records, run alone before. Usage:

    python bench/end_to_end.py [--records 20000]
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from append import bare, tightening
from peak_memory import peak_mib
from whole_line import Plant, gateway, plant

from linewitness.journal.attestations import JournalHead
from linewitness.journal.reader import JournalReader

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


async def run(count: int, folder: Path) -> None:
    async with plant(folder) as running:
        rates = await measure(running, count)
        for pid, name in (("self", "gateway"), (running.store.pid, "store")):
            print(f"peak memory of the {name} {peak_mib(pid):,.0f} MB")
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
