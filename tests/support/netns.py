"""Devices behind a cable that a test can pull: network namespaces, so packets vanish and nothing is refused.

Needs root and iproute2.
"""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from support.present import present

_NUMBERS = itertools.count()
_PROGRAM = "import typer; from linewitness_simulators.{simulator}.command import command; typer.run(command)"


def ip(*words: str) -> None:
    """Run one `ip` command; it must work."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()} (this test needs root)"


@dataclass(frozen=True)
class Cable:
    """A namespace with one cable to it; `ours` and `theirs` are the addresses at its ends."""

    name: str
    ours: str
    theirs: str

    def pull(self) -> None:
        """Let everything that they send vanish: answers, acknowledgements, refusals."""
        ip("-n", self.name, "route", "add", "blackhole", f"{self.ours}/32")

    def plug(self) -> None:
        """Put the cable back."""
        ip("-n", self.name, "route", "del", "blackhole", f"{self.ours}/32")

    @asynccontextmanager
    async def simulator(
        self, simulator: str, port: int, *arguments: str
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a bundled simulator at the other end for the time of a block."""
        program = _PROGRAM.format(simulator=simulator)
        process = await asyncio.create_subprocess_exec(
            "ip", "netns", "exec", self.name, sys.executable, "-c", program,
            "--host", self.theirs, "--port", str(port), *arguments,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(30):
                assert (await present(process.stdout).readline()).startswith(b"ready")
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@contextmanager
def cable() -> Iterator[Cable]:
    """Lay a cable for the time of a block."""
    number = next(_NUMBERS)
    tag = f"{os.getpid()}-{number}"
    name, here, there = f"lw-{tag}", f"lwa{tag}", f"lwb{tag}"
    net = 4 * ((os.getpid() + 977 * number) % 16_000)
    ours, theirs = (f"10.213.{(net + end) // 256}.{(net + end) % 256}" for end in (1, 2))
    ip("netns", "add", name)
    try:
        ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        ip("addr", "add", f"{ours}/30", "dev", here)
        ip("link", "set", here, "up")
        ip("-n", name, "addr", "add", f"{theirs}/30", "dev", there)
        ip("-n", name, "link", "set", there, "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield Cable(name, ours, theirs)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)
