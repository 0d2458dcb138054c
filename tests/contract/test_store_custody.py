"""A store that runs takes custody of what it receives, in the tenant's own stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from linewitness.base.clock import SystemClock
from linewitness.evidence.tenant.custody import custody_in
from linewitness.evidence.verify.stream import verify
from linewitness.store import reports
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import EnrolmentRequest
from linewitness.store.keys import create_key
from linewitness.store.options import AuditStoreOptions
from linewitness.store.service import run
from linewitness.store.tenant import custody, deeds, keeper
from linewitness.store.tenant.streams import TenantStreams, streams_of
from linewitness.store.work import StoreWork
from linewitness.uplink.mqtt import MqttConnection, MqttConnector
from linewitness.uplink.options import MqttOptions
from support.brokers import Broker, mosquitto
from support.fake_gateway import FakeGateway
from support.present import present
from support.waiting import until

OWN = "store.example/acme/1"


@dataclass
class Site:
    """A store at a broker, with one gateway enrolled."""

    options: AuditStoreOptions
    database: Database
    streams: TenantStreams
    gateway: FakeGateway

    @asynccontextmanager
    async def serving(self, work: StoreWork | None = None) -> AsyncIterator[MqttConnection]:
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(run(self.options, clock=SystemClock(), ready=ready, work=work))
            await ready.wait()
            async with MqttConnector(MqttOptions(url=self.options.mqtt.url)).connect() as connection:
                yield connection
            task.cancel()

    def lines(self) -> list[bytes]:
        return [record.data for record in reports.read_records(self.database, origin=OWN)]

    def taken(self) -> int:
        found = [custody_in(json.loads(line)) for line in self.lines() if b'"custody.taken"' in line]
        return max((one.size for each in found for one in each or ()), default=0)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, broker: Broker) -> Iterator[Site]:
    options = AuditStoreOptions(
        database=f"sqlite:///{tmp_path}/store.db",
        name="store.example",
        key={"file": tmp_path / "store.key"},
        mqtt={"url": broker.url},
    )
    create_key(options.name, present(options.key.file))
    database, gateway = Database(options.database_url), FakeGateway()
    database.create()
    streams = streams_of(options, database, SystemClock())
    gateway.grow(20)
    vkey, record_0 = str(gateway.log_vkey), gateway.record0_hash
    deeds.enroll_stream(streams, EnrolmentRequest.checked("acme", gateway.gateway, vkey, record_0))
    yield Site(options, database, streams, gateway)
    database.close()


async def test_what_a_gateway_sends_is_in_custody_soon(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "EVERY_S", 0.1)
    monkeypatch.setattr(custody, "EVERY_S", 0.1)
    gateway = site.gateway
    async with site.serving() as connection:
        await connection.publish(gateway.topics.records, gateway.batch(0, 8))
        await until(lambda: site.taken() == 8)
        # A command writes beside the store that runs.
        deeds.change_retention(site.streams, "acme", 30, "why")
        await connection.publish(gateway.topics.records, gateway.batch(8))
        await until(lambda: site.taken() == 21)
    verdict = verify(site.lines())
    assert (verdict.text[:6], verdict.remarks) == ("INTACT", ())


async def test_keys_that_are_gone_are_an_alarm_and_receipts_go_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "EVERY_S", 0.1)
    gateway, work = site.gateway, StoreWork()
    for key in site.options.tenant_keys_folder.rglob("*.key"):
        key.unlink()
    async with site.serving(work) as connection:
        await connection.publish(gateway.topics.records, gateway.batch())
        await connection.publish(gateway.topics.checkpoint, gateway.checkpoint())
        await until(lambda: len(reports.read_receipts(site.database, gateway.origin)) == 1)
        await until(lambda: "of a tenant stream is not there" in work.sentence)
        deeds.continue_stream(site.streams, None, "lost")
        await until(lambda: not work.custody)
