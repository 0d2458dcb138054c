"""Controllers whose ids begin anew, wrap, or say nothing: every result is recorded whole and confirmed."""

from functools import partial
from typing import Any

import pytest

from linewitness.devices.base import Result
from linewitness_simulators.torque import TorqueOptions, serve
from support.bare_controller import BareController, bare, tightening
from support.open_protocol_rig import Journal, gateway
from support.present import present
from support.waiting import until


async def ready(controller: BareController) -> None:
    await until(lambda: controller.count(70), "subscribed")


async def push(controller: BareController, data: bytes) -> None:
    """Push one result, and wait until it is confirmed."""
    before = controller.count(62)
    controller.push(61, data)
    await until(lambda: controller.count(62) == before + 1)


def is_whole(result: Result) -> bool:
    torque = result.measured[0]
    return (torque.unit, torque.low, torque.high) == ("Nm", "23.00", "27.00") and result.raw is not None


async def test_all_results_after_a_clock_that_fell_back_to_2000_are_recorded_whole() -> None:
    journal = Journal()
    async with bare(journal) as (_, controller):
        await ready(controller)
        for number in range(1, 13):
            time = f"2026-03-14:09:{number:02d}:00"
            await push(controller, tightening(number, unit=f"OLD{number}", torque=2400 + number, time=time))
        for number in range(1, 21):
            time = f"2000-01-01:00:{number:02d}:07"
            await push(controller, tightening(number, unit=f"NEW{number}", torque=2500 + number, time=time))
    assert not journal.notices("source.conflict")
    after = journal.results[12:]
    assert [(each.epoch, each.result_id) for each in after] == [(1, str(number)) for number in range(1, 21)]
    assert [each.identifier for each in after] == [f"NEW{number}" for number in range(1, 21)]
    assert all(each.counts and is_whole(each) for each in after)


@pytest.mark.parametrize("time", ["2000-01-01:00:00:00", ""])
async def test_without_a_running_clock_the_batch_goes_on_under_ids_that_began_anew(time: str) -> None:
    journal = Journal()
    async with bare(journal) as (_, controller):
        await ready(controller)
        for number, batch in ((1, 1), (2, 2), (3, 3), (1, 4), (2, 1), (3, 2), (3, 2)):
            await push(controller, tightening(number, unit="", batch=batch, time=time))
    assert not journal.notices("source.conflict")
    assert [(each.epoch, each.result_id) for each in journal.results] == [
        (epoch, str(number)) for epoch in (0, 1) for number in (1, 2, 3)
    ]
    assert [dict(each.facts)["batch_counter"] for each in journal.results] == [1, 2, 3, 4, 1, 2]
    assert all(each.counts and is_whole(each) for each in journal.results)
    assert len(journal.repeats) == 1


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize(("first", "second"), [(0, 3), (3, 0)])
async def test_a_repeat_that_leaves_out_its_place_or_fills_it_in_is_a_repeat(
    first: int, second: int, killed: bool
) -> None:
    journal = Journal()
    async with bare(journal) as (_, controller):
        await ready(controller)
        for number in (1, 2):
            await push(
                controller, tightening(number, unit="", batch=first, time=f"2000-01-01:00:00:0{number}")
            )
        for number in (2, 1) if not killed else ():
            await push(
                controller, tightening(number, unit="", batch=second, time=f"2000-01-01:00:00:0{number}")
            )
    async with bare(journal) as (_, controller):
        await ready(controller)
        for number in (2, 1):
            await push(
                controller, tightening(number, unit="", batch=second, time=f"2000-01-01:00:00:0{number}")
            )
    assert journal.ids == [1, 2]
    assert len(journal.repeats) == (2 if killed else 4)
    assert not journal.notices("source.conflict")


@pytest.mark.parametrize(("last", "first"), [(99_999, 1), (4_294_967_295, 0)])
async def test_results_after_a_wrap_are_recorded_though_the_memory_still_has_the_ones_before(
    last: int, first: int
) -> None:
    journal = Journal()
    async with serve(TorqueOptions(first_id=last - 3, last_id=last, after_last=first)) as simulator:
        simulator.tighten("BEFORE")
        async with gateway(simulator, journal) as running:
            await until(lambda: simulator.subscribed() and running.connected)
            for number in range(9):
                simulator.tighten(f"SN{number}", torque=2400 + number)
                await until(partial(lambda made: len(simulator.acked) == made + 1, number))
        async with gateway(simulator, journal) as running:
            await until(lambda: running.connected and simulator.subscribed())
            simulator.tighten("SN9", torque=2450)
            await until(lambda: len(simulator.acked) == 10)
    assert not journal.notices("source.conflict")
    assert not journal.gaps
    assert [each.identifier for each in journal.results if each.counts] == [f"SN{n}" for n in range(10)]


async def test_a_controller_that_always_says_0_loses_nothing_and_repeats_nothing() -> None:
    journal = Journal()
    async with bare(journal) as (_, controller):
        await ready(controller)
        for number in (1, 2, 3, 2):
            await push(
                controller,
                tightening(0, unit=f"SN{number}", batch=number, time=f"2026-03-14:09:{number:02d}:00"),
            )
    assert [each.identifier for each in journal.results] == ["SN1", "SN2", "SN3"]
    assert [each.result_id for each in journal.results] == ["0-1", "0-2", "0-3"]
    assert all(each.counts and is_whole(each) for each in journal.results)


@pytest.mark.parametrize("text", [" " * 10, "ABC       "])
async def test_a_result_without_an_id_keeps_its_values(text: str) -> None:
    journal = Journal()
    async with bare(journal) as (_, controller):
        await ready(controller)
        await push(controller, tightening(text, unit="SN1"))
        await push(controller, tightening(7, unit="SN2", time="2026-03-14:09:30:00"))
    first, second = journal.results
    assert (first.identifier, first.ok, first.measured[0].value) == ("SN1", True, "25.00")
    assert first.decoded
    assert first.counts
    assert is_whole(first)
    assert "tightening_id" not in dict(first.facts)
    assert "id" in first.reason
    assert second.result_id == "7"


async def test_the_stored_copy_of_a_result_without_an_id_is_no_second_tightening() -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal) as running:
        await until(lambda: simulator.subscribed() and running.connected)
        simulator.faults.blank_ids = 1
        simulator.tighten("SN1", torque=2512)
        await until(lambda: len(journal.results) == 2)
    blank, copy = journal.results
    assert blank.counts
    assert blank.confirmable
    assert not copy.counts
    assert (copy.result_id, dict(copy.facts)["same_as"]) == ("1", blank.result_id)


async def test_a_conflict_has_everything_that_a_result_has() -> None:
    journal = Journal()
    async with bare(journal) as (_, controller):
        await ready(controller)
        await push(controller, tightening(1, unit="SN1"))
        await push(controller, tightening(2, unit="SN2", time="2026-03-14:09:30:00"))
        for _ in range(2):
            await push(controller, tightening(1, unit="SN3", torque=2690))
    (notice,) = journal.notices("source.conflict")
    changes: dict[str, Any] = {name: after for name, _, after in notice.changes}
    (undecided,) = [each for each in journal.results if not each.counts]
    assert changes["recorded_as"] == undecided.result_id
    assert (undecided.identifier, undecided.measured[0].value) == ("SN3", "26.90")
    assert is_whole(undecided)
    assert present(undecided.raw)[4:8] == b"0061"
    assert dict(undecided.facts)["conflict"] == notice.reason
