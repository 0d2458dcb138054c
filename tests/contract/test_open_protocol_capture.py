"""The driver against the simulated controller: what must hold when links, tools and memories fail."""

import asyncio
import contextlib
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from linewitness.base.clock import SystemClock
from linewitness.devices.open_protocol.driver import OpenProtocolDriver
from linewitness_simulators.torque import TorqueOptions, TorqueSimulator, serve
from linewitness_simulators.torque.model import ControllerDescription, Tool
from support.open_protocol_rig import Gateway, Journal, gateway, options_for
from support.present import present
from support.waiting import until


async def enrolled(simulator: TorqueSimulator, journal: Journal) -> None:
    """Let a gateway meet the controller for the first time, and go away again."""
    async with gateway(simulator, journal):
        await until(lambda: journal.notices("source.epoch"), "capture started")


async def ready(running: Gateway, simulator: TorqueSimulator) -> None:
    await until(lambda: simulator.subscribed() and running.connected, "subscribed")


async def test_a_result_has_everything_that_the_controller_said() -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal, timezone="UTC") as running:
        await ready(running, simulator)
        simulator.tighten("SN0001", torque=2512, angle=47)
        await until(lambda: simulator.acked == [1])
    (result,) = journal.results
    assert (result.source, result.epoch, result.result_id) == ("ACT:SIM0000001:1", 0, "1")
    assert result.identifier == "SN0001"
    assert result.ok
    torque, angle = result.measured[:2]
    assert (torque.field, torque.value, torque.unit) == ("torque", "25.12", "Nm")
    assert (torque.low, torque.high, torque.status) == ("23.00", "27.00", "ok")
    assert (angle.value, angle.unit, angle.low, angle.high) == ("47", "deg", "20", "90")
    facts = dict(result.facts)
    assert facts["tool_serial"] == "A1234567"
    assert facts["pset"] == 7
    assert facts["tool_last_calibration"] == "2025-11-03:14:05:00"
    assert facts["time_quality"] == "measured"
    assert result.when.device_time == simulator.results()[0].time
    assert abs(result.when.occurred_ns - result.received.realtime_ns) < 3e9
    assert result.raw is not None
    assert result.raw[4:8] == b"0061"
    assert not result.backfilled


async def test_a_result_is_confirmed_only_after_the_commit() -> None:
    journal = Journal()
    async with serve() as simulator:
        await enrolled(simulator, journal)
        async with gateway(simulator, journal, commits=False, parameter_sets=False, alarms=False) as running:
            await ready(running, simulator)
            simulator.tighten("SN1")
            await until(lambda: simulator.ledger.numbers("sent", 61))
            assert simulator.acked == []
        async with gateway(simulator, journal):
            await until(lambda: journal.ids == [1])
    assert [each.backfilled for each in journal.results] == [True]


async def test_a_crash_between_commit_and_confirmation_gives_one_result() -> None:
    journal = Journal()
    async with serve(TorqueOptions(redeliver=True)) as simulator:
        await enrolled(simulator, journal)
        async with gateway(simulator, journal, confirms=False) as running:
            await ready(running, simulator)
            simulator.tighten("SN1")
            await until(lambda: journal.ids == [1])
        async with gateway(simulator, journal):
            await until(lambda: simulator.acked == [1])
    assert journal.ids == [1]
    assert len(journal.repeats) >= 1


def repeats_of(journal: Journal, mid: bytes) -> int:
    return sum(present(each.raw)[4:8] == mid for each in journal.repeats)


async def test_lost_confirmations_give_one_result_and_repeats() -> None:
    journal = Journal()
    async with serve(TorqueOptions(ack_timeout_s=0.2)) as simulator, gateway(simulator, journal) as running:
        await ready(running, simulator)
        entries = simulator.ledger.entries
        await until(lambda: any((each.what, each.mid) == ("acked", 15) for each in entries), "only 0061 next")
        simulator.faults.lose_acks = 2
        simulator.tighten("SN1")
        await until(lambda: simulator.acked == [1])
        # A machine under load confirms later than the controller waits: there are more repeats then.
        await until(lambda: repeats_of(journal, b"0061") == len(simulator.ledger.numbers("sent", 61)) - 1)
    assert journal.ids == [1]
    assert repeats_of(journal, b"0061") >= len(simulator.ledger.numbers("lost-ack", 61)) == 2


async def test_everything_made_meanwhile_comes_in_the_order_of_ids_and_live_results_between() -> None:
    journal = Journal()
    async with serve() as simulator:
        simulator.tighten("BEFORE")
        await enrolled(simulator, journal)
        for number in range(60):
            simulator.tighten(f"SN{number}")
        async with gateway(simulator, journal) as running:
            await ready(running, simulator)
            await until(lambda: len(journal.ids) > 5)
            simulator.tighten("LIVE")
            await until(lambda: simulator.acked == [62])
            assert len(journal.ids) < 61, "the live result waited for the back-fill"
            await until(lambda: len(journal.ids) == 61)
    filled = [int(each.result_id) for each in journal.results if each.backfilled]
    assert filled == sorted(filled)
    assert sorted(journal.ids) == list(range(2, 63))
    assert not journal.gaps


async def test_a_stored_result_gets_its_limits_with_their_origin() -> None:
    journal = Journal()
    async with serve() as simulator:
        await enrolled(simulator, journal)
        simulator.tighten("SN1", torque=2512)
        async with gateway(simulator, journal):
            await until(lambda: journal.ids == [1])
    (result,) = journal.results
    assert (result.measured[0].low, result.measured[0].high) == ("23.00", "27.00")
    assert "parameter set 7" in str(dict(result.facts)["limits_from"])
    assert "2026-01-20" in str(dict(result.facts)["limits_from"])


async def test_a_calibration_after_the_tightening_is_not_said_of_it() -> None:
    journal = Journal()
    tool = Tool(calibrated_at="2099-01-01:00:00:00")
    async with serve(TorqueOptions(tool=tool)) as simulator, gateway(simulator, journal) as running:
        await ready(running, simulator)
        simulator.tighten("SN1")
        await until(lambda: journal.ids == [1])
    assert "tool_last_calibration" not in dict(journal.results[0].facts)


async def test_a_result_between_question_and_answer_is_captured_once() -> None:
    journal = Journal()
    async with serve() as simulator:
        await enrolled(simulator, journal)
        for number in range(5):
            simulator.tighten(f"SN{number}")
        simulator.faults.push_before_reply = 3
        async with gateway(simulator, journal):
            await until(lambda: len(journal.ids) >= len(simulator.results()) > 5)
    assert sorted(journal.ids) == [each.id for each in simulator.results()]


async def test_a_missing_result_becomes_a_gap_and_the_rest_is_complete() -> None:
    journal = Journal()

    def rounds() -> int:
        return max((int(text.split()[0]) for key, text in journal.state.items() if "span/" in key), default=0)

    async with serve() as simulator:
        await enrolled(simulator, journal)
        for number in range(6):
            simulator.tighten(f"SN{number}")
        simulator.faults.missing_ids = frozenset({3})
        for number in (1, 2, 3):
            assert not journal.gaps
            async with gateway(simulator, journal):
                await until(partial(lambda wanted: rounds() == wanted, number), f"asked in round {number}")
    assert journal.ids == [1, 2, 4, 5, 6]
    (gap,) = journal.gaps
    assert (gap.first, gap.last, gap.count) == ("3", "3", 1)


@pytest.mark.parametrize("made", [2, 9])
async def test_ids_that_begin_anew_are_another_epoch(made: int) -> None:
    journal = Journal()
    async with serve() as simulator:
        async with gateway(simulator, journal) as running:
            await ready(running, simulator)
            for number in range(5):
                simulator.tighten(f"OLD{number}")
            await until(lambda: len(journal.ids) == 5)
        simulator.reset()
        for number in range(made):
            simulator.tighten(f"NEW{number}", torque=2400 + number)
        async with gateway(simulator, journal):
            await until(lambda: len(journal.ids) == 5 + made)
    assert [(each.epoch, each.result_id) for each in journal.results[5:]] == [
        (1, str(number)) for number in range(1, made + 1)
    ]
    assert [each.identifier for each in journal.results[5:]] == [f"NEW{number}" for number in range(made)]
    assert len(journal.notices("source.epoch")) == 2


async def test_a_memory_that_rolled_over_leaves_a_gap_that_names_the_range() -> None:
    journal = Journal()
    async with serve(TorqueOptions(capacity=5)) as simulator:
        async with gateway(simulator, journal) as running:
            await ready(running, simulator)
            simulator.tighten("SN")
            await until(lambda: journal.ids == [1])
        for number in range(20):
            simulator.tighten(f"SN{number}")
        for _ in range(3):
            async with gateway(simulator, journal, reconcile_s=1):
                await until(lambda: len(journal.ids) == 6)
                await until(lambda: [gap for gap in journal.gaps if gap.last])
    assert journal.ids == [1, 17, 18, 19, 20, 21]
    (gap,) = [gap for gap in journal.gaps if gap.last]
    assert (gap.first, gap.last, gap.count) == ("2", "16", 15)


async def test_only_own_results_are_taken_from_a_shared_memory() -> None:
    journal = Journal()
    async with serve(TorqueOptions(history="at-or-before")) as simulator:
        await enrolled(simulator, journal)
        simulator.faults.foreign_ids = 2
        for number in range(6):
            simulator.tighten(f"SN{number}")
        async with gateway(simulator, journal) as running:
            await until(lambda: len(journal.ids) == 6)
            simulator.tighten("LIVE")
            await until(lambda: len(journal.ids) == 7)
            assert running.connected == 1
    assert journal.ids == [each.id for each in simulator.results()]
    assert not journal.gaps


async def test_another_controller_at_the_same_address_is_refused() -> None:
    journal = Journal()
    async with serve() as simulator:
        await enrolled(simulator, journal)
        before = dict(journal.state)
        simulator.faults.other_serial = "SIM9999999"
        async with gateway(simulator, journal) as running:
            await until(lambda: running.error)
    assert "SIM9999999" in str(running.error)
    assert "controller_serial" in str(running.error)
    assert journal.state == before


async def test_two_controllers_with_equal_ids_do_not_clash() -> None:
    journal = Journal()
    async with serve() as first, gateway(first, journal) as running:
        await ready(running, first)
        first.tighten("A")
        await until(lambda: len(journal.ids) == 1)
    other = Journal()
    async with (
        serve(TorqueOptions(station=ControllerDescription(serial="SIM2"))) as second,
        gateway(second, other) as running,
    ):
        await ready(running, second)
        second.tighten("B")
        await until(lambda: len(other.ids) == 1)
    assert journal.results[0].source != other.results[0].source


async def test_an_undecodable_result_is_kept_confirmed_and_fetched_again() -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal) as running:
        await ready(running, simulator)
        simulator.faults.corrupt_results = 1
        simulator.tighten("SN1")
        await until(lambda: simulator.acked)
        simulator.tighten("SN2")
        await until(lambda: len(journal.ids) == 2)
    damaged = [each for each in journal.results if not each.decoded]
    assert len(damaged) == 1
    assert damaged[0].raw is not None
    assert "not decodable" in damaged[0].reason
    assert sorted(journal.ids) == [1, 2]


@pytest.mark.parametrize(
    "faults",
    [
        {"split_bytes": 1},
        {"split_bytes": 7},
        {"glue": 5},
        {"omit_nul": True},
        {"double_nul": True},
        {"blank_revision": True},
        {"lower_revision": True},
        {"right_aligned": True},
        {"parts": 3},
        {"silent_close": True},
        {"drop_after_start": 1},
        {"drop_after_push": 1},
        {"refuse_once": {60: 9}},
        {"reply_delay_s": 0.05},
    ],
    ids=str,
)
async def test_results_are_the_same_whatever_the_controller_does(faults: Any) -> None:
    journal = Journal()
    options = TorqueOptions(max_revision=3) if "silent_close" in faults else TorqueOptions()
    async with serve(options) as simulator:
        for name, value in faults.items():
            setattr(simulator.faults, name, value)
        async with gateway(simulator, journal) as running:
            await ready(running, simulator)
            for number in range(4):
                simulator.tighten(f"SN{number}", torque=2500 + number)
                await until(partial(lambda made: len(journal.ids) == made + 1, number), "captured")
    assert journal.ids == [1, 2, 3, 4]
    assert [each.measured[0].value for each in journal.results] == ["25.00", "25.01", "25.02", "25.03"]


@pytest.mark.parametrize("revision", [1, 2, 3, 4, 5, 6])
async def test_lower_revisions_are_found_by_stepping_down(revision: int) -> None:
    journal = Journal()
    async with (
        serve(TorqueOptions(max_revision=revision)) as simulator,
        gateway(simulator, journal) as running,
    ):
        await ready(running, simulator)
        simulator.tighten("SN1", torque=2500)
        await until(lambda: journal.ids == [1])
    assert dict(journal.results[0].facts)["revision"] == revision


@pytest.mark.parametrize("revision", [8, 9, 10, 11, 998, 999])
async def test_a_wanted_revision_is_used(revision: int) -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal, result_revision=revision) as running:
        await ready(running, simulator)
        simulator.tighten("SN1", torque=2500)
        await until(lambda: journal.ids == [1])
    assert journal.results[0].measured[0].value == "25.00"
    assert dict(journal.results[0].facts)["revision"] == revision


async def test_a_dead_link_is_noticed_and_what_was_made_meanwhile_is_fetched() -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal) as running:
        await ready(running, simulator)
        simulator.faults.half_open = True
        await until(lambda: running.error)
        assert "nothing came" in str(running.error) or "did not answer" in str(running.error)
        simulator.tighten("SN1")
        simulator.faults.half_open = False
        simulator.drop()
        await until(lambda: journal.ids == [1])


async def test_results_survive_a_restart_of_the_controller(tmp_path: Path) -> None:
    journal = Journal()
    async with (
        serve(TorqueOptions(state=tmp_path / "memory")) as simulator,
        gateway(simulator, journal) as running,
    ):
        await ready(running, simulator)
        simulator.tighten("SN1")
        await until(lambda: journal.ids == [1])
        await simulator.restart()
        await until(lambda: running.connected >= 2)
        await until(simulator.subscribed)
        simulator.tighten("SN2")
        await until(lambda: journal.ids == [1, 2])
    assert len(journal.notices("source.epoch")) == 1


async def test_bookkeeping_results_are_kept_and_do_not_count() -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal) as running:
        await ready(running, simulator)
        for kind in range(1, 11):
            simulator.tighten("SN", result_type=kind)
        await until(lambda: len(journal.ids) == 10)
    assert [each.counts for each in journal.results] == [kind in (1, 7) for kind in range(1, 11)]


async def test_alarms_are_raised_and_cleared_once() -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal) as running:
        await ready(running, simulator)
        await until(lambda: simulator.subscribed(70))
        simulator.alarm("E404", "Transducer overload")
        await until(lambda: journal.notices("alarm.raised"))
        assert simulator.acknowledge_alarm()
        await until(lambda: journal.notices("alarm.cleared"))
        simulator.tighten("SN")
        await until(lambda: journal.ids == [1])
    (raised,) = journal.notices("alarm.raised")
    assert raised.resource_id == "wrench-10/E404"


async def test_the_clock_is_measured_and_the_jump_is_told() -> None:
    journal = Journal()
    async with serve() as simulator:
        simulator.jump_clock(3600)
        async with gateway(simulator, journal, timezone="UTC") as running:
            await ready(running, simulator)
            simulator.tighten("SN")
            await until(lambda: journal.ids == [1])
    (status,) = journal.notices("clock.status")
    offset = next(after for name, _, after in status.changes if name == "offset_ms")
    assert abs(int(cast(Any, offset)) - 3_600_000) < 2000
    (result,) = journal.results
    assert abs(result.when.occurred_ns - result.received.realtime_ns) < 5e9
    assert abs(present(result.when.device_offset_ms) - 3_600_000) < 2000


async def test_the_end_of_a_session_is_said_to_the_controller() -> None:
    async with serve() as simulator:
        async with gateway(simulator, Journal()) as running:
            await ready(running, simulator)
        await until(lambda: any("stopped by the client" in each.text for each in simulator.ledger.entries))


@pytest.mark.parametrize("after", [1, 2, 3, 5, 8])
async def test_a_session_may_end_in_the_middle_of_a_back_fill(after: int) -> None:
    async with serve() as simulator:
        for number in range(20):
            simulator.tighten(f"SN{number}")
        driver = OpenProtocolDriver(options_for(simulator, start_after=0), clock=SystemClock())
        async with (
            driver.connect(Journal()) as session,
            contextlib.aclosing(cast(Any, session.observations())) as said,
        ):
            for _ in range(after):
                await anext(said)
        await until(lambda: any(each.what == "closed" for each in simulator.ledger.entries))


async def test_a_wanted_revision_that_is_not_offered_says_what_to_change() -> None:
    journal = Journal()
    options = TorqueOptions(max_revision=4)
    async with serve(options) as simulator, gateway(simulator, journal, result_revision=7) as running:
        await until(lambda: running.error)
    assert "remove result_revision from this device, or set it to 4" in str(running.error)


async def test_a_wrong_port_says_what_to_change() -> None:
    async def other(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    async with server, serve() as simulator:
        port = server.sockets[0].getsockname()[1]
        async with gateway(simulator, Journal(), port=port) as running:
            await until(lambda: running.error)
    assert "does not speak Open Protocol" in str(running.error)
    assert "4545" in str(running.error)


@pytest.mark.slow
async def test_five_hundred_results_come_within_a_minute_and_a_live_one_is_not_held_up() -> None:
    journal = Journal()
    async with serve() as simulator:
        simulator.tighten("BEFORE")
        await enrolled(simulator, journal)
        for number in range(500):
            simulator.tighten(f"SN{number}")
        defaults = {"back_fill_per_s": 15, "request_timeout_s": 10, "keepalive_s": 7, "dead_after_s": 15}
        async with asyncio.timeout(60), gateway(simulator, journal, **defaults) as running:
            await ready(running, simulator)
            await until(lambda: len(journal.ids) > 20)
            async with asyncio.timeout(1):
                simulator.tighten("LIVE")
                while simulator.acked != [502]:  # noqa: ASYNC110 - what is waited for has no event
                    await asyncio.sleep(0.005)
            while len(journal.ids) < 501:  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.05)
    filled = [int(each.result_id) for each in journal.results if each.backfilled]
    assert filled == list(range(2, 502))
    assert running.connected == 1


async def test_a_controller_that_still_holds_the_old_session_is_given_time() -> None:
    journal = Journal()
    async with serve() as simulator:
        simulator.faults.busy_after_drop_s = 0.5
        async with gateway(simulator, journal, busy_retry_s=0.6) as running:
            await ready(running, simulator)
            simulator.drop()
            await until(lambda: running.error and "96" in str(running.error))
            await until(lambda: running.connected == 2)
            simulator.tighten("SN")
            await until(lambda: journal.ids == [1])
    refused = [each for each in simulator.ledger.entries if each.what == "refused" and each.mid == 1]
    assert len(refused) == 1, "it was asked again too early"


async def test_a_controller_without_a_memory_leaves_a_gap_for_what_was_missed() -> None:
    journal = Journal()
    async with serve(TorqueOptions(history="none")) as simulator:
        async with gateway(simulator, journal) as running:
            await ready(running, simulator)
            simulator.tighten("SN1")
            await until(lambda: journal.ids == [1])
        simulator.tighten("MISSED")
        async with gateway(simulator, journal) as running:
            await ready(running, simulator)
            simulator.tighten("SN3")
            await until(lambda: journal.ids == [1, 3])
    (gap,) = journal.gaps
    assert (gap.first, gap.last, gap.count) == ("2", "2", 1)


async def test_the_tools_own_counter_is_independent_evidence() -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal, reconcile_s=1) as running:
        await ready(running, simulator)
        simulator.tighten("SN1")
        await until(lambda: journal.ids == [1])
        simulator.tighten("SN2")
        simulator.tighten("SN3")
        simulator.purge()
        await until(lambda: len(journal.ids) == 3)
        asked = len([each for each in simulator.ledger.entries if each.what == "asked"])
        await until(lambda: len([each for each in simulator.ledger.entries if each.what == "asked"]) > asked)
    assert not journal.notices("source.conflict")


async def test_a_controller_set_to_another_year_changes_neither_order_nor_count() -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal, timezone="UTC") as running:
        await ready(running, simulator)
        simulator.tighten("SN1")
        await until(lambda: journal.ids == [1])
        simulator.set_clock(datetime(2000, 1, 1, 12, tzinfo=UTC))
        simulator.tighten("SN2")
        await until(lambda: journal.ids == [1, 2])
        jumped = journal.results[1]
        assert dict(jumped.facts)["time_quality"] == "clock-jump"
        assert jumped.when.occurred_ns == jumped.received.realtime_ns
        assert present(jumped.when.device_time).startswith("2000-01-01")
        await until(lambda: len(journal.notices("clock.status")) == 2)
        simulator.tighten("SN3")
        await until(lambda: journal.ids == [1, 2, 3])
    last = journal.results[-1]
    assert present(last.when.device_time).startswith("2000-01-01")
    assert abs(last.when.occurred_ns - last.received.realtime_ns) < 5e9
    assert len(journal.notices("source.epoch")) == 1
