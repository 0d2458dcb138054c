"""A cable that loses packets: two TUN devices, one in a network namespace, and a process between them.

The process forwards IP packets in both directions and drops a share of them at random, from a seed. What is
above it, TCP with its retransmissions and timeouts, is the kernel's own. Needs root, iproute2, /dev/net/tun.
"""

import asyncio
import ctypes
import fcntl
import io
import itertools
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support.present import present

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_CLONE_NEWNET = 0x40000000
_NUMBERS = itertools.count()


@dataclass
class LossyCable:
    """A namespace behind a cable; `ours` and `theirs` are the addresses at its ends."""

    name: str
    ours: str
    theirs: str
    process: asyncio.subprocess.Process

    async def lose(self, share: float) -> None:
        """Lose this share of all packets from now on, in both directions; 1 is a cut cable."""
        await self._ask(f"{share}\n")

    async def lost(self) -> tuple[int, int]:
        """Return how many packets were lost so far, and how many passed."""
        dropped, passed = (await self._ask("?\n")).split()
        return int(dropped), int(passed)

    async def _ask(self, command: str) -> str:
        present(self.process.stdin).write(command.encode())
        async with asyncio.timeout(10):
            return (await present(self.process.stdout).readline()).decode()

    @property
    def wrapper(self) -> tuple[str, ...]:
        """What starts a command at the far end."""
        return ("ip", "netns", "exec", self.name)

    def listen(self, port: int = 0) -> socket.socket:
        """Return a socket of this process that listens at the far end."""
        made: list[socket.socket] = []

        def there() -> None:
            with Path(f"/run/netns/{self.name}").open() as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(namespace.fileno(), _CLONE_NEWNET) == 0:
                    made.append(socket.create_server((self.theirs, port)))

        thread = threading.Thread(target=there)  # only this thread changes its namespace
        thread.start()
        thread.join()
        assert made, "the namespace cannot be entered (this test needs root)"
        return made[0]


@asynccontextmanager
async def lossy_cable(*, seed: int, quick: bool = False) -> AsyncIterator[LossyCable]:
    """Lay such a cable for the time of a block; it loses nothing until it is told to.

    `quick` lets TCP send again after 20 ms at the earliest instead of 200 ms, so that a test is short.
    """
    number = next(_NUMBERS)
    tag = f"{os.getpid()}-{number}"
    name, here, there = f"lwl-{tag}", f"lwt{tag}a", f"lwt{tag}b"
    net = 4 * ((os.getpid() + 977 * number) % 16_000)
    ours, theirs = (f"10.214.{(net + end) // 256}.{(net + end) % 256}" for end in (1, 2))
    rto = ("rto_min", "20ms") if quick else ()
    _ip("netns", "add", name)
    try:
        with _tun(here) as near, _tun(there) as far:
            _ip("link", "set", there, "netns", name)
            _ip("addr", "add", ours, "dev", here)
            _ip("link", "set", here, "up")
            _ip("route", "add", f"{theirs}/32", "dev", here, "src", ours, *rto)
            _ip("-n", name, "addr", "add", theirs, "dev", there)
            _ip("-n", name, "link", "set", there, "up")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "route", "add", f"{ours}/32", "dev", there, "src", theirs, *rto)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "support.lossy", str(near.fileno()), str(far.fileno()), str(seed)),
                cwd=Path(__file__).parents[1],
                pass_fds=(near.fileno(), far.fileno()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        try:
            yield LossyCable(name, ours, theirs, process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
    finally:
        _ip("netns", "del", name)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()} (this test needs root)"


def _tun(name: str) -> io.FileIO:
    """Make a TUN device; it lives until the last file that is attached to it is closed."""
    device = Path("/dev/net/tun").open("r+b", buffering=0)  # noqa: SIM115 (the caller closes it)
    try:
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError:
        device.close()
        raise
    return device


def forward(near: int, far: int, seed: int) -> None:
    """Pass packets until standard input ends. A line there is the share to lose, or `?` for the counts."""
    chance, share = random.Random(seed), 0.0
    dropped = passed = 0
    while True:
        for ready in select.select([0, near, far], [], [])[0]:
            if ready == 0:
                line = sys.stdin.readline()
                if not line:
                    return
                if line != "?\n":
                    share = float(line)
                print(dropped, passed, flush=True)
                continue
            packet = os.read(ready, 65_536)
            if chance.random() < share:
                dropped += 1
                continue
            passed += 1
            os.write(far if ready == near else near, packet)


if __name__ == "__main__":
    forward(*map(int, sys.argv[1:]))
