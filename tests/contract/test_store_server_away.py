"""A PostgreSQL that is away, full, read-only or refuses: named, waited for or final, nothing receipted."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from linewitness.base.errors import ExitCode
from linewitness.store.database.errors import StoreAway
from linewitness.store.inspection import inspect
from linewitness.store.reports import read_receipts, read_records
from support.brokers import Broker, mosquitto
from support.fake_gateway import FakeGateway
from support.postgres import Cluster, cluster
from support.small_disk import small_disk
from support.store_outages import Senders, StoreProcess, StoreSite, gateways_of, senders, store_process
from support.waiting import until


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def server() -> Iterator[Cluster]:
    """A server of our own: it is stopped and started."""
    with cluster() as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, server: Cluster, broker: Broker) -> StoreSite:
    return StoreSite(tmp_path, server.new_store(), broker)


def reload(server: Cluster, *statements: str) -> None:
    with server.admin() as admin:
        for statement in statements:
            admin.execute(statement)
        admin.execute("SELECT pg_reload_conf()")


Fault = Callable[[Cluster], Any]


@contextmanager
def stopped(server: Cluster) -> Iterator[None]:
    server.stop("fast")
    yield
    server.start()


@contextmanager
def killed(server: Cluster) -> Iterator[None]:
    server.kill()
    yield
    server.start()


@contextmanager
def read_only(server: Cluster) -> Iterator[None]:
    reload(server, "ALTER SYSTEM SET default_transaction_read_only = on")
    yield
    reload(server, "SET default_transaction_read_only = off", "ALTER SYSTEM RESET ALL")


@contextmanager
def no_connections(server: Cluster) -> Iterator[None]:
    """Use up all connections but those of administrators, and end the store's."""
    with ExitStack() as used:
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'linewitness_ledger'"
        with server.admin() as admin:
            admin.execute("ALTER ROLE linewitness_ledger CONNECTION LIMIT 0")
            admin.execute(end)
            admin.execute("CREATE ROLE crowd LOGIN")
        with suppress(psycopg.OperationalError):
            while True:
                used.enter_context(psycopg.connect(host=str(server.folder), user="crowd", dbname="postgres"))
        with server.admin() as admin:
            admin.execute("ALTER ROLE linewitness_ledger CONNECTION LIMIT -1")
        yield
    with server.admin() as admin:
        admin.execute("DROP ROLE crowd")


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (stopped, "is away"),
        (killed, "is away"),
        (read_only, "read-only"),
        (no_connections, "is away"),
    ],
)
async def test_a_database_that_is_away_is_waited_for_and_nothing_is_receipted_meanwhile(
    server: Cluster, site: StoreSite, fault: Fault, why: str
) -> None:
    (gateway,) = gateways = gateways_of(1)
    gateway.grow(10)
    site.enroll(gateway)
    async with store_process(site) as store, senders(site, gateways) as sender:
        await sender.receipt(gateway)
        before = sender.receipted[gateway.origin]
        with fault(server):
            gateway.grow(10)
            await sender.send(gateway)
            await until(lambda: "database away" in store.log, lambda: store.log)
            assert why in store.log
            await until(lambda: "DATABASE AWAY, no receipts" in store.status, lambda: store.status)
            await sender.send(gateway)
            assert sender.receipted[gateway.origin] == before, "no receipt without the database"
        await sender.receipt(gateway)
        await until(lambda: "DATABASE AWAY" not in store.status, lambda: store.status)
        assert store.log.count("database away") == 1, "said once"
        assert store.log.count("the database is there again") == 1
        assert "Traceback" not in store.log
        assert await store.stop() == ExitCode.OK
        await site.sound(sender)


async def test_a_connection_that_is_killed_costs_a_repetition_and_no_record(
    server: Cluster, site: StoreSite
) -> None:
    (gateway,) = gateways = gateways_of(1)
    site.enroll(gateway)
    async with store_process(site) as store, senders(site, gateways) as sender:
        for _ in range(3):
            gateway.grow(20)
            await sender.receipt(gateway)
            with server.admin() as admin:
                ended = admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE usename = 'linewitness_ledger'"
                ).fetchall()
            assert ended
        gateway.grow(20)
        await sender.receipt(gateway)
        assert store.log.count("database away") == store.log.count("the database is there again")
        await site.sound(sender)


async def test_a_server_that_is_not_there_at_the_start_is_waited_for(
    server: Cluster, site: StoreSite
) -> None:
    (gateway,) = gateways = gateways_of(1)
    site.enroll(gateway)
    server.stop("fast")
    async with store_process(site, ready=False) as store, senders(site, gateways) as sender:
        await until(lambda: "database away" in store.log, lambda: store.log)
        await until(lambda: "DATABASE AWAY" in store.status, lambda: store.status)
        assert "READY=1" in store.words, "systemd does not end it meanwhile"
        server.start()
        await sender.receipt(gateway)
        assert store.log.count("database away") == 1


async def test_a_broker_that_comes_back_while_the_database_is_away_finds_a_store_that_waits(
    server: Cluster, site: StoreSite, broker: Broker
) -> None:
    (gateway,) = gateways = gateways_of(1)
    site.enroll(gateway)
    async with store_process(site) as store:
        server.stop("fast")
        broker.stop()
        await until(lambda: "broker connection lost" in store.log, lambda: store.log)
        broker.start()
        assert await broker.ready()
        await until(lambda: "database away" in store.log, lambda: store.log)
        server.start()
        async with senders(site, gateways) as sender:
            await sender.receipt(gateway)
        assert store.process is not None
        assert store.process.returncode is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
async def test_a_full_disk_of_the_server_is_an_alarm_that_ends_when_there_is_room(
    tmp_path: Path, server: Cluster, site: StoreSite
) -> None:
    (gateway,) = gateways = gateways_of(1)
    with small_disk(tmp_path / "disk", "64m") as disk:
        place = disk.folder / "space"
        place.mkdir()
        os.chown(place, 65534, 65534)
        disk.folder.chmod(0o755)
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_uid == 0 and folder != Path("/"):
                folder.chmod(folder.stat().st_mode | 0o011)
        database = site.url.database
        with server.admin() as admin:
            admin.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
            admin.execute(f"ALTER DATABASE {database} SET TABLESPACE small")
        site.enroll(gateway)
        async with store_process(site) as store, senders(site, gateways) as sender:
            gateway.grow(20)
            await sender.receipt(gateway)
            before = sender.receipted[gateway.origin]
            disk.fill()
            gateway.grow(500)
            await until_said(store, sender, "disk full")
            assert "No space left on device" in store.log
            await until(lambda: "DISK FULL, no receipts" in store.status, lambda: store.status)
            assert sender.receipted[gateway.origin] < gateway.size
            assert sender.receipted[gateway.origin] >= before
            disk.free()
            await sender.receipt(gateway)
            assert store.log.count("disk full") == 1
            assert store.log.count("the disk has room again") == 1
            await site.sound(sender)


async def until_said(store: StoreProcess, sender: Senders, word: str) -> None:
    """Let the gateway write and send until the store's log has a word."""
    (gateway,) = sender.gateways
    async with asyncio.timeout(60):
        while word not in store.log:
            gateway.grow(50)
            await sender.send(gateway, most=100_000)
            await asyncio.sleep(0.2)


def other_schema(server: Cluster, site: StoreSite) -> None:
    with server.admin(str(site.url.database)) as admin:
        admin.execute("UPDATE evidence.store SET schema = 99")


def other_role(server: Cluster, site: StoreSite) -> None:
    site.write(site.url.set(username="postgres"))


def no_such_role(server: Cluster, site: StoreSite) -> None:
    site.write(site.url.set(username="nobody"))


def no_such_database(server: Cluster, site: StoreSite) -> None:
    site.write(site.url.set(database="elsewhere"))


def wrong_password(server: Cluster, site: StoreSite) -> None:
    (server.data / "pg_hba.conf").write_text("local all postgres trust\nlocal all all scram-sha-256\n")
    reload(server, "ALTER ROLE linewitness_ledger PASSWORD 'right'")
    (site.folder / "password").write_text("wrong")
    (site.folder / "password").chmod(0o600)
    site.write(site.url, more="database_password: {file: password}\n")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (other_schema, "schema 99"),
        (other_role, "may change evidence"),
        (no_such_role, 'role "nobody" does not exist'),
        (no_such_database, 'database "elsewhere" does not exist'),
        (wrong_password, "password authentication failed"),
    ],
)
async def test_what_does_not_end_by_itself_ends_the_store_with_its_reason_and_a_hint(
    server: Cluster, site: StoreSite, wrong: Callable[[Cluster, StoreSite], None], said: str
) -> None:
    wrong(server, site)
    async with store_process(site, ready=False) as store:
        assert await store.ended() == ExitCode.JOURNAL, store.log
        assert said in store.log.replace('\\"', '"')
        assert "Traceback" not in store.log


async def test_a_right_that_is_taken_away_ends_the_running_store(server: Cluster, site: StoreSite) -> None:
    (gateway,) = gateways = gateways_of(1)
    gateway.grow(5)
    site.enroll(gateway)
    async with store_process(site) as store, senders(site, gateways) as sender:
        await sender.receipt(gateway)
        with server.admin(str(site.url.database)) as admin:
            admin.execute("REVOKE INSERT ON evidence.runs FROM linewitness_ledger")
        before = sender.receipted[gateway.origin]
        gateway.grow(5)
        await sender.send(gateway)
        assert await store.ended() == ExitCode.JOURNAL, store.log
        assert "permission denied for table runs" in store.log
        assert "connect as linewitness_ledger" in store.log
        assert sender.receipted[gateway.origin] == before


async def test_a_standby_that_is_promoted_goes_on_with_every_receipt_that_left_the_house(
    server: Cluster, site: StoreSite
) -> None:
    (gateway,) = gateways = gateways_of(1)
    site.enroll(gateway)
    with cluster(primary=server) as standby:
        reload(server, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        hosts = {"host": f"{server.folder},{standby.folder}", "target_session_attrs": "read-write"}
        site.write(site.url.set(query=hosts))
        async with store_process(site) as store, senders(site, gateways) as sender:
            gateway.grow(20)
            await sender.receipt(gateway)
            server.kill()
            gateway.grow(20)
            await sender.send(gateway)
            await until(lambda: "database away" in store.log, lambda: store.log)
            standby.promote()
            await sender.receipt(gateway)
            assert "the database is there again" in store.log
            await site.sound(sender)


async def test_a_commit_that_no_standby_has_gives_no_receipt_also_after_its_connection_was_lost(
    server: Cluster, site: StoreSite
) -> None:
    """PostgreSQL shows such a commit to everybody; its receipt was never given, and must not be found."""
    (gateway,) = gateways = gateways_of(1)
    site.enroll(gateway)
    async with store_process(site) as store, senders(site, gateways) as sender:
        gateway.grow(20)
        await sender.publish(gateway.topics.records, gateway.batch())
        await until(lambda: held(site) == gateway.size, "the records")
        reload(server, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await sender.publish(gateway.topics.checkpoint, gateway.checkpoint())
        with server.admin() as admin:
            waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            await until(lambda: admin.execute(f"SELECT {waiting}").fetchall(), "a commit that waits")
            admin.execute(f"SELECT pg_terminate_backend(pid) {waiting}")
            await until(lambda: receipts(site, gateway), "a receipt that this server alone has")
            await until(lambda: "the database is there again" in store.log, lambda: store.log)
            await sender.publish(gateway.topics.checkpoint, gateway.checkpoint())
            await until(lambda: admin.execute(f"SELECT {waiting}").fetchall(), "a commit that waits again")
        assert sender.receipted[gateway.origin] == 0, "one disk is not two"
        reload(server, "ALTER SYSTEM RESET synchronous_standby_names")
        await sender.receipt(gateway)


def receipts(site: StoreSite, gateway: FakeGateway) -> list[str]:
    database = site.database()
    try:
        return read_receipts(database, gateway.origin)
    finally:
        database.close()


def held(site: StoreSite) -> int:
    database = site.database()
    try:
        return sum(1 for _ in read_records(database))
    finally:
        database.close()


async def test_a_database_that_goes_away_is_no_damage(server: Cluster, site: StoreSite) -> None:
    (gateway,) = gateways_of(1)
    site.enroll(gateway)
    database = site.database()
    try:
        server.stop("fast")
        with pytest.raises(StoreAway):
            await inspect(database, store_key=site.cosigner.vkey)
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(inspect(database, store_key=site.cosigner.vkey, retry_s=0.01))
            await asyncio.sleep(0.5)
            assert not looking.done(), "it waits"
            server.start()
        assert looking.result() == []
    finally:
        database.close()
