"""What the units forbid is not needed, and secrets stay where they are."""

import asyncio
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.lines import prepare, write_line
from support.plants import run
from support.waiting import until

UNIT = Path(__file__).parents[2] / "systemd" / "linewitness@.service"
SECRET = "correct-horse-battery"
UPLINK = """\
uplink: {url: 'mqtt://127.0.0.1:9', username: gw, password: {file: password}}
store: {vkey: store.acme.example/audit+b4dcf61e+BCMFTsFbsxey08iKGh/jeH91ZmwnP+9Z3DJHvz4wHZnA}
status: {listen: '127.0.0.1:0'}
log: {level: debug}
"""


def group(name: Any) -> Any:
    """Return the system calls of one of systemd's groups, with those of the groups inside."""
    listed = subprocess.run(
        ["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True
    ).stdout
    calls = set()
    for line in listed.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            calls |= group(word)
        elif word and not word.startswith("#"):
            calls.add(word)
    return calls


def allowed() -> Any:
    calls: set[Any] = set()
    for rule in re.findall(r"(?m)^SystemCallFilter=(.*)$", UNIT.read_text()):
        names = set().union(*(group(name) for name in rule.lstrip("~").split()))
        calls = calls - names if rule.startswith("~") else calls | names
    return calls


@pytest.fixture
async def line(tmp_path: Path) -> Path:
    (tmp_path / "password").write_text(SECRET)
    (tmp_path / "password").chmod(0o600)
    file = write_line(tmp_path, more=UPLINK)
    await prepare("init", file)
    return file


async def worked(*command: Any, log: Any) -> Any:
    """Run a gateway until it has lost device and broker, and stop it."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=output, stderr=output, start_new_session=True
        )
    try:
        await until(lambda: b"uplink lost" in log.read_bytes(), f"the loss; {log.read_text()}")
        await until(lambda: b"device lost" in log.read_bytes(), "the device's loss")
        gateway = psutil.Process(process.pid)
        gateway = next(iter(gateway.children()), gateway)  # below strace
        arguments = " ".join(gateway.cmdline()).encode()
        gateway.terminate()
        async with asyncio.timeout(20):
            await process.wait()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
    return arguments


async def test_only_allowed_system_calls_are_made(line: Path, tmp_path: Path) -> None:
    if shutil.which("strace") is None or shutil.which("systemd-analyze") is None:
        pytest.skip("strace and systemd-analyze are needed")
    summary = tmp_path / "calls"
    await worked(
        "strace",
        "-f",
        "-qq",
        "-c",
        "-o",
        str(summary),
        sys.executable,
        "-m",
        "linewitness",
        "run",
        str(line),
        log=tmp_path / "log",
    )
    rows = [row.split() for row in summary.read_text().splitlines()[2:]]
    used = {row[-1] for row in rows if len(row) >= 5 and row[-1].isidentifier() and row[-1] != "total"}
    assert {"fdatasync", "openat", "socket"} & used
    # Reading a limit or a uid is refused with EPERM under the filter, and nobody minds.
    assert used - allowed() <= {"prlimit64", "sched_setaffinity", "mbind", "fchown"}, used - allowed()


async def test_a_secret_is_in_no_log_no_argument_and_no_record(line: Path, tmp_path: Path) -> None:
    arguments = await worked(sys.executable, "-m", "linewitness", "run", str(line), log=tmp_path / "log")
    assert SECRET.encode() not in arguments
    assert SECRET not in (tmp_path / "log").read_text()
    for file in (tmp_path / "journal").rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file
    for command in ("check", "status", "verify"):
        said = await run(command, line)
        assert SECRET not in said.out + said.err
