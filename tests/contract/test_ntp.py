"""Asking NTP servers over real sockets: honest, late, wrong, forged and absent ones."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from linewitness.base.clock import ClockState, SharedClockState, SystemClock
from linewitness.gateway.clock_watch import ClockBoard, watch_clock
from linewitness.timesources.ntp import NtpSource
from linewitness.timesources.options import ClockOptions
from linewitness.timesources.polling import measure, sources_of
from linewitness.timesources.sample import Leap, Sample, SourceDeclined, SourceSilent
from linewitness_simulators.ntp import NtpSimulation, RunningNtp, serve
from linewitness_simulators.ntp.device import NtpDevice


def source(port: int, *, timeout_s: float = 5.0) -> NtpSource:
    return NtpSource(f"127.0.0.1:{port}", clock=SystemClock(), timeout_s=timeout_s)


async def asked(**faults: Any) -> Sample:
    async with serve(NtpSimulation(device=NtpDevice(**faults))) as sim:
        return await source(sim.port, timeout_s=1.0).ask()


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("offset_s", [0.0, 0.25, -3600.0])
async def test_the_offset_is_measured_within_its_bound(offset_s: float) -> None:
    sample = await asked(offset_s=offset_s, root_delay_s=0, root_dispersion_s=0)
    assert abs(sample.offset_ns - offset_s * 1e9) <= sample.half_ns
    assert sample.half_ns < 100_000_000


@pytest.mark.parametrize(("there_s", "back_s"), [(0.2, 0.0), (0.0, 0.2), (0.1, 0.1)])
async def test_a_lopsided_delay_moves_the_offset_but_not_beyond_the_bound(
    there_s: float, back_s: float
) -> None:
    sample = await asked(delay_in_s=there_s, delay_out_s=back_s)
    assert sample.delay_ns >= 195_000_000
    assert abs(sample.offset_ns) <= sample.half_ns


async def test_a_leap_second_is_heard() -> None:
    assert (await asked(leap=1)).leap is Leap.INSERT


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        ({"leap": 3}, "leap 3"),
        ({"stratum": 16}, "stratum 16"),
        ({"wrong_origin": True}, "other questions"),
        ({"loss": 1.0}, "no answer within 1.0 s"),
        ({"delay_out_s": 1.5}, "no answer within 1.0 s"),
    ],
)
async def test_a_useless_server_is_silent_with_its_reason(faults: dict[str, Any], why: str) -> None:
    with pytest.raises(SourceSilent, match=why):
        await asked(**faults)


async def test_a_kiss_of_death_is_heard() -> None:
    with pytest.raises(SourceDeclined, match="RATE"):
        await asked(kiss="RATE")


async def test_nobody_there_is_said_at_once() -> None:
    with pytest.raises(SourceSilent, match="refused"):
        await source(free_udp_port()).ask()


async def test_a_name_that_does_not_resolve_is_silent() -> None:
    unknown = NtpSource("ntp.invalid", clock=SystemClock(), timeout_s=1)
    with pytest.raises(SourceSilent, match="cannot be reached"):
        await unknown.ask()


async def test_the_second_address_of_a_name_is_tried_when_the_first_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusing = ("127.0.0.1", free_udp_port())
    async with serve(NtpSimulation()) as sim:
        found = [
            (socket.AF_INET, socket.SOCK_DGRAM, 0, "", address)
            for address in (refusing, ("127.0.0.1", sim.port))
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        sample = await source(123).ask()
    assert abs(sample.offset_ns) <= sample.half_ns


async def test_a_forged_answer_does_not_hide_the_true_one() -> None:
    class Forging(RunningNtp):
        def _send(self, data: bytes, addr: tuple[str, int]) -> None:
            super()._send(data[:24] + b"\0" * 8 + data[32:], addr)
            super()._send(b"noise", addr)
            super()._send(data, addr)

    loop = asyncio.get_running_loop()
    transport, sim = await loop.create_datagram_endpoint(
        lambda: Forging(NtpSimulation()), local_addr=("127.0.0.1", 0)
    )
    with contextlib.closing(transport):
        sample = await source(sim.port).ask()
    assert abs(sample.offset_ns) <= sample.half_ns


@contextlib.asynccontextmanager
async def three(**last: Any) -> AsyncIterator[list[RunningNtp]]:
    async with (
        serve(NtpSimulation()) as one,
        serve(NtpSimulation()) as two,
        serve(NtpSimulation(device=NtpDevice(**last))) as three,
    ):
        yield [one, two, three]


def options(sims: list[RunningNtp], **settings: Any) -> ClockOptions:
    servers = [f"127.0.0.1:{sim.port}" for sim in sims]
    return ClockOptions.model_validate({"ntp": servers, "chrony": "off", "timeout_s": 1, **settings})


async def test_one_liar_among_three_is_found() -> None:
    clock = SystemClock()
    async with three(offset_s=7.0) as sims:
        chosen = options(sims)
        verdict = await measure(chosen, clock=clock, sources=sources_of(chosen, clock))
    assert verdict.state.sync == "locked"
    assert verdict.named("false") == f"127.0.0.1:{sims[2].port}"
    assert verdict.state.bound_us is not None
    assert verdict.state.bound_us < 1_000_000


async def test_the_watch_keeps_the_shared_state_current() -> None:
    clock, state, board = SystemClock(), SharedClockState(), ClockBoard()
    seen: list[ClockState] = []
    locked = asyncio.Event()

    def submit(events: Any) -> "asyncio.Future[Any]":
        seen.append(state.get())
        if seen[-1].sync == "locked":
            locked.set()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    async with three(loss=1.0) as sims:
        chosen = options(sims, stamp_s=0.05)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(
                watch_clock(chosen, clock=clock, state=state, board=board, submit=submit)
            )
            await locked.wait()
            watching.cancel()
    assert state.get().sync == "locked"
    assert board.verdict is not None
    assert board.verdict.state == state.get()


async def test_the_command_says_ready_and_ends_on_sigterm() -> None:
    program = "import typer; from linewitness_simulators.ntp.command import command; typer.run(command)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, "--port", "0", "--offset", "2", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        ready = (await process.stdout.readline()).decode().split()
        assert ready[0] == "ready"
        sample = await source(int(ready[1].rpartition(":")[2])).ask()
        assert abs(sample.offset_ns - 2_000_000_000) <= sample.half_ns
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
