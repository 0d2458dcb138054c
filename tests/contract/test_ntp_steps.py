"""A running gateway whose system clock is set: libfaketime changes what the real process reads."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import SystemClock
from linewitness.journal.reader import JournalReader
from linewitness_simulators.ntp import NtpSimulation, serve

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed"),
]

YAML = """\
version: 1
line: {{tenant: t, plant: p, line: l, gateway: g, origin: acme.example/p/l/1}}
journal: {{directory: {folder}/journal}}
clock: {{ntp: ["127.0.0.1:{port}"], chrony: "off"}}
status: {{enabled: false}}
stations: []
devices:
  - {{id: reader-1, driver: scanner, mode: listen, host: 127.0.0.1, bind: 127.0.0.1, port: {reader}}}
"""


class Gateway:
    """A gateway in a process of its own, and a hand on its clock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.yaml = folder / "line.yaml"
        self._offset = folder / "faketime"

    def set_clock(self, offset_s: float) -> None:
        """Let CLOCK_REALTIME be ahead of true time; CLOCK_BOOTTIME goes on."""
        fresh = self._folder / "faketime.new"
        fresh.write_text(f"{offset_s:+.3f}\n")
        fresh.rename(self._offset)

    async def command(self, *arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "linewitness", *arguments, str(self.yaml)),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        faked = {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "linewitness", "run", str(self.yaml)), env=os.environ | faked
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0

    def records(self, kind: str) -> list[dict[str, Any]]:
        with JournalReader(self._folder / "journal") as journal:
            records = [json.loads(data) for _, data in journal.records()]
        return [record for record in records if record["kind"] == kind]

    async def record(self, kind: str, number: int) -> dict[str, Any]:
        """Wait for the record of this kind with this number."""
        while len(found := self.records(kind)) <= number:  # noqa: ASYNC110 (another process writes them)
            await asyncio.sleep(0.1)
        return found[number]


async def test_each_step_is_on_record_within_5_s_and_the_stream_verifies(tmp_path: Path) -> None:
    clock = SystemClock()
    gateway = Gateway(tmp_path)
    offsets = [0, 3600, 0, -1, 0, 0.2]
    async with serve(NtpSimulation()) as sim:
        gateway.yaml.write_text(YAML.format(folder=tmp_path, port=sim.port, reader=sim.port))
        assert (await gateway.command("init"))[0] == 0
        gateway.set_clock(-1_795_000_000)  # a machine without a battery clock believes that it is 1970
        async with gateway.running():
            first = await gateway.record("clock.status", 0)
            assert first["occurred_at"].startswith("1970-")
            assert first["clock"]["sync"] == "unsynced"
            assert first["clock"]["bound_us"] > 1_700_000_000_000_000
            for number, offset_s in enumerate(offsets):
                set_at_us = clock.stamp().boottime_ns // 1000
                gateway.set_clock(offset_s)
                step = await gateway.record("clock.stepped", number)
                assert 0 <= step["clock"]["boottime_us"] - set_at_us < 5_000_000
                assert step["clock"]["step"] == number + 1
                told = await gateway.record("clock.status", number + 1)
                assert told["clock"]["sync"] == ("unsynced" if abs(offset_s) >= 1 else "locked")
                assert abs(told["clock"]["bound_us"] - abs(offset_s) * 1_000_000) < 500_000
            code, shown = await gateway.command("clock")  # beside the running gateway
            assert code == 0
            assert "state      locked" in shown
            assert f"steps      {len(offsets)}\n" in shown
    code, said = await gateway.command("verify")
    assert code == 0
    assert "INTACT" in said
    assert said.count("the clock was set by") == len(offsets)
