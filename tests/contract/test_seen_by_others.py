"""A restored journal at real places: a second broker that retains its checkpoint, and a witness over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from linewitness.anchors.broker import BrokerTarget
from linewitness.anchors.options import BrokerOptions, WitnessOptions
from linewitness.anchors.witness import WitnessTarget
from linewitness.base.clock import SystemClock
from linewitness.evidence.format.keys import new_key
from linewitness.gateway.continuity import CONTINUE, ContradictionProof, HistoryContradiction
from linewitness.journal.reader import JournalReader
from linewitness.store.keys import Cosigner
from linewitness.store.witness import Witness
from linewitness.uplink.mqtt import MqttConnector
from linewitness.uplink.options import MqttOptions
from support.anchored import anchoring, conflict, restored, said, start
from support.brokers import Broker, mosquitto
from support.clocks import ManualClock
from support.http_answers import serving
from support.journals import IDENTITY, create, running
from support.live_line import live_line, result
from support.present import present
from support.waiting import until

TOPIC = f"linewitness/anchors/v1/{IDENTITY.stream}"
WITNESS = Cosigner("witness.example", new_key())


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    create(tmp_path / "journal", clock)
    return tmp_path / "journal"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with mosquitto(tmp_path / "broker") as running_broker:
        yield running_broker


def at(broker: Broker, **options: Any) -> BrokerTarget:
    return BrokerTarget(BrokerOptions(id="customer", url=broker.url, **options))


async def retained(broker: Broker) -> str:
    async with MqttConnector(MqttOptions(url=broker.url)).connect() as customer:
        await customer.subscribe(TOPIC)
        return (await anext(aiter(customer.messages()))).payload.decode()


async def publish(broker: Broker, payload: bytes) -> None:
    async with MqttConnector(MqttOptions(url=broker.url)).connect() as other:
        await other.publish(TOPIC, payload, retain=True)


@pytest.mark.parametrize("after", [0, 5])
async def test_a_restored_journal_is_frozen_by_what_a_broker_retains(
    directory: Path, broker: Broker, clock: ManualClock, after: int
) -> None:
    size = await restored(directory, clock, [at(broker)], after=after)
    held = await retained(broker)
    await start(directory, clock, [at(broker)])
    [frozen] = said(directory)
    assert (frozen["place"], frozen["place_size"]) == ("broker customer", size)
    known = present(conflict(directory))
    assert (known.proven, known.note) == (True, held)
    assert await retained(broker) == held, "nothing is anchored"


async def test_what_a_broker_retains_of_us_or_of_somebody_else_stops_nobody(
    directory: Path, broker: Broker, clock: ManualClock
) -> None:
    for results in (1, 2):
        with capture_logs() as logged:
            await start(directory, clock, [at(broker)], results)
        assert {entry["event"] for entry in logged} == {"anchor written"}
    await publish(broker, b"\xff junk" * 100_000)
    with capture_logs() as logged:
        await start(directory, clock, [at(broker)], 1)
    assert [entry["log_level"] for entry in logged] == ["warning", "info"]
    assert conflict(directory) is None
    with JournalReader(directory) as reader:
        assert len(list(reader.attestations())) == 3


async def test_a_broker_that_lets_nobody_read_takes_the_checkpoints_all_the_same(
    tmp_path: Path, directory: Path, clock: ManualClock
) -> None:
    async with mosquitto(tmp_path / "deaf", acl="topic write #\n") as broker:
        place = at(broker)
        for results in (1, 1):
            await start(directory, clock, [place], results)
        assert await place.seen(IDENTITY.stream) is None
    with JournalReader(directory) as reader:
        assert len(list(reader.attestations())) == 2


async def test_a_broker_that_is_away_at_the_start_is_compared_when_it_is_back(
    directory: Path, broker: Broker, clock: ManualClock
) -> None:
    await restored(directory, clock, [at(broker)])
    held = await retained(broker)
    async with running(directory, clock) as journal:
        task = anchoring(journal, directory, clock, [at(broker)], timeout_s=4)
        with broker.frozen():
            await task.write()
            assert not journal.frozen
        await task.write()
        assert journal.frozen
    assert await retained(broker) == held


@pytest.fixture
def witness(tmp_path: Path, directory: Path) -> Iterator[Callable[[], WitnessTarget]]:
    with JournalReader(directory) as reader:
        known = {reader.identity.stream: reader.log_vkey}
    memory = Witness(tmp_path / "witness.db", WITNESS, log_key_of=known.get, clock=SystemClock())

    def answer(_path: str, body: bytes) -> Any:
        reply = memory.add_checkpoint(body)
        return reply.status, reply.content_type, reply.body.encode()

    with serving(answer) as url:
        options = WitnessOptions(id="first", url=url, vkey=str(WITNESS.vkey))
        yield lambda: WitnessTarget(options)
    memory.close()


@pytest.mark.parametrize(
    ("after", "words"),
    [(0, "records of this stream, here are"), (6, "our consistency proof does not lead")],
)
async def test_a_restored_journal_is_doubted_by_a_witness_and_goes_on(
    directory: Path, witness: Callable[[], WitnessTarget], clock: ManualClock, after: int, words: str
) -> None:
    size = await restored(directory, clock, [witness()], after=after)
    async with running(directory, clock) as journal:
        task = anchoring(journal, directory, clock, [witness()])
        with capture_logs() as logged:
            await task.write()
            await task.write()
        assert not journal.frozen
    [doubted] = said(directory)
    assert words in doubted["reason"]
    assert (doubted["before"], doubted["continuity"]) == ("unverified", "doubted")
    assert (doubted["place"], doubted["place_size"]) == ("witness first", size)
    [error] = [entry for entry in logged if entry["log_level"] == "error"]
    assert "compare `linewitness store status`" in error["hint"]
    failures = [entry for entry in said(directory, "anchor.written") if entry.get("outcome") == "failed"]
    assert len(failures) == 1


async def test_other_records_of_the_same_number_are_a_doubt_too(
    directory: Path, witness: Callable[[], WitnessTarget], clock: ManualClock
) -> None:
    size = await restored(directory, clock, [witness()], after=3)
    async with running(directory, clock) as journal:
        assert journal.head.size == size
        await anchoring(journal, directory, clock, [witness()]).write()
    [doubted] = said(directory)
    assert f"has seen other records than ours among the first {size}" in doubted["reason"]


async def test_a_witness_that_knows_us_has_no_doubt(
    directory: Path, witness: Callable[[], WitnessTarget], clock: ManualClock
) -> None:
    for results in (1, 2):
        with capture_logs() as logged:
            await start(directory, clock, [witness()], results)
        assert {entry["event"] for entry in logged} == {"anchor written"}
    assert said(directory) == []


async def test_what_a_place_proves_ends_the_sending_and_is_shown_at_once_and_after_a_restart(
    tmp_path: Path,
) -> None:
    proof = ContradictionProof(note="signed", size=900, root=b"\1" * 32, place="directory worm")
    async with live_line(tmp_path) as line, line.serving():
        async with line.gateway() as (journal, judge, health):
            await until(lambda: judge.receipted > 0, "the first receipt")
            assert health.uplink_state == "up"
            await judge.continuity.contradict(HistoryContradiction("the worm", hint=CONTINUE, proof=proof))
            await until(lambda: health.uplink_state == "conflict", lambda: health.uplink_state)
            assert "the worm" in health.uplink_why
            await asyncio.sleep(1)  # what was on its way arrives
            held = line.held
            await journal.submit([result(number) for number in range(5)])
            await asyncio.sleep(1)
        async with line.gateway() as (journal, judge, health):
            await until(lambda: health.uplink_state == "conflict", lambda: health.uplink_state)
            assert "the worm" in health.uplink_why
            await journal.submit([result(9)])
            await asyncio.sleep(1)
        assert line.held == held < journal.head.size
