"""The torque controller simulator misbehaves exactly as it is told, and says what it did."""

import asyncio
import json
import random
from contextlib import AsyncExitStack
from typing import Any

import pytest

from linewitness_simulators.torque import ResultType, TorqueFaults, TorqueOptions, TorqueSimulator, serve
from linewitness_simulators.torque.command import parse_faults
from linewitness_simulators.torque.control import set_faults
from support.torque_client import client_of, code, condition, running


async def result_bytes(simulator: TorqueSimulator, client: Any, revision: int = 1) -> Any:
    """Return the next result, as bytes."""
    simulator.tighten("SN1", torque=2512, angle=47)
    telegram = await client.receive_mid(61)
    client.send(62)
    return telegram


async def raw(client: Any, count: int) -> Any:
    async with asyncio.timeout(5):
        return await client.reader.readexactly(count)


async def test_every_byte_can_come_on_its_own() -> None:
    async with running() as (simulator, client):
        await client.start()
        await client.subscribe()
        simulator.faults.split_bytes = 1
        telegram = await result_bytes(simulator, client)
        assert (len(telegram), telegram[4:8]) == (231, b"0061")


async def test_telegrams_can_come_glued_together() -> None:
    async with running() as (simulator, client):
        await client.start()
        client.send(60, no_ack=b"1")
        await client.receive()
        simulator.faults.glue = 3
        for _ in range(3):
            simulator.tighten()
        await client.reader.readexactly(1)
        chunk = await client.reader.read(10_000)
        assert len(chunk) == 3 * 232


@pytest.mark.parametrize(("fault", "end"), [("omit_nul", b""), ("double_nul", b"\0\0")])
async def test_the_end_mark_can_be_missing_or_doubled(fault: str, end: Any) -> None:
    async with running() as (simulator, client):
        setattr(simulator.faults, fault, True)
        client.send(1)
        client.send(9999)
        whole = await raw(client, 57 + 20 + 2 * len(end))
        assert whole[57 : 57 + len(end)] == end
        assert whole[57 + len(end) :] == b"00209999001         " + end


async def test_a_result_can_come_in_parts() -> None:
    async with running() as (simulator, client):
        await client.start()
        await client.subscribe()
        simulator.faults.parts = 3
        simulator.tighten("SN1")
        parts = [await client.receive() for _ in range(3)]
        assert [part[18:20] for part in parts] == [b"31", b"32", b"33"]
        whole = b"".join(part[20:] for part in parts)
        assert len(whole) == 231 - 20
        assert whole[175:179] == b"21" + b"20"


async def test_the_revision_can_be_blank_or_lower() -> None:
    async with running() as (simulator, client):
        await client.start()
        simulator.faults.lower_revision = True
        await client.subscribe(60, revision=3)
        assert (await result_bytes(simulator, client))[8:11] == b"002"
        assert (await client.ask(64, b"0000000000", 3))[8:11] == b"002"
        simulator.faults.blank_revision = True
        assert (await client.ask(80))[8:11] == b"   "


async def test_values_can_be_blank_garbled_or_right_aligned() -> None:
    async with running() as (simulator, client):
        await client.start()
        await client.subscribe(60, revision=2)
        simulator.faults.blank_fields = frozenset({"angle", "0061.pset_id"})
        simulator.faults.garbled_fields = {"torque": "NaN"}
        simulator.faults.right_aligned = True
        telegram = await result_bytes(simulator, client)
        assert telegram[92:95] == b"   "
        assert telegram[183:189] == b"NaN   "
        assert telegram[212:217] == b"     "
        assert telegram[329:343] == b"      A1234567"
        old = await client.ask(64, b"0000000000", 2)
        assert old[67:70] == b"007"


async def test_a_result_can_be_undecodable_once() -> None:
    async with running() as (simulator, client):
        await client.start()
        await client.subscribe()
        simulator.faults.corrupt_results = 1
        assert (await result_bytes(simulator, client))[57:59] == b"??"
        assert (await result_bytes(simulator, client))[57:59] == b"04"


async def test_a_result_can_be_cut_short_or_come_again_with_another_torque() -> None:
    async with running() as (simulator, client):
        await client.start()
        await client.subscribe()
        simulator.faults.short_results = 1
        assert len(await result_bytes(simulator, client)) == 115
        simulator.push_again(1, torque=2600)
        again = await client.receive()
        assert (again[221:231], again[140:146]) == (b"0000000001", b"002600")


async def test_a_start_of_too_high_a_revision_can_end_in_silence() -> None:
    async with running(max_revision=3) as (simulator, client):
        simulator.faults.silent_close = True
        client.send(1, revision=4)
        assert await client.at_end()
        async with client_of(simulator) as again:
            assert (await again.start(3))[8:11] == b"003"


async def test_a_dropped_client_finds_its_place_taken_for_a_while() -> None:
    async with running() as (simulator, client):
        simulator.faults.busy_after_drop_s = 0.3
        await client.start()
        client.writer.transport.abort()
        await condition(lambda: simulator.clients == 0)
        async with client_of(simulator) as again:
            assert code(await again.start()) == (b"0001", 96)

            async with asyncio.timeout(5):
                while (await again.start())[4:8] != b"0002":
                    pass
            assert (await again.ask(3))[20:] == b"0003"
        await condition(lambda: simulator.clients == 0)
        async with client_of(simulator) as third:
            assert (await third.start())[4:8] == b"0002"


async def test_answers_can_be_late() -> None:
    async with running() as (simulator, client):
        await client.start()
        simulator.faults.reply_delay_s = 0.2
        client.send(9999)
        with pytest.raises(TimeoutError):
            await client.receive(timeout=0.1)


async def test_a_machine_that_is_gone_neither_answers_nor_closes_and_may_come_back() -> None:
    async with running(keep_alive_s=0.3, ack_timeout_s=0.05) as (simulator, client):
        await client.start()
        await client.subscribe()
        simulator.faults.half_open = True
        simulator.tighten()
        client.send(9999)
        with pytest.raises(TimeoutError):
            await client.receive(timeout=0.5)
        async with client_of(simulator) as second:
            second.send(1)
            with pytest.raises(TimeoutError):
                await second.receive(timeout=0.1)
            simulator.faults.half_open = False
            assert (await second.receive())[4:8] == b"0002"


async def test_a_result_can_come_between_request_and_answer() -> None:
    async with running() as (simulator, client):
        first = simulator.tighten()
        await client.start()
        await client.subscribe()
        simulator.faults.push_before_reply = 1
        client.send(64, b"%010d" % first)
        answers = sorted([(await client.receive())[4:8], (await client.receive())[4:8]])
        assert answers == [b"0061", b"0065"]
        assert len(simulator.results()) == 2


async def test_confirmations_can_be_lost_and_each_transmission_is_confirmed_by_its_own() -> None:
    async with running(ack_timeout_s=0.1) as (simulator, client):
        await client.start()
        await client.subscribe()
        simulator.faults.lose_acks = 2
        number = simulator.tighten()
        assert [await client.result() for _ in range(3)] == [number] * 3
        following = simulator.tighten()
        assert await client.result() == following
        await condition(lambda: simulator.acked == [number, following])
        assert simulator.ledger.numbers("lost-ack", 61) == [number, number]


async def test_late_confirmations_count_for_the_transmissions_that_they_answer() -> None:
    async with running(ack_timeout_s=0.2) as (simulator, client):
        await client.start()
        await client.subscribe()
        first, second = simulator.tighten(), simulator.tighten()
        assert await client.result(confirm=False) == first
        assert await client.result() == first
        client.send(62)
        assert await client.result() == second
        await condition(lambda: simulator.acked == [first, second])


async def test_a_connection_can_break_right_after_a_result_or_after_the_start() -> None:
    async with running() as (simulator, client):
        await client.start()
        await client.subscribe()
        simulator.faults.drop_after_push = 1
        simulator.tighten()
        assert await client.at_end()
        await condition(lambda: simulator.clients == 0)
        simulator.faults.drop_after_start = 2
        for _ in range(2):
            async with client_of(simulator) as storm:
                storm.send(1)
                await condition(lambda: simulator.clients == 0)
        async with client_of(simulator) as calm:
            await calm.start()
            assert (await calm.ask(9999))[4:8] == b"9999"


async def test_history_can_miss_results_and_contradict_itself() -> None:
    async with running() as (simulator, client):
        first, second = simulator.tighten(torque=2500), simulator.tighten(torque=2500)
        simulator.faults.missing_ids = frozenset({first})
        simulator.faults.altered_torques = {second: 2601}
        await client.start()
        assert code(await client.ask(64, b"%010d" % first)) == (b"0064", 15)
        assert (await client.ask(64, b"%010d" % second))[81:87] == b"002601"


async def test_refusals_can_be_ordered_once_or_always() -> None:
    async with running() as (simulator, client):
        await client.start()
        simulator.faults.refuse_once = {60: 9}
        simulator.faults.refuse = {80: 98}
        assert code(await client.ask(60)) == (b"0060", 9)
        await client.subscribe()
        assert code(await client.ask(80)) == code(await client.ask(80)) == (b"0080", 98)


async def test_identifiers_can_be_accepted_and_forgotten() -> None:
    async with running() as (simulator, client):
        await client.start()
        simulator.faults.ignore_identifiers = True
        assert (await client.ask(50, b"SN-1"))[20:] == b"0050"
        simulator.tighten()
        assert simulator.results()[-1].vin == ""


async def test_another_controller_can_answer_at_the_same_address() -> None:
    async with running() as (simulator, client):
        simulator.faults.other_serial = "SIM9"
        simulator.faults.other_station = 4
        told = await client.start(6)
        assert (told[153:163], told[181:191]) == (b"SIM9      ", b"0000000004")


async def test_a_controller_can_fall_silent_when_it_is_polled_too_fast() -> None:
    async with running() as (simulator, client):
        simulator.faults.fastest_keep_alive_s = 5
        await client.start()
        assert (await client.ask(9999))[4:8] == b"9999"
        client.send(9999)
        client.send(80)
        with pytest.raises(TimeoutError):
            await client.receive(timeout=0.1)


async def test_ids_can_start_anew_be_skipped_and_outlive_a_purge() -> None:
    async with running(first_id=100) as (simulator, _):
        assert [simulator.tighten(), simulator.tighten()] == [100, 101]
        simulator.purge(below=101)
        assert simulator.stored() == [101]
        simulator.skip_ids(5)
        assert simulator.tighten() == 107
        simulator.reset()
        assert simulator.stored() == []
        assert simulator.tighten(result_type=ResultType.LOOSENING) == 1
        assert [made.id for made in simulator.results()] == [100, 101, 107, 1]


async def test_results_are_made_while_the_network_is_away_but_not_without_power() -> None:
    async with running() as (simulator, client):
        await client.start()
        await simulator.unplug()
        assert await client.at_end()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", simulator.port)
        number = simulator.tighten()
        await simulator.plug_in()
        async with client_of(simulator) as again:
            await again.start()
            assert (await again.ask(64, b"0000000000"))[22:32] == b"%010d" % number


async def test_a_client_that_sends_no_telegram_is_cut_off() -> None:
    async with running() as (simulator, client):
        client.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await client.at_end()
        async with client_of(simulator) as again:
            assert (await again.start())[4:8] == b"0002"


async def test_the_control_port_operates_and_answers() -> None:
    options = TorqueOptions(control_port=0)
    async with serve(options) as simulator, client_of(simulator) as client, AsyncExitStack() as cleanup:
        reader, writer = await asyncio.open_connection("127.0.0.1", simulator.control_port)
        cleanup.callback(writer.transport.abort)

        async def do(**request: Any) -> Any:
            writer.write(json.dumps(request).encode() + b"\n")
            async with asyncio.timeout(5):
                return json.loads(await reader.readline())

        await client.start()
        await client.subscribe()
        assert await do(do="tighten", vin="SN1", ok=True) == {"ok": True, "answer": 1}
        assert await client.result() == 1
        await condition(lambda: simulator.acked == [1])
        assert (await do(do="acked"))["answer"] == [1]
        assert (await do(do="results"))["answer"][0]["vin"] == "SN1"
        assert (await do(do="status"))["answer"]["subscribed"] == 1
        assert (await do(do="fault", missing_ids=[1], refuse={"64": 15}))["ok"]
        assert (simulator.faults.missing_ids, simulator.faults.refuse) == (frozenset({1}), {64: 15})
        assert (await do(do="tighten", count=2, at="2026-03-14T09:26:53+00:00"))["answer"] == [2, 3]
        assert simulator.results()[-1].time == "2026-03-14:09:26:53"
        assert not (await do(do="fault", clok=1))["ok"]
        assert not (await do(do="nonsense"))["ok"]
        assert (await do(do="restart"))["answer"] == simulator.port
        assert await client.at_end()
        assert [e["what"] for e in (await do(do="ledger"))["answer"]][:2] == ["opened", "started"]


def test_switches_are_read_from_the_command_line() -> None:
    faults = TorqueFaults()
    set_faults(faults, parse_faults(["omit_nul", "split_bytes=3", "missing_ids=[4]", "other_serial=SIM9"]))
    expected = (True, 3, frozenset({4}), "SIM9")
    assert (faults.omit_nul, faults.split_bytes, faults.missing_ids, faults.other_serial) == expected
    with pytest.raises(KeyError, match="half_open"):
        set_faults(faults, {"halfopen": True})
    with pytest.raises(ValueError, match="split_bytes"):
        set_faults(faults, {"split_bytes": "three"})


async def test_no_telegram_whatever_it_holds_brings_the_controller_down() -> None:
    rng = random.Random(7)
    mids = [*range(320), 900, 901, 902, 1201, 1202, 1203, 7408, 9997, 9998, 9999]
    async with running(max_clients=100, spindles=2) as (simulator, client):
        simulator.tighten()
        await client.start(7)
        async with client_of(simulator) as witness:
            await witness.start()
            for mid in mids * 3:
                if mid == 3:
                    continue
                digits = b"".join(rng.choice([b"0", b"1", b"7", b" "]) for _ in range(rng.randint(0, 70)))
                odd = bytes(rng.choices(range(256), k=rng.randint(0, 9)))
                inner = b"%04d" % rng.choice(mids)
                sequence = rng.choice([b"  ", b"  ", b"%02d" % rng.randint(0, 99)])
                data = rng.choice([digits, odd, inner + digits, b"0001000000", b""])
                client.send(mid, data, rng.choice([1, 2, 3, 6, 9, 500, 999]), b" ", sequence)
                if mid % 20 == 0:
                    assert (await witness.ask(9999))[4:8] == b"9999"
            assert (await witness.ask(64, b"0000000001"))[4:8] == b"0065"
            await condition(lambda: len([e for e in simulator.ledger.entries if e.what == "refused"]) > 500)
            assert simulator.clients == 2
