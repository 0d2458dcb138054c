"""A reader gone mad on a real socket: its share bounds it, and the torque tool beside it stays prompt."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import NS_PER_S, SystemClock
from linewitness.devices.scanner.options import ScannerOptions
from linewitness.journal.journal import Journal
from linewitness.stations.options import StationOptions, UnitOptions
from linewitness.stations.shares import share
from linewitness_simulators.torque import TorqueSimulator, serve
from support.torque_line import Line, fields_of, line, wrench
from support.waiting import until

MIB = 1024**2


#: A reader in a process of its own, which sends a new code as fast as they are read, until its input ends.
#: It keeps little of what was not taken, as a device does.
#: The megabytes that a PC keeps would be read for minutes where Python is traced.
RAVING = """
import itertools, socket, sys, threading
quiet = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), quiet.set()), daemon=True).start()
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
connection, _ = server.accept()
connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
for begin in itertools.count(0, 100):
    if quiet.is_set():
        break
    connection.sendall(b"".join(b"SN%07d\\r\\n" % number for number in range(begin, begin + 100)))
threading.Event().wait()
"""


@contextmanager
def raving() -> Iterator[tuple[int, Callable[[], None]]]:
    """Run a reader gone mad; yield its port, and what makes it quiet."""
    with subprocess.Popen(
        [sys.executable, "-c", RAVING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process.stdin.close
        finally:
            process.kill()


def reader(port: int, **limits: Any) -> ScannerOptions:
    return ScannerOptions.model_validate(
        {
            "id": "reader-10",
            "driver": "scanner",
            "host": "127.0.0.1",
            "port": port,
            "settle_ms": 0,
            "share": limits,
        }
    )


def station() -> StationOptions:
    return StationOptions(
        id="st-10",
        devices=("reader-10", "wrench-10"),
        unit=UnitOptions(scanner="reader-10", pattern=r"SN\d+"),
    )


def is_confirmed(torque: TorqueSimulator, number: int) -> bool:
    return number in torque.acked


def counts(running: Line) -> list[int | None]:
    """Return what each gap says: a number, or that what follows is only counted."""
    return [fields_of(gap).get("count") for gap in running.records("source.gap")]


class Commits:
    """Which commit made what each device said durable."""

    def __init__(self, running: Line, monkeypatch: pytest.MonkeyPatch) -> None:
        self.journal: Journal = running.journal
        self.of_tool: list[int] = []
        monkeypatch.setattr(running.health, "observed", self._observed)

    def beyond(self, count: int) -> bool:
        """Return whether there were more commits of the tool than so many."""
        return len(self.of_tool) > count

    def _observed(self, device: str, count: int) -> None:
        if device == "wrench-10" and count:
            self.of_tool.append(self.journal.pressure.rounds)


async def test_a_reader_gone_mad_leaves_the_journal_to_the_torque_tool_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share, "CALM_NS", NS_PER_S)
    with raving() as (port, quiet):
        async with (
            serve() as torque,
            line(
                tmp_path,
                [wrench(torque), reader(port, records_per_s=20, burst_s=10)],
                [station()],
                max_size=16 * MIB,
            ) as running,
        ):
            await until(torque.subscribed)
            await until(lambda: running.health.shares, "the reader to be above its share")
            begun = SystemClock().stamp().boottime_ns
            for _ in range(100):
                number = torque.tighten()
                await until(partial(is_confirmed, torque, number), "the confirmation")
            await until(lambda: running.health.shares[-1][2] > 50_000, "what a mad reader sends in seconds")
            assert not running.journal.pressure.full
            passed_s = (SystemClock().stamp().boottime_ns - begun) / 1e9
            read = len(running.records("unit.entered")) + len(running.records("unit.left"))
            assert read <= 20 * (10 + passed_s) + 10
            assert running.health.shares[-1][:2] == (True, True)
            quiet()
            # Not the journal: reading it again and again would take the time that the reader's codes need.
            await until(lambda: not running.health.shares[-1][0], "the end of it", timeout_s=120)
            await running.journal.submit([])  # the last gap is shown before it is durable
            assert counts(running)[-1] is not None
            assert sum(filter(None, counts(running))) > 50_000
            passed_s = (SystemClock().stamp().boottime_ns - begun) / 1e9
            gap = [each for each in running.records("source.gap") if "count" in fields_of(each)][-1]
            assert fields_of(gap)["bytes"] == 9 * fields_of(gap)["count"]
            assert gap["context"]["device_id"] == "reader-10"
            assert len(counts(running)) <= 4 + 2 * passed_s / 10


async def test_a_device_waits_for_no_more_than_one_group_of_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with raving() as (port, _):
        async with (
            serve() as torque,
            line(
                tmp_path,
                [wrench(torque), reader(port, records_per_s=1_000_000, bytes_per_s="1 GiB")],
                [station()],
            ) as running,
        ):
            await until(torque.subscribed)
            await until(lambda: running.journal.head.size > 2000, "the flood")
            commits = Commits(running, monkeypatch)
            waited = []
            for _ in range(20):
                before, known = running.journal.pressure.rounds, len(commits.of_tool)
                torque.tighten()
                await until(partial(commits.beyond, known), "the commit of the result")
                waited.append(commits.of_tool[known] - before)
    # The commit under way, those while the telegram is read, the flood's next one, and the result's own.
    assert sorted(waited)[len(waited) // 2] <= 5, waited
