"""Write a journal of the newest format, once: `python -m support.journal_formats` in the folder tests/.


A journal that is there is never written again: it is what a plant may have on its disk.
"""

import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path

from linewitness.journal.database import SCHEMA_VERSION, path_of
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from support.clocks import ManualClock
from support.journals import create, result_event, running

FOLDER = Path(__file__).parents[1] / "fixtures" / "journals"


async def fill(directory: Path) -> None:
    """Write a short stream with units, state, device bytes, a rotation of keys and a large commit."""
    clock = ManualClock()
    create(directory, clock)
    async with running(directory, clock) as journal:
        for number in range(20):
            await journal.submit(
                [result_event(number, clock, unit=f"SN{number // 5:04d}")],
                state={"capture/wrench-10": json.dumps({"state": "up", "since_ns": 0, "why": ""})},
                raw={"00" * 32: b"raw bytes of a device"},
            )
        await journal.submit_all(Submission(rotate=True))
        await journal.submit([result_event(20, clock)])
        await journal.submit([result_event(number, clock, unit="") for number in range(21, 321)])


def main() -> None:
    target = FOLDER / f"v{SCHEMA_VERSION}"
    if target.exists():
        sys.exit(f"{target} is there already: a released format does not change")
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "journal"
        asyncio.run(fill(directory))
        with JournalReader(directory) as reader:
            head = reader.head()
            expected = {
                "size": head.size,
                "record_0": reader.record_0_hash,
                "record_hash": head.record_hash,
                "root": head.root.hex(),
                "log_vkey": str(reader.log_vkey),
            }
        target.mkdir(parents=True)
        shutil.copy(path_of(directory), target)
        shutil.copytree(directory / "keys", target / "keys")
        (target / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
