"""A real gateway under systemd's eyes: ready, alive, stopping; and ended where a loop is stuck."""

import asyncio
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.errors import ExitCode
from support.lines import prepare, write_line
from support.plants import run
from support.waiting import until

#: Short limits, and then what a test does to a part.
SHORT = """
import sys, time, threading
import linewitness.base.watchdog as s
s.LOOK_S, s.COMMIT_S, s.GRACE_S, s.LAG_S = 0.2, 1.0, 1.0, 1.0
from linewitness.cli import main
from linewitness.journal.file import JournalFile
from linewitness.gateway.lifecycle import Lifecycle
%s
sys.argv = ["linewitness", "run", sys.argv[1]]
main()
"""
STUCK_WRITER = """
append, count = JournalFile.append, []
def stuck(self, batch):
    count.append(1)
    if len(count) > 4:
        time.sleep(3600)
    return append(self, batch)
JournalFile.append = stuck
"""
STUCK_EVENT_LOOP = """
s.Lifeline.__init__.__kwdefaults__['limit_s'] = 1.0
async def heartbeat(self):
    time.sleep(3600)
Lifecycle.heartbeat = heartbeat
"""


@pytest.fixture
async def line(tmp_path: Path) -> Path:
    file = write_line(tmp_path)
    await prepare("init", file)
    return file


@asynccontextmanager
async def systemd(folder: Path) -> AsyncIterator[Any]:
    """A notification socket like systemd's, and what was said to it."""
    path, said = folder / "notify", []
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setblocking(False)
    receiver.bind(str(path))
    loop = asyncio.get_running_loop()
    loop.add_reader(receiver, lambda: said.append(receiver.recv(4096).decode()))
    try:
        yield {**os.environ, "NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "600000"}, said
    finally:
        loop.remove_reader(receiver)
        receiver.close()


async def test_systemd_is_told_when_it_is_ready_alive_and_stopping(line: Path, tmp_path: Path) -> None:
    async with systemd(tmp_path) as (environment, said):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "linewitness", "run", str(line), env=environment
        )
        try:
            await until(lambda: "READY=1" in said, "ready")
            await until(lambda: sum(text.startswith("WATCHDOG=1") for text in said) > 3, "the watchdog")
            assert any("0 of 1 devices up" in text for text in said)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                assert await process.wait() == 0
            await until(lambda: "STOPPING=1" in said, "the farewell")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.mark.parametrize(
    ("what", "words"),
    [(STUCK_WRITER, "no progress: journal"), (STUCK_EVENT_LOOP, "the event loop does not run")],
)
async def test_a_stuck_loop_ends_the_process_with_70(
    line: Path, tmp_path: Path, what: str, words: str
) -> None:
    code = SHORT % what
    async with systemd(tmp_path) as (environment, said):
        found = await run(line, python=("-c", code), env=environment)
        assert found.code == ExitCode.BUG, found
        assert words in found.err
        assert "most recent call first" in found.err
        if "journal" in words:
            await until(lambda: any(text.startswith("STATUS=no progress") for text in said), "the status")
            assert not said[-1].startswith("WATCHDOG")


async def test_a_journal_that_another_process_holds_ends_it_with_4(line: Path, tmp_path: Path) -> None:
    code = "import linewitness.journal.database as d\nd.BUSY_MS = 1000\n" + SHORT % ""
    other = sqlite3.connect(tmp_path / "journal" / "journal.sqlite", isolation_level=None)
    async with systemd(tmp_path) as (environment, said):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(line), env=environment, stderr=asyncio.subprocess.PIPE
        )
        try:
            await until(lambda: "READY=1" in said, "ready")
            other.execute("BEGIN IMMEDIATE")
            process.send_signal(signal.SIGTERM)  # which it has to put on record
            async with asyncio.timeout(20):
                _, error = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    other.close()
    assert process.returncode == ExitCode.JOURNAL, error
    assert b"held by another process" in error
    assert b"Traceback" not in error
