"""Soak one line with all drivers in random faults, and say what came of it.

    make soak MINUTES=60

Over the time given, a gateway with every driver works at a steady pace while cables, broker, store,
devices, clock source and anchors fail at random (seeded) moments. In the first twelfth and the last eighth of
the time the gateway itself is restarted and killed; in between it lives on, so that a trend of its memory
means something.
The output folder gets samples.csv, faults.csv, summary.md, and the line itself.
"""

import argparse
import asyncio
import shutil
import sys
from pathlib import Path

from soak.ending import Report, conclude, settle
from soak.faults import ASIDE, AT_DEVICES, AT_THE_GATEWAY, AT_THE_UPLINK, Faults
from soak.line import Line, open_line
from soak.samples import Sampler
from support.plants import at_work

#: Shares of the time at the beginning and at the end in which the gateway itself is ended again and again.
BEGINNING, END = 1 / 12, 1 / 8
STEP_S = 0.4
WARM_SHARE, WARM_S = 1 / 6, 600.0


async def watch(line: Line, deaths: list[str], until: asyncio.Event) -> None:
    """Start again what ended by itself, as systemd would, and remember it: nothing should."""
    while not until.is_set():
        for name in ("gateway", "store"):
            process = getattr(line.plant, name)
            if not process.running and name not in line.taken:
                code = await process.wait()
                if name not in line.taken and not process.running:
                    deaths.append(f"{name} ended by itself with {code}")
                    await process.start()
        await asyncio.sleep(1)


async def gateway_faults(faults: Faults, seconds: float) -> None:
    """End the gateway again and again, leave it alone for the long middle, and end it again."""
    pause_s = (min(20.0, seconds / 30), min(60.0, seconds / 15))
    for share, leave in ((BEGINNING, False), (1 - BEGINNING - END, True), (END, False)):
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            if not leave:
                group.create_task(faults.run(AT_THE_GATEWAY, pause_s, over))
            await asyncio.sleep(seconds * share)
            over.set()


async def soak(minutes: float, seed: int, output: Path) -> Report:
    """Run the line, and return what came of it."""
    seconds = minutes * 60
    async with open_line(output / "line") as line:
        await line.plant.store.start()
        await line.plant.gateway.start()
        await at_work(line.plant)
        faults = Faults(line, seed, output / "faults.csv")
        sampler = Sampler(line, output / "samples.csv")
        deaths: list[str] = []
        stop_all, stop_work = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as always:
            always.create_task(sampler.run(stop_all))
            guard = always.create_task(watch(line, deaths, stop_all))
            working = always.create_task(line.work(STEP_S, stop_work))
            async with asyncio.TaskGroup() as wrong:
                wrong.create_task(faults.run(AT_DEVICES, (2, 20), line.calm))
                wrong.create_task(faults.run(AT_THE_UPLINK, (5, 40), line.calm))
                wrong.create_task(faults.run(ASIDE, (10, 60), line.calm))
                await gateway_faults(faults, seconds)
                line.calm.set()
            await line.lasting(0)
            stop_work.set()
            await working
            settled = await settle(line)
            guard.cancel()
            stop_all.set()
        warm_s = min(WARM_S, seconds * WARM_SHARE)
        return await conclude(line, faults, sampler, deaths=deaths, settled=settled, warm_s=warm_s)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=60)
    arguments.add_argument("--seed", type=int, default=6)
    arguments.add_argument("--output", type=Path, default=Path("soak-run"))
    chosen = arguments.parse_args()
    output = chosen.output.resolve()
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    report = asyncio.run(soak(chosen.minutes, chosen.seed, output))
    text = f"# Soak of {chosen.minutes:g} minutes, seed {chosen.seed}\n\n{report.text}"
    (output / "summary.md").write_text(text, encoding="utf-8")
    print(text)
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
