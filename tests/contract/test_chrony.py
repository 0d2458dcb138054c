"""Real chronyds on loopback: as servers that we ask, and as the local daemon that we believe."""

import asyncio
import contextlib
import getpass
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from linewitness.base.clock import SystemClock
from linewitness.timesources.chrony import ChronySource
from linewitness.timesources.ntp import NtpSource
from linewitness.timesources.options import ClockOptions
from linewitness.timesources.polling import measure, sources_of
from linewitness.timesources.sample import Sample, SourceSilent
from linewitness_simulators.ntp import NtpSimulation, serve
from linewitness_simulators.ntp.device import NtpDevice

CHRONYD = shutil.which("chronyd") or shutil.which("chronyd", path="/usr/sbin:/sbin")
pytestmark = pytest.mark.skipif(
    CHRONYD is None or shutil.which("chronyc") is None, reason="chrony is not installed"
)


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Chronyd:
    """One chronyd that does not touch the system's clock."""

    def __init__(self) -> None:
        self.port = free_udp_port()
        self.command_port = free_udp_port()
        self.name = f"127.0.0.1:{self.port}"

    def server(self) -> NtpSource:
        return NtpSource(self.name, clock=SystemClock(), timeout_s=2)

    def daemon(self) -> ChronySource:
        command = ("chronyc", "-h", "127.0.0.1", "-p", str(self.command_port), "-c", "-n", "tracking")
        return ChronySource(clock=SystemClock(), timeout_s=5, patience_s=300, command=command)


@contextlib.asynccontextmanager
async def chronyd(folder: Path, *lines: str) -> AsyncIterator[Chronyd]:
    running = Chronyd()
    config = folder / f"chrony-{running.port}.conf"
    config.write_text(
        "\n".join(
            [
                *lines,
                f"port {running.port}",
                "bindaddress 127.0.0.1",
                "allow 127.0.0.1",
                f"cmdport {running.command_port}",
                "bindcmdaddress 127.0.0.1",
                "bindcmdaddress /",
                f"pidfile {folder}/chronyd-{running.port}.pid",
            ]
        )
        + "\n"
    )
    assert CHRONYD is not None
    process = await asyncio.create_subprocess_exec(
        CHRONYD,
        *("-x", "-U", "-d", "-u", getpass.getuser(), "-f", str(config)),
        stderr=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield running
    finally:
        process.terminate()
        await process.wait()


async def answered(source: NtpSource | ChronySource, *, like: str = "") -> Sample:
    """Ask until there is an answer; with `like`, until the refusal contains it."""
    while True:
        try:
            sample = await source.ask()
        except SourceSilent as silence:
            if like and like in str(silence):
                raise
            await asyncio.sleep(0.1)
        else:
            return sample


def local(port: int) -> str:
    return f"server 127.0.0.1 port {port} iburst minpoll -2 maxpoll -2"


async def test_a_real_server_is_measured(tmp_path: Path) -> None:
    async with chronyd(tmp_path, "local stratum 4") as running:
        sample = await answered(running.server())
    assert sample.stratum == 4
    assert abs(sample.offset_ns) <= sample.half_ns < 100_000_000


@pytest.mark.parametrize("offset_s", [0.25, -3600.0])
async def test_a_real_server_with_a_set_offset_is_measured(tmp_path: Path, offset_s: float) -> None:
    async with (
        serve(NtpSimulation(device=NtpDevice(offset_s=offset_s, stratum=1))) as upstream,
        chronyd(tmp_path, local(upstream.port)) as running,
    ):
        sample = await answered(running.server())
    assert sample.stratum == 2
    wrong_ns = abs(sample.offset_ns - offset_s * 1e9)
    assert wrong_ns <= sample.half_ns  # chrony claims much on its first samples
    assert wrong_ns < 50_000_000


class Slow(asyncio.DatagramProtocol):
    """A way to a server on which the answers take their time."""

    def __init__(self, server_port: int, late_s: float) -> None:
        self._server_port = server_port
        self._late_s = late_s
        self._asker: tuple[str, int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr[1] == self._server_port:
            loop = asyncio.get_running_loop()
            loop.call_later(self._late_s, self._transport.sendto, data, self._asker)
        else:
            self._asker = addr
            self._transport.sendto(data, ("127.0.0.1", self._server_port))


@contextlib.asynccontextmanager
async def slowly(port: int, late_s: float) -> AsyncIterator[NtpSource]:
    """Yield a server behind a way on which its answers are this late."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Slow(port, late_s), local_addr=("127.0.0.1", 0)
    )
    with contextlib.closing(transport):
        relay: int = transport.get_extra_info("sockname")[1]
        yield NtpSource(f"127.0.0.1:{relay}", clock=SystemClock(), timeout_s=1)


async def test_a_real_server_that_answers_late_moves_the_offset_but_not_beyond_the_bound(
    tmp_path: Path,
) -> None:
    async with chronyd(tmp_path, "local stratum 4") as running:
        await answered(running.server())
        async with slowly(running.port, 0.3) as late:
            sample = await late.ask()
        async with slowly(running.port, 1.5) as too_late:
            with pytest.raises(SourceSilent, match=r"no answer within 1 s"):
                await too_late.ask()
    assert sample.offset_ns < -140_000_000  # half of the way back is taken for the way there
    assert abs(sample.offset_ns) <= sample.half_ns


async def test_a_server_without_a_source_says_that_it_is_not_synchronised(tmp_path: Path) -> None:
    async with chronyd(tmp_path) as running:
        with pytest.raises(SourceSilent, match="not synchronised"):
            await answered(running.server(), like="not synchronised")


async def test_a_liar_and_a_dead_one_among_real_servers(tmp_path: Path) -> None:
    clock = SystemClock()
    async with (
        serve(NtpSimulation(device=NtpDevice(offset_s=5.0, stratum=1))) as wrong,
        chronyd(tmp_path, "local stratum 4") as one,
        chronyd(tmp_path, "local stratum 5") as two,
        chronyd(tmp_path, local(wrong.port)) as liar,
    ):
        for running in (one, two, liar):
            await answered(running.server())
        dead = f"127.0.0.1:{free_udp_port()}"
        options = ClockOptions(ntp=(one.name, two.name, liar.name, dead), chrony="off")
        verdict = await measure(options, clock=clock, sources=sources_of(options, clock))
    standings = {source.name: source.standing for source in verdict.sources}
    assert standings == {one.name: "agrees", two.name: "agrees", liar.name: "false", dead: "unheard"}
    assert verdict.state.sync == "locked"
    assert verdict.state.bound_us is not None
    assert verdict.state.bound_us < 200_000


@pytest.mark.parametrize("offset_s", [5.0, -5.0])
async def test_the_local_daemon_is_believed_with_its_sign(tmp_path: Path, offset_s: float) -> None:
    async with (
        serve(NtpSimulation(device=NtpDevice(offset_s=offset_s, stratum=1))) as upstream,
        chronyd(tmp_path, local(upstream.port)) as running,
    ):
        sample = await answered(running.daemon())
        direct = await NtpSource(f"127.0.0.1:{upstream.port}", clock=SystemClock(), timeout_s=2).ask()
    assert sample.stratum == 2
    assert abs(sample.offset_ns - offset_s * 1e9) <= sample.half_ns
    assert abs(sample.offset_ns - direct.offset_ns) <= sample.half_ns + direct.half_ns


async def test_a_daemon_that_trusts_itself_is_not_believed(tmp_path: Path) -> None:
    async with chronyd(tmp_path, "local stratum 4") as running:
        with pytest.raises(SourceSilent, match="its own clock only"):
            await answered(running.daemon(), like="its own clock only")


async def test_a_daemon_without_a_source_is_not_believed(tmp_path: Path) -> None:
    async with chronyd(tmp_path) as running:
        with pytest.raises(SourceSilent, match="not synchronised"):
            await answered(running.daemon(), like="not synchronised")


async def test_a_dead_daemon_is_silent() -> None:
    with pytest.raises(SourceSilent, match="506"):
        await Chronyd().daemon().ask()
