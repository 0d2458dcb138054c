"""A log that nobody reads, or that cannot be written, and a device that makes one: the line goes on."""

import asyncio
import fcntl
import json
import os
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from linewitness.base.errors import ExitCode
from linewitness.demo.plant import free_port
from support.lines import prepare, write_line
from support.plants import Load, account, at_work, new_plant, run, settle, stopped
from support.waiting import until

#: A short queue, so that little is enough to fill it, and every message as often as it comes.
SHORT = """
import sys
import linewitness.base.line_writer as w, linewitness.base.log_limits as l
w.LineWriter.__init__.__kwdefaults__["max_bytes"] = 4000
l.LogLimits.__init__.__kwdefaults__["first"] = 10**6
from linewitness.cli import main
sys.argv = ["linewitness", "run", sys.argv[1]]
main()
"""
FLOOD_S = 3.0


@asynccontextmanager
async def unread(folder: Path) -> AsyncIterator[tuple[Path, int]]:
    """A named pipe that is full from the beginning, and where to read from it."""
    path = folder / "log.pipe"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 4096)
    os.write(descriptor, b"\n" * 4096)
    try:
        yield path, descriptor
    finally:
        os.close(descriptor)


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 2**20)
    except BlockingIOError:
        return b""


async def test_results_are_confirmed_while_nobody_reads_the_log_and_the_gateway_can_be_stopped(
    tmp_path: Path,
) -> None:
    async with unread(tmp_path) as (path, descriptor), new_plant(tmp_path) as plant:
        to_pipe = ("sh", "-c", f'exec "$0" "$@" 2> {path}')
        plant.gateway.wrapper = to_pipe
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        async with (load := Load(plant)).going_on():
            await until(lambda: load.steps > 20, "a second of work")
        await settle(plant, load.made)  # stops the gateway: exit code 0 within 20 s
        account(plant, load.made).check()
        await plant.gateway.start()
        await at_work(plant)
        found = bytearray()

        def look() -> bool:
            found.extend(read(descriptor))
            return b"uplink connected" in found

        await until(look, "the log, as soon as somebody reads it")
        assert await stopped(plant) == 0


def ask(url: str) -> str:
    """Return a page of the gateway, or nothing while there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 (our own page)
            return str(answer.read().decode())
    except OSError:
        return ""


async def test_it_is_shown_what_is_dropped_and_whoever_reads_again_is_told(tmp_path: Path) -> None:
    page = f"http://127.0.0.1:{(port := free_port())}"
    line = write_line(tmp_path, more=f"status: {{listen: '127.0.0.1:{port}'}}\nlog: {{level: debug}}")
    await prepare("init", line)
    line_text = line.read_text()
    async with unread(tmp_path) as (path, descriptor):
        with path.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", SHORT, str(line), stderr=log, stdin=asyncio.subprocess.DEVNULL
            )

        def look() -> bool:
            found.extend(read(descriptor))
            return b"log messages dropped" in found

        def reload_a_wrong_yaml() -> bool:
            process.send_signal(signal.SIGHUP)
            return "linewitness_log_dropped_total 0.0" not in ask(f"{page}/metrics")

        try:
            found = bytearray()
            await until(lambda: "linewitness_log_dropped_total 0.0" in ask(f"{page}/metrics"), "the start")
            line.write_text(f"wrong: {'x' * 500}\n")
            await until(reload_a_wrong_yaml, "dropped messages")
            health = json.loads(ask(f"{page}/healthz"))
            assert [each["subject"] for each in health["problems"] if each["code"] == "log-unread"] == ["log"]
            line.write_text(line_text)
            await until(look, lambda: bytes(found[-500:]))
            told = next(json.loads(each) for each in found.splitlines() if b"log messages dropped" in each)
            assert told["count"] > 0
            assert told["level"] == "warning"
            await until(lambda: "log-unread" not in ask(f"{page}/healthz"), "the end of the problem")
        finally:
            process.terminate()
            async with asyncio.timeout(20):
                code = await process.wait()
    assert code == ExitCode.OK


async def test_the_gateway_goes_on_without_a_log_where_it_cannot_be_written(tmp_path: Path) -> None:
    async with new_plant(tmp_path) as plant:
        plant.gateway.wrapper = ("sh", "-c", 'exec "$0" "$@" 2> /dev/full')
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        async with (load := Load(plant)).going_on():
            await until(lambda: load.steps > 20, "a second of work")
        await settle(plant, load.made)
        account(plant, load.made).check()


async def test_a_device_that_sends_rubbish_for_ever_writes_a_bounded_log(tmp_path: Path) -> None:
    sent = 0

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        try:
            while True:
                writer.write(b"9" * 4096)
                await writer.drain()
                sent += 4096
        except OSError:
            writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    wrench = f"  - {{id: wrench-1, driver: open_protocol, host: 127.0.0.1, port: {port}}}\n"
    line = write_line(tmp_path, more=wrench)
    await prepare("init", line)
    log = tmp_path / "gateway.log"
    async with server:
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "linewitness", "run", str(line), stderr=file
            )
        try:
            await until(lambda: sent > 2**20, "a megabyte of rubbish")
            before = log.stat().st_size
            await asyncio.sleep(FLOOD_S)
            assert sent > 2**20
            assert log.stat().st_size - before < 50_000, log.read_text()[-2000:]
        finally:
            process.terminate()
            await process.wait()
    text = log.read_text()
    assert text.count('"not a telegram"') < 100, "the first ones, and the name of what is suppressed"
    assert len(text) < 100_000
    assert '"log messages suppressed"' in text


#: An event loop that stops soon, and a lifeline that notices soon.
STUCK = """
import sys, time
import linewitness.base.watchdog as s
s.Lifeline.__init__.__kwdefaults__["limit_s"] = 1.0
from linewitness.cli import main
from linewitness.gateway.lifecycle import Lifecycle
async def heartbeat(self):
    time.sleep(3600)
Lifecycle.heartbeat = heartbeat
sys.argv = ["linewitness", "run", sys.argv[1]]
main()
"""


async def test_a_stuck_gateway_ends_with_70_though_nobody_reads_why(tmp_path: Path) -> None:
    line = write_line(tmp_path)
    await prepare("init", line)
    async with unread(tmp_path) as (path, _):
        with path.open("wb") as log:
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", STUCK, str(line), stderr=log)
        async with asyncio.timeout(60):
            assert await process.wait() == ExitCode.BUG


#: Every way in which a library can write something.
OTHERS = """
import asyncio, logging, sys, threading, warnings
from linewitness.cli.logs import set_up
set_up("info", "json")
import structlog
structlog.get_logger().info("ours", raw="\\ud800")
logging.getLogger("somebody.else").error("a library's %s", "error")
logging.getLogger("somebody.else").error("wrongly %d formatted", "text")
warnings.warn("old\\nfashioned", UserWarning)
print("printed\\nin lines", file=sys.stderr)
class Bad:
    def __del__(self):
        raise ValueError("in a finalizer")
Bad()
thread = threading.Thread(target=lambda: 1 / 0, name="worker")
thread.start()
thread.join()
async def main():
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: [][0])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
asyncio.run(main())
structlog.get_logger().info("long", text="x" * 100_000)
raise KeyError("at the end")
"""


async def test_all_lines_are_json_whoever_wrote_them(tmp_path: Path) -> None:
    found = await run(python=("-c", OTHERS))
    lines: list[dict[str, Any]] = [json.loads(line) for line in found.err.splitlines()]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    said = [line["event"] for line in lines]
    assert "ours" in said
    assert {"a library's error", "wrongly %d formatted"} <= set(said)
    assert [line["text"] for line in lines if line["event"] == "standard error"] == ["printed", "in lines"]
    assert any("UserWarning: old\nfashioned" in text for text in said)
    assert any("in a finalizer" in line.get("exception", "") for line in lines)
    assert any(line.get("thread") == "worker" and "ZeroDivision" in line["exception"] for line in lines)
    assert any(
        "IndexError" in line.get("exception", "") and line["logger"] == "asyncio"
        for line in lines
        if "logger" in line
    )
    assert any("at the end" in line.get("exception", "") for line in lines)
    assert max(map(len, found.err.splitlines())) < 20_000
    assert len(lines) == 11, said


async def test_a_bug_and_an_error_of_the_gateway_are_json_too(tmp_path: Path) -> None:
    line = write_line(tmp_path, more="log: {format: json}")
    found = await run("run", line)  # there is no journal
    assert found.code == ExitCode.JOURNAL, found
    last = json.loads(found.err.splitlines()[-1])
    assert (last["event"], last["exit_code"]) == ("the process ends", int(ExitCode.JOURNAL))
    assert "init" in last["hint"]
