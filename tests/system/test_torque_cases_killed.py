"""Failure cases with a gateway process that is killed, and with a disk that is full."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from linewitness.journal import pressure
from linewitness.testing import proxy
from linewitness_simulators.torque import TorqueOptions, TorqueSimulator, serve
from support.torque_gateway import Gateway
from support.torque_line import account, fields_of, line, ready, records_of, wrench
from support.waiting import until

RESULT_ACK = re.compile(rb"00200062[0-9 ]{12}\x00")


@asynccontextmanager
async def working(simulator: TorqueSimulator, period_s: float = 0.05) -> AsyncIterator[None]:
    """Tighten again and again for the time of a block."""

    async def work() -> None:
        while True:
            simulator.tighten(f"SN{len(simulator.results()) // 4}")
            await asyncio.sleep(period_s)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(work(), name="work")
        try:
            yield
        finally:
            task.cancel()


async def all_recorded(gateway: Gateway, simulator: TorqueSimulator) -> None:
    """Wait until the journal has each result; who reads all of it all the time holds up the tool."""
    made = len(simulator.results())
    await until(lambda: gateway.size() > made, gateway.said, timeout_s=120)
    async with asyncio.timeout(120):
        while len(gateway.ids()) < made:  # noqa: ASYNC110 (a file has no event)
            await asyncio.sleep(1)
    assert len(gateway.ids()) == made


async def killed_at_commits(tmp_path: Path, commits: Any) -> None:
    """Let the kernel kill the gateway at its n-th commit, under load, for each of these n."""
    async with serve(TorqueOptions(redeliver=True)) as simulator:
        gateway = Gateway(tmp_path, simulator.port)
        await gateway.init()
        async with working(simulator):
            for number in commits:
                inject = f"inject=fdatasync:signal=SIGKILL:when={number}"
                gateway.process.wrapper = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", inject)
                await gateway.process.start()
                async with asyncio.timeout(60):
                    assert await gateway.process.wait() != 0, gateway.said()
        gateway.process.wrapper = ()
        await gateway.process.start()
        await all_recorded(gateway, simulator)
        assert await gateway.process.stop() == 0, gateway.said()
        account(tmp_path, simulator)
        print(f"\nkilled at commits {commits}: {len(simulator.results())} results, each once")


async def test_case_01_killed_in_the_commit_the_result_is_on_record_once(tmp_path: Path) -> None:
    await killed_at_commits(tmp_path, (12, 15))


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_case_01_killed_in_each_of_many_commits(tmp_path: Path) -> None:
    await killed_at_commits(tmp_path, range(4, 28, 2))


async def test_case_02_killed_between_commit_and_confirmation_the_repeat_is_recognised(
    tmp_path: Path,
) -> None:
    async with serve(TorqueOptions(redeliver=True)) as simulator, proxy(simulator.port) as cable:
        gateway = Gateway(tmp_path, cable.port)
        await gateway.init()
        cable.filter = lambda block: RESULT_ACK.sub(b"", block)
        await gateway.process.start()
        await until(simulator.subscribed, gateway.said)
        simulator.tighten("SN1")
        await until(lambda: gateway.ids() == [1])
        await gateway.process.kill()
        assert simulator.acked == []
        cable.filter = None
        await gateway.process.start()
        await until(lambda: simulator.acked == [1], gateway.said)
        assert await gateway.process.stop() == 0
        assert simulator.ledger.numbers("sent", 61) == [1, 1]
        account(tmp_path, simulator)


async def test_case_15_a_process_that_cannot_write_confirms_nothing_until_it_can(tmp_path: Path) -> None:
    async with serve() as simulator:
        gateway = Gateway(tmp_path, simulator.port)
        await gateway.init()
        await gateway.process.start()
        await until(simulator.subscribed, gateway.said)
        assert await gateway.process.stop() == 0
        largest = max(file.stat().st_size for file in (tmp_path / "journal").glob("journal.*"))
        gateway.process.wrapper = ("prlimit", f"--fsize={largest + 100_000}:unlimited")
        await gateway.process.start()
        async with working(simulator, period_s=0.05):
            await until(lambda: "journal full" in gateway.said(), gateway.said, timeout_s=60)
            confirmed = len(simulator.acked)
            made = len(simulator.results())
            await until(lambda: len(simulator.results()) > made + 50, "more results")
            assert len(simulator.acked) == confirmed
        assert {*simulator.acked} <= {*gateway.ids()}, "confirmed and not durable"
        raised = await asyncio.create_subprocess_exec(
            "prlimit", f"--pid={gateway.process.pid}", "--fsize=unlimited:unlimited"
        )
        assert await raised.wait() == 0
        await all_recorded(gateway, simulator)
        assert await gateway.process.stop() == 0
        account(tmp_path, simulator)


async def test_case_15_a_full_disk_confirms_nothing_and_loses_nothing_when_space_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SimpleNamespace(total=0, used=0, free=10**12)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk)
    monkeypatch.setattr(pressure, "CHECK_PERIOD_S", 0.01)
    async with (
        serve(TorqueOptions(ack_timeout_s=0.2)) as simulator,
        line(tmp_path, [wrench(simulator)]) as running,
    ):
        await ready(simulator)
        simulator.tighten("SN1")
        await until(lambda: simulator.acked == [1])
        disk.free = 0
        await until(lambda: running.journal.pressure.full)
        simulator.tighten("SN1")
        await until(lambda: any("was not confirmed" in each.text for each in simulator.ledger.entries))
        assert simulator.acked == [1]
        disk.free = 10**12
        await until(lambda: sorted(running.ids()) == [1, 2])
        await until(simulator.subscribed)
        simulator.tighten("SN1")
        await until(lambda: 3 in simulator.acked)
    account(tmp_path, simulator)


async def test_case_24_killed_in_the_middle_of_a_walk_the_set_is_the_same(tmp_path: Path) -> None:
    async with serve(TorqueOptions(history="at-or-before")) as simulator:
        gateway = Gateway(tmp_path, simulator.port, back_fill_per_s=25)
        await gateway.init()
        simulator.faults.foreign_ids = 1
        for number in range(40):
            simulator.tighten(f"SN{number // 4}")
        await gateway.process.start()
        for share in (10, 45):
            await until(partial(lambda share: len(asked(simulator)) > share, share), gateway.said)
            await gateway.process.kill()
            assert len(gateway.ids()) < 40
            await gateway.process.start()
        await until(lambda: len(gateway.ids()) == 40, gateway.said)
        assert await gateway.process.stop() == 0
        assert gateway.ids() == [each.id for each in simulator.results()]
        assert not records_of(tmp_path / "journal", "source.gap")
        assert all(fields_of(each)["backfilled"] for each in gateway.results())
        account(tmp_path, simulator)


def asked(simulator: TorqueSimulator) -> Any:
    return simulator.ledger.numbers("asked", 64)
