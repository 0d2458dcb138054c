"""Clients with a certificate flood the store: its memory stays bounded, and others get their receipts."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from linewitness.base.clock import SystemClock
from linewitness.cli.sources import load_store
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.store import reports
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.uplink.mqtt import MqttConnection, MqttConnector
from linewitness.uplink.options import MqttOptions
from linewitness.uplink.topics import Topics
from support.brokers import Broker, mosquitto
from support.fake_gateway import FakeGateway
from support.greedy import Greedy, greedy
from support.lines import prepare
from support.memory import MIB, MemoryGroup, memory_limit, peak
from support.waiting import until

pytestmark = pytest.mark.heavy

#: What the store's unit allows it.
LIMIT = 1024 * MIB
#: Its queues, one message on its way in, and what it has without any of these.
MOST = 400 * MIB
SHORT_LINES = b"aa\n" * (16 * MIB // 3)
#: The same as the shipped broker's, without certificates.
CONFIG = "max_inflight_messages 64\nmax_queued_messages 1000\nmax_queued_bytes 268435456\n"


class ManyProperties(Properties):
    """A hundred thousand user properties, as bytes: the library itself would take a minute to write them."""

    def pack(self) -> bytes:
        one = b"\x26\x00\x01k\x00\x01v"
        return b"\xe0\xdc\x2a" + one * 100_000


class Plant:
    """A broker, a store in a group of its own, and one honest gateway."""

    def __init__(self, folder: Path, broker: Broker, group: MemoryGroup) -> None:
        self.folder, self.broker, self.group = folder, broker, group
        self.file = folder / "store.yaml"
        self.log = folder / "store.log"
        self.gateway = FakeGateway()
        self.process: Any = None
        #: How often the gateway sent again what had no receipt.
        self.repeated = 0

    async def start(self, settings: str = "") -> None:
        self.file.write_text(
            "database: sqlite:///store.db\nname: store.example\nkey: {file: store.key}\n"
            f"mqtt: {{url: '{self.broker.url}'}}\n{settings}"
        )
        await prepare("store", "init", self.file)
        self.database = Database(load_store(self.file).database_url)
        self.enroll(self.gateway)
        command = self.group.around(sys.executable, "-m", "linewitness", "store", "run", str(self.file))
        with self.log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        await until(lambda: b"ready mqtt" in self.log.read_bytes(), self.log.read_text)

    def enroll(self, gateway: FakeGateway) -> None:
        enroll(
            self.database,
            clock=SystemClock(),
            tenant=gateway.tenant,
            gateway=gateway.gateway,
            log_vkey=str(gateway.log_vkey),
            record0_hash=gateway.record0_hash,
        )

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        await until(lambda: not self.group.pids, "the group to be empty")
        self.database.close()

    async def receipts(self, connection: MqttConnection, rounds: int) -> None:
        """Let the gateway make some results, `rounds` times, and wait for the receipt of each."""
        for _ in range(rounds):
            first = self.gateway.size
            self.gateway.grow(20)
            await self.send(connection, first if first > 1 else 0)
            receipted = 0
            while receipted < self.gateway.size:
                receipted = await self.receipt(connection)

    async def send(self, connection: MqttConnection, first: int) -> None:
        await connection.publish(self.gateway.topics.records, self.gateway.batch(first))
        await connection.publish(self.gateway.topics.checkpoint, self.gateway.checkpoint(), retain=True)

    async def receipt(self, connection: MqttConnection) -> int:
        """Return what the next receipt covers; a gateway sends again what has none for some seconds."""
        while True:
            try:
                async with asyncio.timeout(10):
                    payload = (await anext(connection.messages())).payload
            except TimeoutError:
                assert self.process.returncode is None, "the store was killed"
                self.repeated += 1
                await self.send(connection, 0)
                continue
            if payload:
                return open_checkpoint(payload.decode(), self.gateway.log_vkey)[0].size


@asynccontextmanager
async def plant(folder: Path, settings: str = "") -> AsyncIterator[Plant]:
    with memory_limit(LIMIT) as group:
        async with mosquitto(folder / "broker", config=CONFIG) as broker:
            running = Plant(folder, broker, group)
            try:
                await running.start(settings)
                yield running
            finally:
                await running.stop()


def flood(stack: ExitStack, plant: Plant, name: str) -> Greedy:
    return stack.enter_context(greedy(plant.broker.port, Topics("acme", name).records, SHORT_LINES))


@pytest.mark.parametrize("known", [False, True], ids=["not enrolled", "enrolled"])
async def test_two_clients_with_huge_messages_of_short_lines_do_not_end_the_store(
    tmp_path: Path, *, known: bool
) -> None:
    async with plant(tmp_path) as site, MqttConnector(MqttOptions(url=site.broker.url)).connect() as link:
        names = ("rogue-1", "rogue-2")
        for name in names if known else ():
            site.enroll(FakeGateway(gateway=name, origin=f"acme.example/{name}/1"))
        await link.subscribe(site.gateway.topics.receipt)
        await site.receipts(link, 1)
        with ExitStack() as stack:
            floods = [flood(stack, site, name) for name in names]
            while min(each.taken for each in floods) < 40:
                await site.receipts(link, 1)
        assert [each.wrong for each in floods] == [[], []]
        await site.receipts(link, 1)
        assert site.process.returncode is None
        assert peak(site.process.pid) < MOST
        found = {(each.gateway, each.reason) for each in reports.read_refusals(site.database)}
        assert {gateway for gateway, _ in found} >= set(names)
        if not known:
            assert found == {(name, "unknown") for name in names}
    held = [record.data for record in reports.read_records(site.database)]
    assert held == site.gateway.records


async def test_a_flood_of_small_messages_of_one_gateway_keeps_no_receipt_from_another(tmp_path: Path) -> None:
    rogue = FakeGateway(gateway="rogue", origin="acme.example/rogue/1")
    async with (
        plant(tmp_path, "quota: {messages_per_s: 200}\n") as site,
        MqttConnector(MqttOptions(url=site.broker.url)).connect() as link,
    ):
        site.enroll(rogue)
        await link.subscribe(site.gateway.topics.receipt)
        await link.publish(rogue.topics.records, rogue.batch())
        await site.receipts(link, 1)
        note = rogue.checkpoint()
        with greedy(site.broker.port, rogue.topics.checkpoint, note, in_flight=500, rate=3600) as flood:
            await until(lambda: flood.taken > 1000, "the flood")
            await site.receipts(link, 30)
            during = flood.taken
        assert (during > 1000, flood.wrong, site.repeated) == (True, [], 0)
        await until(lambda: "quota" in site.log.read_text(), "the report")
        found = {(each.gateway, each.reason) for each in reports.read_refusals(site.database)}
        assert ("rogue", "quota") in found
        assert site.log.read_text().count("messages dropped") <= 4, "once a minute"


async def test_messages_with_very_many_properties_do_not_hold_up_the_store(tmp_path: Path) -> None:
    properties = ManyProperties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    async with plant(tmp_path) as site, MqttConnector(MqttOptions(url=site.broker.url)).connect() as link:
        await link.subscribe(site.gateway.topics.receipt)
        topic = Topics("acme", "rogue").records
        with greedy(site.broker.port, topic, b"x", in_flight=2, properties=properties) as flood:
            await until(lambda: flood.taken > 5, "the flood")
            await site.receipts(link, 5)
        assert (flood.wrong, site.repeated) == ([], 0)
        assert site.process.returncode is None
