"""Controllers that send other kinds of results: operations, several spindles, traces, compact wrenches."""

from typing import Any, cast

import pytest

from linewitness.devices.base import Result
from linewitness_simulators.torque import TorqueOptions, serve
from support.open_protocol_rig import Journal, gateway
from support.present import present
from support.waiting import until


def tightenings(journal: Journal) -> list[Result]:
    return [each for each in journal.results if each.kind == "tightening.result"]


async def test_operations_are_captured_live_with_their_objects() -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal, results="operations") as running:
        await until(lambda: running.session)
        await until(lambda: simulator.subscribed(1201))
        simulator.tighten("SN1", torque=2512, angle=47)
        simulator.tighten("SN2", torque=2513, angle=48)
        await until(lambda: journal.ids == [1, 2])
    first = journal.results[0]
    assert first.identifier == "SN1"
    assert first.ok
    assert [(each.field, each.unit) for each in first.measured[:2]] == [("torque", "Nm"), ("angle", "deg")]
    assert float(cast(Any, first.measured[0].value)) == 25.12
    assert first.confirmable


async def test_operations_made_meanwhile_are_fetched_in_order() -> None:
    journal = Journal()
    async with serve() as simulator:
        simulator.tighten("BEFORE")
        async with gateway(simulator, journal, results="operations"):
            await until(lambda: journal.notices("source.epoch"))
        for number in range(20):
            simulator.tighten(f"SN{number}")
        async with gateway(simulator, journal, results="operations"):
            await until(lambda: len(journal.ids) > 3)
            simulator.tighten("LIVE")
            await until(lambda: len(journal.ids) == 21)
    assert sorted(journal.ids) == list(range(2, 23))
    filled = [int(each.result_id) for each in journal.results if each.backfilled]
    assert filled == sorted(filled)
    assert not journal.gaps


async def test_an_operation_that_began_anew_is_another_epoch() -> None:
    journal = Journal()
    async with serve() as simulator:
        async with gateway(simulator, journal, results="operations"):
            await until(lambda: simulator.subscribed(1201))
            for number in range(3):
                simulator.tighten(f"OLD{number}")
            await until(lambda: len(journal.ids) == 3)
        simulator.reset()
        simulator.tighten("NEW", torque=2345)
        async with gateway(simulator, journal, results="operations"):
            await until(lambda: len(journal.ids) == 4)
    assert (journal.results[-1].epoch, journal.results[-1].result_id) == (1, "1")


async def test_spindles_give_a_result_each_and_no_repeat() -> None:
    journal = Journal()
    async with (
        serve(TorqueOptions(spindles=3, ack_timeout_s=0.2)) as simulator,
        gateway(simulator, journal, multi_spindle=True) as running,
    ):
        await until(lambda: running.session and simulator.subscribed(100))
        simulator.tighten("SN1")
        await until(lambda: [each for each in journal.results if "spindle" in dict(each.facts)])
        simulator.tighten("SN2")
        await until(lambda: len([each for each in journal.results if "spindle" in dict(each.facts)]) == 6)
    spindles = [each for each in journal.results if "spindle" in dict(each.facts)]
    assert [dict(each.facts)["spindle"] for each in spindles] == [1, 2, 3, 1, 2, 3]
    assert [each.confirmable for each in spindles] == [False, False, True] * 2
    assert len({each.result_id for each in spindles}) == 6
    assert spindles[0].measured[0].unit == "Nm"
    assert spindles[0].measured[0].low is not None


async def test_a_trace_is_kept_whole() -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal, traces=True) as running:
        await until(lambda: running.session and simulator.subscribed(900))
        simulator.tighten("SN1")
        await until(lambda: len(journal.results) == 3)
    traces = [each for each in journal.results if each.kind == "measurement.result"]
    assert {dict(each.facts)["trace"] for each in traces} == {"angle", "torque"}
    for trace in traces:
        facts = dict(trace.facts)
        assert facts["tightening_id"] == 1
        assert len(present(trace.raw)) == int(present(trace.raw)[:4])
        assert cast(int, facts["samples"]) > 0
        assert not trace.counts


async def test_a_job_is_recorded() -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal, jobs=True) as running:
        await until(lambda: running.session and simulator.subscribed(34))
        simulator.controller.select_parameter_set(8)
        await until(
            lambda: [n for n in journal.notices("parameter.changed") if ("parameter_set", 7, 8) in n.changes]
        )


async def test_an_alarm_storm_does_not_hold_up_results() -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal) as running:
        await until(lambda: running.session and simulator.subscribed(70))
        simulator.alarm("E404", count=30)
        simulator.tighten("SN")
        await until(lambda: journal.ids == [1])
    assert len(journal.notices("alarm.raised")) == 1


@pytest.mark.parametrize("codes", [{60: 9}, {70: 11}, {14: 13}])
async def test_a_subscription_of_an_earlier_session_is_replaced(codes: Any) -> None:
    journal = Journal()
    async with serve() as simulator:
        simulator.faults.refuse_once = dict(codes)
        async with gateway(simulator, journal) as running:
            await until(lambda: running.session and simulator.subscribed())
            simulator.tighten("SN")
            await until(lambda: journal.ids == [1])
            assert running.connected == 1


async def test_scanned_identifiers_become_codes() -> None:
    from linewitness.devices.base import Code  # noqa: PLC0415 - only here

    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal, identifiers="multiple") as running:
        await until(lambda: running.session and simulator.subscribed(151))
        simulator.set_vin("UNIT-7")
        await until(lambda: journal.all(Code))
    assert journal.all(Code)[0].text == "UNIT-7"
