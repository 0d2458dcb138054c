"""A store with workers whose parts are killed under load, and one that is frozen and overtaken."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
import psycopg
import pytest

from support.brokers import Broker, mosquitto
from support.postgres import Cluster, cluster
from support.store_outages import StoreProcess, StoreSite, gateways_of, senders, store_process, working
from support.waiting import until

KILLS: Final = 100
FEW: Final = 6
SEED: Final = 20
WORKERS: Final = 2
#: What holds a stream's lock in the middle of a transaction.
_AT_WORK: Final = (
    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
    "WHERE locktype = 'advisory' AND granted AND state = 'idle in transaction'"
)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    config = "max_queued_messages 20000\n"
    async with mosquitto(tmp_path / "broker", config=config) as running:
        yield running


@pytest.fixture
def server() -> Iterator[Cluster]:
    """A server of our own: it is killed."""
    with cluster() as running:
        yield running


class Killer:
    """Kill one part of a store after the other, at random."""

    def __init__(self, site: StoreSite, server: Cluster, seed: int) -> None:
        self.site, self.server = site, server
        self.random = random.Random(seed)
        self.counts = dict.fromkeys(("worker", "supervisor", "backend", "postmaster"), 0)

    async def kill(self, store: StoreProcess, what: str) -> None:
        """Kill it, and start again what nobody else starts."""
        self.counts[what] += 1
        if what == "worker":
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(store.workers() or [store.pid]), signal.SIGKILL)
        elif what == "supervisor":
            os.kill(store.pid, signal.SIGKILL)
            await store.ended()
        elif what == "backend":
            with suppress(psutil.NoSuchProcess):
                backends = [
                    child
                    for child in psutil.Process(self.server.postmaster).children()
                    if "linewitness_ledger" in " ".join(child.cmdline())
                ]
                if backends:
                    self.random.choice(backends).kill()
        else:
            self.server.kill()
            await asyncio.to_thread(self.server.start)


async def killed_again_and_again(site: StoreSite, server: Cluster, kills: int) -> None:
    """Kill parts at random while gateways write; then everything is there, once, and receipted."""
    gateways = gateways_of(4)
    site.enroll(*gateways)
    killer = Killer(site, server, SEED)
    deeds = [*killer.counts]  # each at least once, then at random
    async with senders(site, gateways) as sender:
        async with working(sender):
            while deeds or sum(killer.counts.values()) < kills:
                async with store_process(site, ready=False) as store:
                    while store.running and (deeds or sum(killer.counts.values()) < kills):
                        await at_work(sender.receipted, store)
                        await asyncio.sleep(killer.random.uniform(0.0, 0.3))
                        await killer.kill(
                            store, deeds.pop() if deeds else killer.random.choice([*killer.counts])
                        )
        async with store_process(site) as store:
            await sender.receipt(*gateways)
            assert sender.accusations == []
            await site.sound(sender)
    assert min(killer.counts.values()) >= 1
    assert sum(killer.counts.values()) >= kills


async def at_work(receipted: dict[str, int], store: StoreProcess) -> None:
    """Wait for a receipt, so that the next kill meets a store at work."""
    before = sum(receipted.values())
    await until(lambda: sum(receipted.values()) > before or not store.running, lambda: store.log)


async def test_killed_at_every_part_it_loses_and_repeats_nothing(
    tmp_path: Path, server: Cluster, broker: Broker
) -> None:
    site = StoreSite(tmp_path, server.new_store(), broker, workers=WORKERS)
    await killed_again_and_again(site, server, FEW)


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_killed_a_hundred_times_it_loses_and_repeats_nothing(
    tmp_path: Path, server: Cluster, broker: Broker
) -> None:
    site = StoreSite(tmp_path, server.new_store(), broker, workers=WORKERS)
    await killed_again_and_again(site, server, KILLS)


async def test_a_store_that_was_frozen_while_another_took_over_does_no_harm(
    tmp_path: Path, server: Cluster, broker: Broker
) -> None:
    (gateway,) = gateways = gateways_of(1)
    site = StoreSite(tmp_path, server.new_store(), broker)
    site.enroll(gateway)
    gateway.grow(20)
    async with store_process(site) as frozen, senders(site, gateways) as sender:
        await sender.receipt(gateway)
        os.kill(frozen.pid, signal.SIGSTOP)
        async with store_process(site) as other:
            for _ in range(3):
                gateway.grow(20)
                await sender.receipt(gateway)
            os.kill(frozen.pid, signal.SIGCONT)
            await until(lambda: "another worker was quicker" in frozen.log, lambda: frozen.log)
            await until(lambda: "another worker was quicker: " in frozen.status, lambda: frozen.status)
            for _ in range(3):  # both are at work now
                gateway.grow(20)
                await sender.receipt(gateway)
            assert await other.stop() == 0
        gateway.grow(20)
        await sender.receipt(gateway)
        assert frozen.running, "it goes on"
        assert sender.accusations == []
        await site.sound(sender)


@pytest.mark.slow
async def test_a_store_that_was_frozen_inside_a_transaction_is_cut_off_by_the_server(
    tmp_path: Path, server: Cluster, broker: Broker
) -> None:
    (gateway,) = gateways = gateways_of(1)
    site = StoreSite(tmp_path, server.new_store(), broker)
    site.enroll(gateway)
    async with store_process(site) as frozen, senders(site, gateways) as sender:
        with server.admin() as admin:
            async with working(sender):
                await until(lambda: frozen_at_work(frozen, admin), "a transaction to freeze")
        async with store_process(site) as other:
            gateway.grow(1)
            await sender.receipt(gateway)
            os.kill(frozen.pid, signal.SIGCONT)
            assert "lock timeout" in other.log, "it said why it waits"
            await until(lambda: "database away" in frozen.log, lambda: frozen.log)
            gateway.grow(20)
            await sender.receipt(gateway)
            assert sender.accusations == []
            await site.sound(sender)


def frozen_at_work(store: StoreProcess, admin: "psycopg.Connection[tuple[object, ...]]") -> bool:
    """Freeze a store if it is in the middle of a transaction; otherwise let it go on."""
    os.kill(store.pid, signal.SIGSTOP)
    if admin.execute(_AT_WORK).fetchone() == (1,):
        return True
    os.kill(store.pid, signal.SIGCONT)
    return False
