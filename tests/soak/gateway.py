"""Run `linewitness` as ever, but prune and inspect each minute, and write down what only the inside knows.

SQLite's cache, which may grow to 16 MiB with the journal, is held to 1 MiB: that it fills up in the first
days is not what the trend of memory is to find.

It is the command that starts the command: `python gateway.py python -m linewitness run line.yaml`. Every few
seconds it appends a line of JSON to the file that SOAK_INSIDE names: how many of asyncio's tasks are not done
and how many blocks the allocator has given out. SIGUSR1 adds how many objects there are of each type.
"""

import asyncio
import gc
import json
import os
import runpy
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any, cast

from linewitness.base import inspection
from linewitness.journal import database
from linewitness.journal.pruning import prune

MINUTE_S = 60.0
CACHE_KIB = 1024
PERIOD_S = 5.0
MOST_TYPES = 200


def write(file: Path, **figures: object) -> None:
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"pid": os.getpid()} | figures) + "\n")


def watch(file: Path) -> None:
    """Write figures until the process ends."""
    while not threading.Event().wait(PERIOD_S):
        tasks = sum(not task.done() for task in list(cast(Any, asyncio.tasks)._all_tasks))
        write(file, tasks=tasks, blocks=sys.getallocatedblocks())


def main() -> None:
    file = Path(os.environ["SOAK_INSIDE"])
    cast(Any, prune).PERIOD_S = MINUTE_S
    cast(Any, inspection).FIRST_S = cast(Any, inspection).EVERY_S = MINUTE_S
    cast(Any, database).CACHE_KIB = CACHE_KIB

    def count(*_: object) -> None:
        gc.collect()
        kinds = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())
        write(file, types=dict(kinds.most_common(MOST_TYPES)))

    signal.signal(signal.SIGUSR1, count)
    threading.Thread(target=watch, args=(file,), daemon=True, name="soak").start()
    sys.argv = sys.argv[3:]
    runpy.run_module("linewitness", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
