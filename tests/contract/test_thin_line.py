"""Between gateway and broker lies a round trip, a limit of packets, or a cable that breaks."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import orjson
import pytest
from structlog.testing import capture_logs

from linewitness.evidence.format.record import parse
from linewitness.gateway.answers import receipt_pace
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.gateway.sending import learned_limits
from linewitness.journal.reader import JournalReader
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.store.reports import read_conflicts, read_records
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.mqtt import MqttConnection, MqttConnector
from linewitness.uplink.options import MqttOptions
from support.live_line import TOPICS, LiveLine, live_line, result
from support.slow_cable import SlowCable, slow_cable
from support.waiting import until

ROUND_TRIP_S = 0.05


def kinds(line: LiveLine) -> list[str]:
    with JournalReader(line.directory) as reader:
        return [str(parse(data)["kind"]) for _, data in reader.records()]


def holds(line: LiveLine, size: int) -> bool:
    return line.held >= size


def is_receipted(judge: ReceiptJudge, size: int) -> bool:
    return judge.receipted >= size


def has_sent(cable: SlowCable, before: int) -> bool:
    return cable.sent > before


def assert_whole(line: LiveLine) -> None:
    held = [record.data for record in read_records(line.database)]
    with JournalReader(line.directory) as reader:
        assert held == [data for _, data in reader.records(0, len(held))]
    assert read_conflicts(line.database) == []


async def test_after_a_burst_behind_a_slow_cable_the_line_comes_to_rest(tmp_path: Path) -> None:
    """Each receipt used to become a record, which was sent and receipted, for minutes."""
    async with live_line(tmp_path) as line, slow_cable(line.broker.port, ROUND_TRIP_S) as cable:
        line.port = cable.port
        async with line.serving(), line.gateway() as (journal, judge, _):
            for number in range(600):
                await journal.submit([result(number)])
            await until(lambda: kinds(line).count("tightening.result") == 600)
            last = journal.head.size
            await until(lambda: judge.receipted >= last, "a receipt over all")
            sent = len(line.sent)
            await asyncio.sleep(40 * ROUND_TRIP_S)
            assert journal.head.size <= last + 2, kinds(line)[last:]
            assert len(line.sent) <= sent + 1
        counted = Counter(kinds(line))
        assert counted["custody.received"] <= 1 + 600 / receipt_pace.RECORDS
        assert_whole(line)
        assert line.sent == sorted(set(line.sent)), "nothing twice"


async def test_several_batches_are_on_their_way_at_once(tmp_path: Path) -> None:
    """With one after the other's acknowledgement, each would wait for two round trips."""
    async with live_line(tmp_path) as line, slow_cable(line.broker.port, 0.4) as cable:
        line.port = cable.port
        line.pile_up([result(number) for number in range(2000)])
        async with line.serving():
            cable.deaf = False
            async with line.gateway() as (_, judge, _):
                await until(lambda: line.sent, "the first batch")
                cable.deaf = True  # no acknowledgement arrives any more
                await until(lambda: len(line.sent) >= 10, "others behind it")
                cable.deaf = False
                cable.cut()
                await until(lambda: judge.receipted > 2000, "a receipt over all")
        assert_whole(line)


async def test_a_connection_that_breaks_sends_nothing_twice_that_the_store_has(tmp_path: Path) -> None:
    async with live_line(tmp_path) as line, slow_cable(line.broker.port, 0.01) as cable:
        line.port = cable.port
        async with line.serving(), line.gateway() as (journal, judge, _):
            for number in range(5):
                await journal.submit([result(2 * number)])
                await judge.reached(journal.head.size)
                cable.deaf = True
                await journal.submit([result(2 * number + 1)])
                await until(partial(holds, line, size := journal.head.size), "it in the store")
                assert judge.receipted < size
                cable.deaf = False
                cable.cut()
                await judge.reached(size)
        assert_whole(line)
        assert line.sent == sorted(set(line.sent))


@pytest.mark.parametrize("lost", [0, 1, 3])
async def test_nothing_is_sent_twice_where_the_broker_forgets_what_it_retained(
    tmp_path: Path, lost: int
) -> None:
    """The store is asked, also for less than was sent: the last batches were lost on their way."""
    async with live_line(tmp_path) as line, slow_cable(line.broker.port, 0.01) as cable:
        line.port = cable.port
        async with line.serving(), line.gateway() as (journal, judge, health):
            for _ in range(3):
                await journal.submit([result(0)])
                await judge.reached(journal.head.size)
                cable.deaf = True
                for number in range(2):
                    await journal.submit([result(number)])
                    await until(partial(holds, line, journal.head.size), "it in the store")
                cable.mute = True
                for number in range(lost):
                    went_out = cable.sent
                    await journal.submit([result(number)])
                    await until(partial(has_sent, cable, went_out), "a batch that is lost")
                async with MqttConnector(MqttOptions(url=line.broker.url)).connect() as broker:
                    await broker.publish(TOPICS.receipt, b"", retain=True)
                assert judge.receipted < line.held
                cable.deaf = cable.mute = False
                cable.cut()
                await until(lambda: judge.receipted >= journal.head.size - 1, lambda: health.uplink_why)
        assert_whole(line)
        assert line.sent == sorted(set(line.sent))


@pytest.mark.parametrize("compress", [True, False])
async def test_batches_leave_as_the_settings_say(tmp_path: Path, compress: bool) -> None:
    async with live_line(tmp_path) as line:
        line.options = ForwardOptions(compress=compress)
        line.pile_up([result(number) for number in range(100)])
        async with line.serving(), line.gateway() as (_, judge, _):
            await until(lambda: judge.receipted > 100, lambda: f"a receipt over all: {judge.receipted}")
            await until(lambda: line.compressed, "a batch that a third party sees")
        assert_whole(line)
        assert line.compressed == {compress}


def test_batches_are_compressed_by_default() -> None:
    assert ForwardOptions().compress


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_backlog_is_cut_to_the_packets_that_the_broker_takes(tmp_path: Path, protocol: str) -> None:
    """MQTT 5 announces the limit; with MQTT 3.1.1 the broker hangs up, and the messages become smaller."""
    async with live_line(tmp_path, config="max_packet_size 20000\n") as line:
        line.protocol = protocol
        line.options = ForwardOptions(batch_size=256 * 1024)
        line.pile_up([result(number) for number in range(1000)])
        async with line.serving(), line.gateway() as (_, judge, _):
            await until(lambda: judge.receipted > 1000, lambda: f"a receipt over all: {judge.receipted}")
        assert_whole(line)


async def test_a_limit_that_hang_ups_have_taught_is_remembered_over_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With MQTT 3.1.1 nothing announces it: without memory each restart would take several connections."""
    said = []
    async with live_line(tmp_path, config="max_packet_size 20000\n") as line, line.serving():
        line.protocol = "3.1.1"
        for batch_size in (100_000, 100_000, 90_000, 90_000):
            line.options = ForwardOptions(batch_size=batch_size, compress=False)
            line.pile_up([result(number) for number in range(100)])
            with capture_logs() as logs:
                async with line.gateway() as (journal, judge, health):
                    everything = journal.head.size
                    await until(partial(is_receipted, judge, everything), lambda: health.uplink_why)
            said.append(any("smaller ones are sent" in each["event"] for each in logs))
            if batch_size == 90_000:
                monkeypatch.setattr(learned_limits, "REMEMBERED_S", 0)
        assert_whole(line)
    assert said == [True, False, True, True], "anew after other settings, and after a day"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_record_that_the_broker_never_takes_is_said(tmp_path: Path, protocol: str) -> None:
    async with live_line(tmp_path, config="max_packet_size 1200\n") as line:
        line.protocol = protocol
        line.options = ForwardOptions(compress=False)  # compressed, they would fit
        line.pile_up([result(number) for number in range(10)])
        async with line.serving(), line.gateway() as (_, _, health):
            await until(lambda: health.uplink_state == "refused", lambda: health.uplink_why)
            assert "max_packet_size" in health.uplink_why or "packet" in health.uplink_why
            assert "limit" in health.uplink_why
            assert health.takeover == "", "no other client is accused of it"
    assert json.dumps(kinds(line)).count("custody") == 0


def block(values: list[object]) -> bytes:
    points = [f"point-{number}" for number in range(len(values))]
    return orjson.dumps({"t_ms": 1, "points": points, "values": values, "status": {"0": "Uncertain"}})


@asynccontextmanager
async def historian(line: LiveLine) -> AsyncIterator[dict[str, object]]:
    """Collect the values of a device as a subscriber at the broker."""
    heard: dict[str, object] = {}

    async def listen(link: MqttConnection) -> None:
        async for message in link.messages():
            said = json.loads(message.payload)
            heard.update(zip(said["points"], said["values"], strict=True))

    url = MqttOptions(url=line.broker.url)
    async with MqttConnector(url).connect() as link, asyncio.TaskGroup() as group:
        await link.subscribe(TOPICS.telemetry("press"))
        task = group.create_task(listen(link))
        yield heard
        task.cancel()


@asynccontextmanager
async def narrow(
    folder: Path, protocol: str, values: list[object], results: int
) -> AsyncIterator[tuple[dict[str, object], TelemetryBuffer]]:
    """Send values and results over a broker that takes 20,000 bytes; give what was heard and what waits."""
    async with live_line(folder, config="max_packet_size 20000\n") as line:
        line.protocol = protocol
        async with historian(line) as heard, line.serving(), line.gateway() as (journal, judge, health):
            assert line.telemetry is not None
            await line.telemetry.put("press", len(values), block(values))
            for number in range(results):
                await journal.submit([result(number)])
            last = journal.head.size
            await until(lambda: judge.receipted >= last, lambda: health.uplink_why)
            yield heard, line.telemetry
            assert health.takeover == "", "no other client is accused of it"
        assert_whole(line)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_signals_that_are_larger_than_a_packet_go_in_several_and_stop_no_record(
    tmp_path: Path, protocol: str
) -> None:
    values: list[object] = list(range(1500))
    async with narrow(tmp_path, protocol, values, results=40) as (heard, waiting):
        await until(lambda: heard == {f"point-{number}": number for number in values})
        assert not waiting.dropped


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_value_that_no_message_can_hold_is_counted_and_stops_nothing(
    tmp_path: Path, protocol: str
) -> None:
    async with narrow(tmp_path, protocol, [1, "x" * 30_000, 3], results=1) as (heard, waiting):
        await until(lambda: waiting.dropped)
        assert waiting.dropped == {"press": 1}
        await until(lambda: heard == {"point-0": 1, "point-2": 3})
