"""`workers: N`: each gateway has one worker, and a worker that dies or hangs stops its gateways alone."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from linewitness.base.errors import ExitCode
from linewitness.store.inbox.share import GatewayShare
from linewitness.store.workers.supervisor import WorkerSupervisor
from support.brokers import Authority, Broker, mosquitto
from support.fake_gateway import FakeGateway
from support.postgres import Cluster
from support.store_outages import StoreProcess, StoreSite, gateways_of, senders, store_process
from support.waiting import until

WORKERS = 2


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, postgres: Cluster, broker: Broker) -> StoreSite:
    return StoreSite(tmp_path, postgres.new_store(), broker, workers=WORKERS)


def one_each(tenant: str = "acme") -> list[FakeGateway]:
    """Return a gateway of each worker, in their order."""
    found = gateways_of(20, tenant)
    return [
        next(one for one in found if GatewayShare.of(worker, WORKERS).serves(one.tenant, one.gateway))
        for worker in range(WORKERS)
    ]


def worker_processes(store: StoreProcess) -> list[psutil.Process]:
    """Return the workers' processes in the order of their numbers."""
    assert store.process is not None
    children = psutil.Process(store.process.pid).children()
    return sorted(children, key=lambda child: int(child.cmdline()[-1]))


async def test_each_gateway_has_its_worker_and_a_worker_that_dies_stops_its_gateways_alone(
    site: StoreSite, broker: Broker
) -> None:
    first, second = gateways = one_each()
    site.enroll(*gateways)
    for gateway in gateways:
        gateway.grow(10)
    async with store_process(site) as store, senders(site, gateways) as sender:
        await sender.receipt(*gateways)
        await until(lambda: "2 of 2 workers serve" in store.status, lambda: store.status)
        assert broker.log.count(" as linewitness-store-store.example-") == WORKERS
        killed, other = worker_processes(store)
        killed.suspend()
        second.grow(10)
        await sender.receipt(second)
        first.grow(10)
        before = sender.receipted[first.origin]
        await sender.send(first)
        second.grow(10)
        await sender.receipt(second)
        assert sender.receipted[first.origin] == before, "its gateways wait"
        killed.kill()
        await until(lambda: "a worker ended: its gateways wait" in store.log, lambda: store.log)
        assert '"how": "ended by signal 9"' in store.log
        await until(
            lambda: any("worker 0: ended by signal 9" in word for word in store.words), "the word to systemd"
        )
        await sender.receipt(first)
        await until(lambda: "2 of 2 workers serve" in store.status, lambda: store.status)
        assert worker_processes(store)[1] == other, "the other one was left alone"
        left = worker_processes(store)
        assert await store.stop() == ExitCode.OK, store.log
        assert not any(process.is_running() for process in left)
        assert "Traceback" not in store.log
        await site.sound(sender)


async def test_a_gateway_that_is_enrolled_while_the_store_runs_reaches_its_worker(site: StoreSite) -> None:
    gateways = [*one_each(), *one_each("other")]
    async with store_process(site) as store, senders(site, gateways) as sender:
        for gateway in gateways:
            gateway.grow(3)
            site.enroll(gateway)
            await sender.receipt(gateway)
        assert store.log.count("a worker ended") == 0
        await site.sound(sender)


async def test_no_worker_is_left_behind_by_a_supervisor_that_was_killed(site: StoreSite) -> None:
    async with store_process(site) as store:
        assert store.process is not None
        left = worker_processes(store)
        store.process.kill()
        await store.process.wait()
        await until(lambda: not any(process.is_running() for process in left), "the end of the workers")


async def test_what_every_worker_would_meet_ends_the_store(site: StoreSite) -> None:
    (site.folder / "store.key").unlink()
    async with store_process(site, ready=False) as store:
        assert await store.ended() == ExitCode.CONFIGURATION, store.log
        assert "store.key" in store.log
        assert "Traceback" not in store.log


async def test_a_worker_that_hangs_is_killed_and_started_again(site: StoreSite) -> None:
    (first, _) = gateways = one_each()
    site.enroll(*gateways)
    command = (sys.executable, "-m", "linewitness", "store", "run", str(site.file), "--worker")
    supervisor = WorkerSupervisor([(*command, "0"), (*command, "1")], look_s=1.5)
    async with asyncio.TaskGroup() as tasks, senders(site, gateways) as sender:
        running = tasks.create_task(supervisor.run())
        await until(supervisor.ready.is_set, lambda: supervisor.sentence)
        frozen, other = (worker.pid for worker in supervisor.workers)
        assert frozen is not None
        os.kill(frozen, signal.SIGSTOP)
        await until(lambda: supervisor.workers[0].pid not in (frozen, None), lambda: supervisor.sentence)
        first.grow(5)
        await sender.receipt(first)
        assert supervisor.workers[1].pid == other
        running.cancel()


async def test_workers_prove_themselves_with_certificates_of_their_own(
    tmp_path: Path, postgres: Cluster
) -> None:
    """The shipped broker takes the certificate's name for the client id: two with one cut each other off."""
    authority = Authority(tmp_path / "ca")
    config = "use_username_as_clientid true\n"
    async with mosquitto(tmp_path / "tls", authority=authority, config=config) as broker:
        site = StoreSite(tmp_path, postgres.new_store(), broker, workers=WORKERS)
        for name in ("audit-store-0", "audit-store-1"):
            authority.issue(name)
        url = site.url.render_as_string(hide_password=False)
        site.file.write_text(
            f"database: '{url}'\nname: store.example\nkey: {{file: store.key}}\nworkers: {WORKERS}\n"
            f"mqtt:\n  url: {broker.url}\n  tls:\n    ca: {authority.file}\n"
            "    certificate: ca/audit-store-{worker}.pem\n    key: {file: 'ca/audit-store-{worker}.key'}\n"
        )
        async with store_process(site) as store:
            await until(lambda: "2 of 2 workers serve" in store.status, lambda: store.status)
            assert await store.stop() == ExitCode.OK
            for number in range(WORKERS):
                assert broker.log.count(f" as audit-store-{number} ") == 1
