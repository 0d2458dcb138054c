"""The audit store at a real broker: from a gateway's messages to its receipt, through outages."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from linewitness.base.clock import SystemClock
from linewitness.base.errors import UplinkRefused
from linewitness.evidence.format.accusation import is_accusation, open_accusation
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.evidence.format.note import Vkey
from linewitness.store import reports
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.database.errors import StoreError
from linewitness.store.keys import Cosigner, create_key
from linewitness.store.options import AuditStoreOptions
from linewitness.store.service import run
from linewitness.uplink.mqtt import MqttConnection, MqttConnector
from linewitness.uplink.options import MqttOptions
from linewitness.uplink.peer import MqttMessage
from support.brokers import Broker, mosquitto
from support.fake_gateway import FakeGateway
from support.present import present
from support.waiting import until

DEADLINE_S = 30


def make_store(folder: Path, broker: Broker) -> tuple[AuditStoreOptions, Database]:
    options = AuditStoreOptions(
        database=f"sqlite:///{folder}/store.db",
        name="store.example",
        key={"file": folder / "store.key"},
        mqtt={"url": broker.url},
    )
    create_key(options.name, present(options.key.file))
    database = Database(options.database_url)
    database.create()
    return options, database


def enroll_gateway(database: Database, gateway: FakeGateway) -> None:
    enroll(
        database,
        clock=SystemClock(),
        tenant=gateway.tenant,
        gateway=gateway.gateway,
        log_vkey=str(gateway.log_vkey),
        record0_hash=gateway.record0_hash,
    )


@asynccontextmanager
async def serving(options: AuditStoreOptions) -> AsyncIterator[asyncio.Event]:
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run(options, clock=SystemClock(), ready=ready))
        async with asyncio.timeout(DEADLINE_S):
            await ready.wait()
        yield ready
        task.cancel()


async def receipt_for(connection: MqttConnection, gateway: FakeGateway, vkey: Vkey, size: int) -> MqttMessage:
    """Wait for the receipt of a size."""
    async with asyncio.timeout(DEADLINE_S):
        async for message in connection.messages():
            if message.payload and not is_accusation(message.payload):
                checkpoint, note = open_checkpoint(message.payload.decode(), gateway.log_vkey)
                assert note.signed_by(vkey)
                if checkpoint.size >= size:
                    return message
    raise AssertionError


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def store(tmp_path: Path, broker: Broker) -> Iterator[tuple[AuditStoreOptions, Database]]:
    options, database = make_store(tmp_path, broker)
    yield options, database
    database.close()


@pytest.fixture
def gateway(store: tuple[AuditStoreOptions, Database]) -> FakeGateway:
    gateway = FakeGateway()
    gateway.grow(50)
    enroll_gateway(store[1], gateway)
    return gateway


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_records_and_checkpoint_become_a_retained_receipt(
    broker: Broker, store: tuple[AuditStoreOptions, Database], gateway: FakeGateway, protocol: str
) -> None:
    options, database = store
    options = options.model_copy(update={"mqtt": MqttOptions(url=broker.url, protocol=protocol)})
    vkey = Cosigner.load(options.name, options.key).vkey
    async with serving(options), MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
        await connection.subscribe(gateway.topics.receipt)
        for at in range(0, gateway.size, 10):
            await connection.publish(gateway.topics.records, gateway.batch(at, at + 10))
        await connection.publish(gateway.topics.checkpoint, gateway.checkpoint(), retain=True)
        live = await receipt_for(connection, gateway, vkey, gateway.size)
    assert [record.data for record in reports.read_records(database)] == gateway.records
    async with MqttConnector(MqttOptions(url=broker.url)).connect() as later:
        await later.subscribe(gateway.topics.receipt)
        retained = await receipt_for(later, gateway, vkey, gateway.size)
    assert retained.retained
    assert retained.payload == live.payload


async def test_gateway_that_sent_while_the_store_was_away_is_told_to_send_again(
    broker: Broker, store: tuple[AuditStoreOptions, Database], gateway: FakeGateway
) -> None:
    options, _ = store
    vkey = Cosigner.load(options.name, options.key).vkey
    async with MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
        await connection.subscribe(gateway.topics.receipt)
        async with serving(options):
            await connection.publish(gateway.topics.records, gateway.batch(0, 20))
            await connection.publish(gateway.topics.checkpoint, gateway.checkpoint(20), retain=True)
            first = await receipt_for(connection, gateway, vkey, 20)
        await connection.publish(gateway.topics.records, gateway.batch(20))
        await connection.publish(gateway.topics.checkpoint, gateway.checkpoint(), retain=True)
        async with serving(options):
            again = await receipt_for(connection, gateway, vkey, 20)
            assert again.payload == first.payload
            await connection.publish(gateway.topics.records, gateway.batch(20))
            await receipt_for(connection, gateway, vkey, gateway.size)


async def test_broker_outage_is_survived_and_receipts_come_back(
    tmp_path: Path, broker: Broker, store: tuple[AuditStoreOptions, Database], gateway: FakeGateway
) -> None:
    options, _ = store
    vkey = Cosigner.load(options.name, options.key).vkey
    async with serving(options) as ready:
        async with MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
            await connection.subscribe(gateway.topics.receipt)
            await connection.publish(gateway.topics.records, gateway.batch())
            await connection.publish(gateway.topics.checkpoint, gateway.checkpoint())
            await receipt_for(connection, gateway, vkey, gateway.size)
            broker.stop(signal.SIGKILL)
        async with asyncio.timeout(DEADLINE_S):
            while ready.is_set():  # noqa: ASYNC110 (the event is waited for in the other sense)
                await asyncio.sleep(0.01)
            broker.start()
            assert await broker.ready()
            await ready.wait()
        async with MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
            # This broker keeps nothing over a restart: the store itself says again what it holds.
            await connection.subscribe(gateway.topics.receipt)
            await receipt_for(connection, gateway, vkey, gateway.size)


async def test_conflict_is_answered_with_the_newest_receipt(
    broker: Broker, store: tuple[AuditStoreOptions, Database], gateway: FakeGateway
) -> None:
    options, database = store
    other = gateway.fork(30)
    other.grow(1)
    async with serving(options), MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
        await connection.publish(gateway.topics.records, gateway.batch())
        await connection.publish(gateway.topics.checkpoint, gateway.checkpoint())
        await connection.publish(gateway.topics.records, other.batch(30))
        await connection.subscribe(gateway.topics.receipt)
        async with asyncio.timeout(DEADLINE_S):
            async for message in connection.messages():
                if is_accusation(message.payload):
                    break
    accusation, _ = open_accusation(message.payload.decode(), Cosigner.load(options.name, options.key).vkey)
    assert (accusation.origin, accusation.subject, accusation.at) == (gateway.origin, "record", 30)
    assert len(reports.read_conflicts(database)) == 1


async def test_unknown_gateway_is_not_answered(
    broker: Broker, store: tuple[AuditStoreOptions, Database], gateway: FakeGateway
) -> None:
    options, database = store
    stranger = FakeGateway(gateway="stranger", origin="stranger.example/1")
    vkey = Cosigner.load(options.name, options.key).vkey
    async with serving(options), MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
        await connection.subscribe("linewitness/v1/+/+/receipt")
        await connection.publish(stranger.topics.records, stranger.batch())
        await connection.publish(stranger.topics.checkpoint, stranger.checkpoint())
        await connection.publish(gateway.topics.records, gateway.batch())
        await connection.publish(gateway.topics.checkpoint, gateway.checkpoint())
        message = await receipt_for(connection, gateway, vkey, gateway.size)
        assert message.topic == gateway.topics.receipt
        await until(lambda: reports.read_refusals(database), "the refusal")
    assert [refusal.reason for refusal in reports.read_refusals(database)] == ["unknown"]


async def test_a_gateway_that_is_enrolled_while_it_sends_gets_its_receipt_without_a_restart(
    broker: Broker, store: tuple[AuditStoreOptions, Database], gateway: FakeGateway
) -> None:
    options, database = store
    late = FakeGateway(gateway="late", origin="late.example/1")
    vkey = Cosigner.load(options.name, options.key).vkey
    async with serving(options), MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
        await connection.subscribe(late.topics.receipt)
        await connection.publish(late.topics.records, late.batch())
        await until(lambda: reports.read_refusals(database), "the refusal")
        enroll_gateway(database, late)
        async with asyncio.TaskGroup() as tasks:
            receipt = tasks.create_task(receipt_for(connection, late, vkey, late.size))
            while not receipt.done():  # a gateway sends again what has no receipt
                await connection.publish(late.topics.records, late.batch())
                await connection.publish(late.topics.checkpoint, late.checkpoint())
                await asyncio.wait([receipt], timeout=0.2)
    assert receipt.result().topic == late.topics.receipt


async def test_a_message_larger_than_the_store_takes_stays_at_the_broker(
    broker: Broker, store: tuple[AuditStoreOptions, Database], gateway: FakeGateway
) -> None:
    options, _ = store
    vkey = Cosigner.load(options.name, options.key).vkey
    rogue = FakeGateway(gateway="rogue", origin="rogue.example/1")
    async with serving(options) as ready:
        async with MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
            await connection.subscribe(gateway.topics.receipt)
            await connection.publish(rogue.topics.records, b"x" * (18 * 2**20))
            await connection.publish(gateway.topics.records, gateway.batch())
            await connection.publish(gateway.topics.checkpoint, gateway.checkpoint())
            await receipt_for(connection, gateway, vkey, gateway.size)
        assert ready.is_set()
    assert broker.log.count(" as linewitness-store-store.example-") == 1, "it connected once"


async def test_served_tenants_may_be_chosen(
    broker: Broker, store: tuple[AuditStoreOptions, Database], gateway: FakeGateway
) -> None:
    options, database = store
    options = options.model_copy(update={"tenants": ("acme",)})
    other = FakeGateway(tenant="other", origin="other.example/1")
    enroll_gateway(database, other)
    vkey = Cosigner.load(options.name, options.key).vkey
    async with serving(options), MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
        await connection.subscribe(gateway.topics.receipt)
        await connection.publish(other.topics.records, other.batch())
        await connection.publish(gateway.topics.records, gateway.batch())
        await connection.publish(gateway.topics.checkpoint, gateway.checkpoint())
        await receipt_for(connection, gateway, vkey, gateway.size)
    assert {record.origin for record in reports.read_records(database)} == {gateway.origin}


async def test_missing_database_is_not_replaced_by_an_empty_one(
    tmp_path: Path, broker: Broker, store: tuple[AuditStoreOptions, Database]
) -> None:
    options, database = store
    database.close()
    file = options.database_file
    assert file is not None
    file.rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="no audit store"):
        await run(options, clock=SystemClock())
    assert not file.exists()


async def test_broker_that_refuses_receipts_ends_the_store(tmp_path: Path) -> None:
    acl = "topic read linewitness/#\ntopic write linewitness/v1/+/+/records\n"
    acl += "topic write linewitness/v1/+/+/checkpoint\n"
    async with mosquitto(tmp_path / "broker", acl=acl) as broker:
        options, database = make_store(tmp_path, broker)
        gateway = FakeGateway()
        enroll_gateway(database, gateway)

        async def serve() -> None:
            async with serving(options), MqttConnector(MqttOptions(url=broker.url)).connect() as connection:
                await connection.publish(gateway.topics.records, gateway.batch())
                await connection.publish(gateway.topics.checkpoint, gateway.checkpoint())
                await asyncio.sleep(DEADLINE_S)

        with pytest.raises(ExceptionGroup) as ended:
            await serve()
        assert ended.group_contains(UplinkRefused, match="not authorized")
        database.close()
