"""Another client asks for the store's client id: the shipped broker refuses, at others it is noticed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from linewitness.base.clock import SystemClock
from linewitness.base.errors import UplinkUnavailable
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.keys import Cosigner, create_key
from linewitness.store.options import AuditStoreOptions
from linewitness.store.service import run
from linewitness.store.work import StoreWork
from linewitness.uplink.mqtt import MqttConnection, MqttConnector
from linewitness.uplink.options import MqttOptions
from support.brokers import Authority, Broker, mosquitto
from support.fake_gateway import FakeGateway
from support.present import present
from support.shipped_broker import as_client, production
from support.waiting import until

STORES_ID = "the-store"
SETTING = "use_username_as_clientid true"
NOTICED = "another client takes over our connection to the broker"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class Plant:
    """A store and a gateway at a broker, each with its certificate."""

    def __init__(self, folder: Path, broker: Broker, authority: Authority, client_id: str | None) -> None:
        self.broker, self.authority = broker, authority
        self.work = StoreWork()
        self.gateway = FakeGateway()
        mqtt = self.client("audit-store", client_id)
        self.options = AuditStoreOptions(
            database=f"sqlite:///{folder}/store.db",
            name="store.example",
            key={"file": folder / "store.key"},
            mqtt=mqtt,
        )
        create_key(self.options.name, present(self.options.key.file))
        database = Database(self.options.database_url)
        database.create()
        enroll(
            database,
            clock=SystemClock(),
            tenant=self.gateway.tenant,
            gateway=self.gateway.gateway,
            log_vkey=str(self.gateway.log_vkey),
            record0_hash=self.gateway.record0_hash,
        )
        database.close()

    def client(self, name: str, client_id: str | None = None) -> MqttOptions:
        return as_client(self.broker, self.authority, self.authority.issue(name), client_id=client_id)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(run(self.options, clock=SystemClock(), ready=ready, work=self.work))
            await asyncio.wait_for(ready.wait(), 30)
            yield
            task.cancel()

    async def receipts(self, connection: MqttConnection, count: int) -> int:
        """Send records, each with a checkpoint, and wait for the receipts; return how many came."""
        vkey = Cosigner.load(self.options.name, self.options.key).vkey
        messages = connection.messages()
        sent = 0
        for number in range(count):
            self.gateway.grow(1)
            await connection.publish(self.gateway.topics.records, self.gateway.batch(sent))
            await connection.publish(self.gateway.topics.checkpoint, self.gateway.checkpoint())
            async with asyncio.timeout(10):
                message = await anext(messages)
            assert vkey.name in message.payload.decode(), number
            sent = self.gateway.size
        return count


async def take(options: MqttOptions, connected: list[float]) -> None:
    """Connect with somebody's client id, at once again whenever it is taken back."""
    while True:
        with contextlib.suppress(UplinkUnavailable):
            async with MqttConnector(options).connect() as attacker:
                connected.append(asyncio.get_running_loop().time())
                await anext(attacker.messages())


@asynccontextmanager
async def attacked(plant: Plant, client_id: str) -> AsyncIterator[list[float]]:
    """Let a client with a valid certificate of its own ask for a client id for the time of a block."""
    connected: list[float] = []
    async with asyncio.TaskGroup() as group:
        task = group.create_task(take(plant.client("acme/ber-66", client_id), connected))
        await until(lambda: connected, "the attacker's connection")
        yield connected
        task.cancel()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_the_shipped_broker_gives_nobody_the_stores_client_id(
    tmp_path: Path, authority: Authority, protocol: str
) -> None:
    async with mosquitto(tmp_path / "broker", authority=authority, whole=production(authority)) as broker:
        plant = Plant(tmp_path, broker, authority, STORES_ID)
        gateway = plant.client("acme/ber-01").model_copy(update={"protocol": protocol})
        async with plant.serving(), attacked(plant, STORES_ID), attacked(plant, "audit-store"):
            async with MqttConnector(gateway).connect() as connection:
                await connection.subscribe(plant.gateway.topics.receipt)
                assert await plant.receipts(connection, 35) == 35
            assert plant.work.connected
            assert plant.work.attempts == 1, "it was never cut off"
        assert not plant.work.takeovers.what


async def test_a_store_without_a_client_id_of_its_own_has_one_that_nobody_can_guess(
    tmp_path: Path, authority: Authority
) -> None:
    whole = production(authority, without=SETTING)
    async with mosquitto(tmp_path / "broker", authority=authority, whole=whole) as broker:
        plant = Plant(tmp_path, broker, authority, None)
        async with plant.serving(), attacked(plant, "linewitness-store-store.example"):
            async with MqttConnector(plant.client("acme/ber-01")).connect() as connection:
                await connection.subscribe(plant.gateway.topics.receipt)
                assert await plant.receipts(connection, 5) == 5
            assert plant.work.attempts == 1


async def test_a_broker_without_the_setting_lets_the_store_be_cut_off_and_the_store_says_so(
    tmp_path: Path, authority: Authority
) -> None:
    """mosquitto 2.0 hangs up without a reason code: that it happens again and again is the sign."""
    whole = production(authority, without=SETTING)
    with structlog.testing.capture_logs() as logged:
        async with mosquitto(tmp_path / "broker", authority=authority, whole=whole) as broker:
            plant = Plant(tmp_path, broker, authority, STORES_ID)
            async with plant.serving(), attacked(plant, STORES_ID) as connected:
                await until(lambda: plant.work.takeovers.what, "that it is noticed")
                assert "another client may use our client id" in plant.work.sentence
                taken, attempts = len(connected), plant.work.attempts
                await until(lambda: len(connected) >= taken + 2, "two more rounds")
                assert plant.work.attempts - attempts <= 3
                assert connected[-1] - connected[-2] > 0.5, "the store does not fight at full speed"
    noticed = [entry for entry in logged if entry["event"] == NOTICED]
    assert len(noticed) == 1
    assert "docs/brokers.md" in noticed[0]["hint"]
