"""The torque controller simulator, asked and commanded over its socket as the protocol says."""

import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from linewitness_simulators.torque import Inputs, ToolDisabledError, without
from support.torque_client import GOLDEN, MOMENT, Standing, client_of, code, condition, running


async def test_everything_before_the_start_is_ignored() -> None:
    async with running() as (simulator, client):
        client.send(60)
        client.send(9999)
        assert (await client.start())[4:8] == b"0002"
        assert [e.mid for e in simulator.ledger.entries if e.what == "ignored"] == [60, 9999]


@pytest.mark.parametrize("revision", range(1, 8))
async def test_the_start_is_answered_in_the_revision_asked_for(revision: int) -> None:
    async with running() as (_, client):
        answer = await client.ask(1, b"011" if revision == 7 else b"", revision)
        assert answer[8:11] == b"%03d" % revision
        assert len(answer) == int(answer[:4])


async def test_refusals_carry_the_codes_of_the_protocol() -> None:
    async with running(max_clients=1) as (simulator, client):
        await client.start()
        assert code(await client.ask(1)) == (b"0001", 96)
        assert code(await client.ask(61)) == (b"0061", 99)
        assert code(await client.ask(60, revision=12)) == (b"0060", 97)
        assert code(await client.ask(63)) == (b"0063", 10)
        await client.subscribe()
        assert code(await client.ask(60)) == (b"0060", 9)
        assert code(await client.ask(64, b"12")) == (b"0064", 1)
        assert code(await client.ask(12, b"099")) == (b"0012", 2)
        assert code(await client.ask(18, b"099")) == (b"0018", 3)
        assert code(await client.ask(40, b"010007", 6)) == (b"0040", 29)
        assert code(await client.ask(78)) == (b"0078", 58)
        assert code(await client.ask(100)) == (b"0100", 30)
        assert code(await client.ask(8, b"120100900")) == (b"1201", 74)
        assert code(await client.ask(8, b"777700100")) == (b"7777", 73)
        assert code(await client.ask(6, b"777700100")) == (b"7777", 75)
        assert code(await client.ask(8, b"1201001011")) == (b"1201", 78)
        simulator.faults.commands_disabled = True
        assert code(await client.ask(42)) == (b"0042", 92)
        async with client_of(simulator) as second:
            assert code(await second.start()) == (b"0001", 16)


async def test_a_result_waits_for_the_confirmation_of_the_one_before() -> None:
    async with running() as (simulator, client):
        await client.start()
        await client.subscribe()
        made = [simulator.tighten(f"SN{n}") for n in range(3)]
        assert await client.result(confirm=False) == made[0]
        with pytest.raises(TimeoutError):
            await client.receive(timeout=0.1)
        client.send(62)
        assert [await client.result(), await client.result()] == made[1:]
        await condition(lambda: simulator.acked == made)


async def test_a_result_without_confirmation_comes_three_times_more_and_then_the_connection_breaks() -> None:
    async with running(ack_timeout_s=0.05) as (simulator, client):
        await client.start()
        await client.subscribe()
        number = simulator.tighten()
        assert [await client.result(confirm=False) for _ in range(4)] == [number] * 4
        assert await client.at_end()
        assert simulator.acked == []
        assert simulator.ledger.numbers("sent", 61) == [number] * 4


async def test_a_new_session_is_not_told_again_unless_the_controller_redelivers() -> None:
    for redeliver in (False, True):
        async with running(redeliver=redeliver) as (simulator, client):
            number = simulator.tighten()
            await client.start()
            await client.subscribe()
            if redeliver:
                assert await client.result() == number
            else:
                with pytest.raises(TimeoutError):
                    await client.receive(timeout=0.1)


async def test_without_the_acknowledge_flag_results_come_at_once() -> None:
    async with running() as (simulator, client):
        await client.start()
        client.send(60, no_ack=b"1")
        await client.receive()
        made = [simulator.tighten() for _ in range(3)]
        assert [await client.result(confirm=False) for _ in range(3)] == made


async def test_an_ended_subscription_sends_nothing_more() -> None:
    async with running() as (simulator, client):
        await client.start()
        await client.subscribe()
        for _ in range(3):
            simulator.tighten()
        await client.result(confirm=False)
        assert (await client.ask(63))[20:] == b"0063"
        client.send(62)
        with pytest.raises(TimeoutError):
            await client.receive(timeout=0.1)


async def test_old_results_are_found_exactly() -> None:
    async with running(first_id=10) as (simulator, client):
        simulator.faults.foreign_ids = 2
        made = [simulator.tighten(f"SN{n}") for n in range(2)]
        assert made == [12, 15]
        await client.start()
        assert (await client.ask(64, b"%010d" % 12))[22:32] == b"0000000012"
        assert code(await client.ask(64, b"%010d" % 13)) == (b"0064", 15)
        assert (await client.ask(64, b"0000000000"))[22:32] == b"0000000015"


async def test_old_results_are_found_at_or_before_with_other_stations_between() -> None:
    async with running(first_id=10, history="at-or-before") as (simulator, client):
        simulator.faults.foreign_ids = 2
        for n in range(2):
            simulator.tighten(f"SN{n}")
        await client.start()
        seen, asked = [], 0
        while (answer := await client.ask(64, b"%010d" % asked, 7))[4:8] == b"0065":
            seen.append((int(answer[22:32]), int(answer[342:352])))
            asked = seen[-1][0] - 1
        assert seen == [(15, 1), (14, 2), (13, 2), (12, 1), (11, 2), (10, 2)]
        assert [made.id for made in simulator.results()] == [12, 15]


async def test_a_controller_can_have_operation_results_only() -> None:
    async with running(revisions=without(60, 64)) as (_, client):
        await client.start()
        assert code(await client.ask(60)) == (b"0060", 99)
        assert code(await client.ask(8, b"006000100")) == (b"0060", 73)
        assert (await client.ask(8, b"120100100"))[20:] == b"1201"


async def test_a_controller_without_history_does_not_know_the_request() -> None:
    async with running(history="none") as (simulator, client):
        simulator.tighten()
        await client.start()
        assert code(await client.ask(64, b"0000000000")) == (b"0064", 99)


async def test_parameter_sets_are_listed_told_and_selected() -> None:
    async with running() as (_, client):
        await client.start()
        assert (await client.ask(10))[20:] == b"003007008009"
        told = await client.ask(12, b"008", 5)
        assert told[8:11] == b"005"
        assert told[61:67] == b"000900"
        assert code(await client.ask(12, b"008", 3)) == (b"0012", 97)
        await client.subscribe(14)
        assert (await client.receive())[20:23] == b"007"
        client.send(16)
        assert (await client.ask(18, b"008"))[4:8] == b"0005"
        assert (await client.receive())[4:8] == b"0015"


async def test_a_job_counts_its_tightenings() -> None:
    async with running() as (simulator, client):
        await client.start()
        await client.subscribe(34)
        assert (await client.ask(38, b"02"))[20:] == b"0038"
        counts = [await client.receive()]
        for _ in range(2):
            client.send(36)
            simulator.tighten()
            counts.append(await client.receive())
        assert [(t[26:27], t[38:42]) for t in counts] == [(b"0", b"0000"), (b"0", b"0001"), (b"1", b"0002")]


async def test_a_disabled_tool_makes_nothing() -> None:
    async with running() as (simulator, client):
        await client.start()
        assert (await client.ask(42))[20:] == b"0042"
        with pytest.raises(ToolDisabledError, match="0043"):
            simulator.tighten()
        assert (await client.ask(43))[20:] == b"0043"
        assert simulator.tighten() == 1
        assert [e.mid for e in simulator.ledger.entries if e.what == "command"] == [42, 43]


async def test_identifiers_are_taken_over_and_told() -> None:
    async with running() as (simulator, client):
        await client.start()
        await client.subscribe(51)
        await client.subscribe(151)
        assert (await client.ask(50, b"SN-1"))[20:] == b"0050"
        assert (await client.receive())[20:45] == b"SN-1".ljust(25)
        client.send(53)
        assert (await client.receive())[22:52] == b"10101SN-1".ljust(30)
        client.send(153)
        assert code(await client.ask(50, b"x" * 26)) == (b"0050", 1)
        assert (await client.ask(150, b"y" * 40))[20:] == b"0150"
        simulator.tighten()
        assert simulator.results()[-1].vin == "y" * 25


async def test_alarms_hold_back_results_until_they_are_confirmed() -> None:
    async with running() as (simulator, client):
        await client.start()
        simulator.alarm("E001")
        await client.subscribe(70)
        assert (await client.receive())[4:29] == b"0076001         01102E001"
        client.send(77)
        await client.subscribe(60)
        simulator.alarm("E002", count=2)
        number = simulator.tighten()
        for _ in range(2):
            assert (await client.receive())[4:26] == b"0071001         01E002"
            client.send(72)
        assert await client.result() == number
        assert (await client.ask(78))[20:] == b"0078"
        assert (await client.receive())[20:] == b"E001"


async def test_the_clock_shows_the_time_of_its_zone_and_can_be_set() -> None:
    clock = Standing(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    async with running(clock=clock, zone="Europe/Vienna") as (simulator, client):
        await client.start()
        assert (await client.ask(80))[20:] == b"2026-10-25:02:30:00"
        clock.moment = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
        assert (await client.ask(80))[20:] == b"2026-10-25:02:30:00"
        assert (await client.ask(82, b"2000-01-01:00:00:05"))[20:] == b"0082"
        assert (await client.ask(80))[20:] == b"2000-01-01:00:00:05"
        assert code(await client.ask(82, b"2000-13-01:00:00:05")) == (b"0082", 1)
        simulator.set_clock(MOMENT)
        simulator.jump_clock(3600)
        assert (await client.ask(80))[20:] == b"2026-03-14:11:26:53"


async def test_spindles_that_tighten_together_share_one_result() -> None:
    async with running(spindles=2) as (simulator, client):
        await client.start()
        await client.subscribe(100)
        simulator.set_sync_id(65_535)
        simulator.tighten("SN1", torque=2512, angle=47)
        simulator.tighten("SN1")
        first = await client.receive()
        assert (len(first), first[20:24], first[164:169]) == (174 + 36, b"0102", b"65535")
        assert first[174:192] == b"01011" + b"1" + b"002512" + b"1" + b"00047"
        client.send(102)
        assert (await client.receive())[164:169] == b"00000"
        client.send(102)
        assert code(await client.ask(104, b"01%010d" % 65_535)) == (b"0104", 33)
        assert (await client.ask(103))[20:] == b"0103"
        assert await client.ask(104, b"01%010d" % 65_535) == first


async def test_operation_results_come_in_their_parts() -> None:
    async with running() as (simulator, client):
        await client.start()
        client.send(8, b"1201001310" + b"0" * 29 + b"1")
        assert (await client.receive())[20:] == b"1201"
        number = simulator.tighten("SN1", torque=2512)
        overall = await client.receive()
        assert overall[4:8] + overall[20:36] == b"1201002001%010d" % number
        client.send(1203)
        part = await client.receive()
        assert part[4:8] + part[20:40] == b"1202002002%010d0001" % number
        assert b"020010050300100002" + b"5.12" in part
        client.send(5, b"1202")
        await condition(lambda: simulator.acked == [number])
        assert (await client.ask(6, b"120100110%010d" % number))[4:8] == b"1201"
        assert (await client.receive())[4:8] == b"1202"
        assert code(await client.ask(6, b"1201001100000000099")) == (b"1201", 15)
        assert (await client.ask(9, b"120100100"))[20:] == b"1201"


async def test_traces_end_in_binary_samples_without_an_end_mark() -> None:
    async with running() as (simulator, client):
        await client.start()
        number = simulator.tighten("SN1", torque=2512)
        trace = await client.ask(6, b"090000117%010d0020001" % number)
        text, _, samples = trace.partition(b"\0")
        assert len(trace) == int(trace[:4])
        assert text[20:30] == b"%010d" % number
        curve = struct.unpack(f">{int(text[-5:])}h", samples)
        assert (curve[-1], max(curve)) == (2512, 2512)
        assert (await client.ask(9999))[4:8] == b"9999"
        plot = await client.ask(6, b"090100117%010d0020001" % number)
        assert plot[20:30] == b"%010d" % number


async def test_the_memory_can_be_listed_and_forgets_the_oldest() -> None:
    async with running(capacity=2) as (simulator, client):
        await client.start()
        for _ in range(3):
            simulator.tighten()
        told = await client.ask(6, b"090200100")
        assert (told[20:30], told[30:40], told[59:69]) == (b"0000000002", b"0000000002", b"0000000003")
        listed = await client.ask(6, b"006700113" + b"0" * 10 + b"010")
        assert (listed[20:23], listed[23:33], listed[53:63]) == (b"002", b"0000000003", b"0000000002")
        assert code(await client.ask(64, b"0000000001")) == (b"0064", 15)
        assert [made.id for made in simulator.results()] == [1, 2, 3]


async def test_the_link_level_confirms_repeats_and_objects() -> None:
    async with running() as (simulator, client):
        await client.start(6)
        client.send(60, revision=3, sequence=b"01")
        ack, accepted = await client.receive(), await client.receive()
        assert ack == GOLDEN["9997 ack of 0060, seq 02"]
        assert (accepted[4:8], accepted[16:18]) == (b"0005", b"01")
        client.send(60, revision=3, sequence=b"01")
        assert await client.receive() == ack
        client.send(9999, sequence=b"07")
        assert await client.receive() == b"00289998001     02  99990003"
        number = simulator.tighten()
        assert (await client.receive())[16:18] == b"02"
        client.send(9997, b"0061", sequence=b"03")
        await condition(lambda: simulator.acked == [number])


async def test_a_silent_client_is_cut_off() -> None:
    async with running(keep_alive_s=0.2) as (simulator, client):
        await client.start()
        assert await client.at_end()
        assert simulator.ledger.entries[-1].text == "nothing heard for 0.2 s"


async def test_a_stopped_client_is_told_so_and_let_go() -> None:
    async with running() as (simulator, client):
        await client.start()
        assert (await client.ask(3))[20:] == b"0003"
        assert await client.at_end()
        await condition(lambda: simulator.clients == 0)


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    async def fail() -> None:
        async with running():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


async def test_each_client_has_its_own_subscription_and_confirmations() -> None:
    async with running() as (simulator, client), client_of(simulator) as second:
        for each in (client, second):
            await each.start()
            await each.subscribe()
        made = [simulator.tighten() for _ in range(2)]
        assert [await second.result(), await second.result()] == made
        await condition(lambda: simulator.acked == made)
        assert await client.result(confirm=False) == made[0]
        assert simulator.subscribed() == 2


async def test_a_job_is_listed_described_selected_restarted_and_aborted() -> None:
    async with running() as (simulator, client):
        await client.start()
        assert (await client.ask(30))[20:] == b"020102"
        assert (await client.ask(30, revision=2))[20:] == b"000200010002"
        data = await client.ask(32, b"02")
        assert data[22:24] == b"02"
        assert data[26:51].rstrip() == b"Cover"
        assert data[91:] == b"01:008:1:02;"
        assert (await client.ask(32, b"0002", 2))[93:] == b"01:008:1:02;"
        assert code(await client.ask(32, b"05")) == (b"0032", 17)
        assert code(await client.ask(39, b"02")) == (b"0039", 21)
        assert (await client.ask(38, b"02"))[20:] == b"0038"
        simulator.tighten("SN")
        assert simulator.controller.state.job_counter == 1
        assert (await client.ask(39, b"02"))[20:] == b"0039"
        assert (simulator.controller.state.job, simulator.controller.state.job_counter) == (2, 0)
        assert (await client.ask(127))[20:] == b"0127"
        assert simulator.controller.state.job == 0
        simulator.faults.commands_disabled = True
        assert [code(await client.ask(mid, b"02"))[1] for mid in (38, 39, 127)] == [92, 92, 92]


async def test_a_batch_size_that_a_client_sets_holds_until_it_is_set_again(tmp_path: Path) -> None:
    async with running(state=tmp_path / "state") as (simulator, client):
        await client.start()
        assert code(await client.ask(19, b"09902")) == (b"0019", 2)
        assert (await client.ask(19, b"00702"))[20:] == b"0019"
        await simulator.restart()
        assert [simulator.controller.tighten(Inputs()).batch_status for _ in range(2)] == [3, 1]
        assert simulator.results()[-1].pset.batch_size == 2


async def test_a_powermacs_cycle_is_confirmed_after_its_bolts_and_rewound_to_a_number() -> None:
    async with running(spindles=2) as (simulator, client):
        await client.start()
        await client.subscribe(105)
        number = simulator.tighten("WP1", torque=2512, angle=47)
        cycle = await client.receive_mid(106)
        assert (int(cycle[30:40]), cycle[121:161].rstrip(), cycle[163:165]) == (number, b"WP1", b"02")
        first = cycle[165:232]
        assert first[:4] == b"1301"
        assert (first[15:22], first[24:31]) == (b"25.1200", b"47.0   ")
        client.send(108, b"1")
        bolt = await client.receive_mid(107)
        assert (bolt[67:71], bolt[73:93].rstrip(), bolt[180:209]) == (
            b"0001",
            b"Bolt 1",
            b"Torque              F 25.1200",
        )
        client.send(108, b"1")
        assert (await client.receive_mid(107))[67:71] == b"0002"
        assert simulator.acked == []
        client.send(108, b"1")
        await condition(lambda: simulator.acked == [number])
        newer = [simulator.tighten("WP2"), simulator.tighten("WP3")]
        async with client_of(simulator) as second:
            await second.start()
            answer = await second.ask(105, b"%010d" % newer[0], 2)
            assert answer[20:] == b"0105"
            for expected in newer:
                assert int((await second.receive_mid(106))[30:40]) == expected
                second.send(108, b"0")
        async with client_of(simulator) as third:
            await third.start()
            await third.ask(105, b"00000000001", 4)
            latest = simulator.tighten("WP4")
            assert int((await third.receive_mid(106))[30:40]) == latest
