"""PowerMACS cycles (0106): none is missed in silence, and none is taken for a repeat that is not one."""

from functools import partial
from typing import Any

import pytest

from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness_simulators.torque import TorqueOptions, serve, without
from support.bare_controller import Answers, bare, cycle
from support.open_protocol_rig import Journal, gateway
from support.waiting import until

POWERMACS: dict[str, Any] = {"results": "powermacs", "alarms": False, "parameter_sets": False}
LATER = "2026-03-14:09:30:00"


def station(mid: int, data: bytes) -> Answers | None:
    """A station controller that offers 0105 and no 0060."""
    if mid == 60:
        return [(4, b"006099")]
    if mid == 105:
        return [(5, b"0105")]
    return [] if mid == 108 else None


async def pushed(*cycles: bytes, journal: Journal | None = None) -> Journal:
    """Return what is on record after these cycles, each of which was confirmed."""
    journal = journal or Journal()
    async with bare(journal, station, **POWERMACS) as (_, controller):
        await until(lambda: controller.count(105) == 1)
        for count, each in enumerate(cycles, start=1):
            controller.push(106, each)
            await until(partial(lambda count: controller.count(108) == count, count))
    return journal


def missing(journal: Journal) -> list[tuple[str | None, str | None, int | None]]:
    return [(each.first, each.last, each.count) for each in journal.gaps]


async def test_numbers_that_are_left_out_are_a_gap() -> None:
    journal = await pushed(cycle(1, 2500), cycle(9, 2510, time=LATER), cycle(10, 2510, time=LATER))
    assert missing(journal) == [("cycle 2", "cycle 8", 7)]
    await pushed(cycle(10, 2510, time=LATER), cycle(12, 2510, time=LATER), journal=journal)
    assert missing(journal)[1:] == [("cycle 11", "cycle 11", 1)]
    assert journal.notices("source.epoch") == []


async def test_what_revision_1_does_not_send_again_is_a_gap() -> None:
    journal = Journal()
    options = TorqueOptions(spindles=1, revisions={**without(60, 64), 105: 1})
    async with serve(options) as simulator:
        async with gateway(simulator, journal, **POWERMACS):
            await until(lambda: simulator.subscribed(105))
            simulator.tighten("SN1")
            await until(lambda: len(journal.results) == 1)
        for number in range(2, 6):
            simulator.tighten(f"SN{number}")
        async with gateway(simulator, journal, **POWERMACS):
            await until(lambda: simulator.subscribed(105))
            simulator.tighten("SN6")
            await until(lambda: len(journal.results) == 2)
    assert missing(journal) == [("cycle 2", "cycle 5", 4)]


@pytest.mark.parametrize(("time", "number"), [(LATER, 4), (LATER, 50), ("2026-03-14:09:26:53", 4), ("", 4)])
async def test_a_count_that_began_anew_leaves_an_open_gap(time: str, number: int) -> None:
    journal = await pushed(cycle(50, 2500, time="" if not time else "2026-03-14:09:26:53"))
    await pushed(cycle(number, 2510, time=time), cycle(number + 1, 2520, time=time), journal=journal)
    assert missing(journal) == [("cycle 51", None, None)]
    assert [each.changes for each in journal.notices("source.epoch")] == [(("cycle", 50, number),)]
    assert len(journal.results) == 3
    assert journal.state["cycle"] == str(number + 1)


async def test_a_cycle_that_comes_late_is_recorded_and_begins_no_count() -> None:
    journal = await pushed(cycle(50, 2500, time=LATER), cycle(49, 2510), cycle(51, 2510, time=LATER))
    assert len(journal.results) == 3
    assert (missing(journal), journal.notices("source.epoch")) == ([], [])


@pytest.mark.parametrize("code", [98, 16])
async def test_a_refusal_that_passes_costs_no_stored_cycles(code: int) -> None:
    """A lower revision is not tried: revision 1 would be accepted later, and sends only new cycles."""
    asked: list[bytes] = []

    def busy(mid: int, data: bytes) -> Answers | None:
        if mid == 105:
            asked.append(data)
        return [(4, f"0105{code}".encode())] if mid == 105 and len(asked) <= 3 else station(mid, data)

    async with bare(Journal(), busy, **POWERMACS) as (running, _):
        await until(lambda: len(asked) == 4)
        await until(lambda: running.connected > 0)
    assert str(code) in str(running.error)
    assert {len(each) for each in asked} == {11}


async def test_a_known_cycle_with_other_values_is_a_conflict_and_its_repeat_is_none() -> None:
    first, other = cycle(1, 2500, 2510), cycle(1, 2500, 2900, status=2)
    journal = await pushed(first, other, first, other)
    await pushed(other, first, journal=journal)
    assert [each.counts for each in journal.results] == [True, True, False]
    assert [each.measured[0].value for each in journal.results] == ["25.0000", "25.1000", "29.0000"]
    (conflict,) = journal.notices("source.conflict")
    assert conflict.changes == (("recorded_as", None, journal.results[2].result_id),)


@pytest.mark.parametrize("torques", [(2500, 2900), (2500, 2500)])
@pytest.mark.parametrize("time", ["", LATER])
async def test_a_bolt_that_is_twice_in_a_cycle_is_recorded_twice_and_counts_once(
    torques: tuple[int, int], time: str
) -> None:
    doubled = cycle(1, *torques, numbers=(1, 1), time=time)
    journal = await pushed(doubled, doubled)
    assert [each.counts for each in journal.results] == [True, False]
    assert len(journal.notices("source.conflict")) == 1


async def test_cycles_without_a_time_are_told_apart_by_their_values() -> None:
    cycles = [cycle(number, 2500 + more + number, time="") for more in (0, 100) for number in (1, 2, 3)]
    journal = await pushed(*cycles, cycles[-1])
    assert len({each.result_id for each in journal.results}) == 6
    assert all(each.counts for each in journal.results)


async def test_a_cycle_without_bolts_is_on_record_once_and_is_not_missing() -> None:
    journal = await pushed(
        cycle(1, 2500), cycle(2, time=LATER), cycle(2, time=LATER), cycle(3, 2510, time=LATER)
    )
    assert [each.decoded for each in journal.results] == [True, False, True]
    assert (journal.results[1].counts, journal.gaps) == (False, [])
    assert "no bolt" in journal.results[1].reason


async def test_a_cycle_that_is_not_decodable_is_not_missing_too() -> None:
    cut = cycle(2, 2510, 2520, time=LATER)[:-30]
    journal = await pushed(cycle(1, 2500), cut, cut, cycle(3, 2510, time=LATER))
    assert [each.decoded for each in journal.results] == [True, False, True]
    assert journal.gaps == []


async def test_what_a_station_says_of_each_bolt_is_on_record_and_does_not_count() -> None:
    journal = Journal()
    options = TorqueOptions(spindles=2, revisions=without(60, 64))
    async with (
        serve(options) as simulator,
        gateway(simulator, journal, **POWERMACS, bolt_details=True),
    ):
        await until(lambda: simulator.subscribed(105))
        simulator.tighten("SN1", torque=2512)
        simulator.tighten("SN2", ok=False, torque=2912)
        await until(lambda: simulator.acked == [1, 2])
    details = [each for each in journal.results if "bolt_name" in dict(each.facts)]
    assert [each.counts for each in journal.results] == 2 * [True, True, False, False]
    assert [each.identifier for each in details] == ["SN1", "SN1", "SN2", "SN2"]
    assert [each.ok for each in details] == [True, True, False, False]
    said = dict(details[1].facts)
    assert (said["cycle"], said["bolt"], said["bolt_name"]) == (1, 2, "Bolt 2")
    assert said["said_torque"] == "25.1200"
    assert len({each.result_id for each in journal.results}) == 8


async def test_details_are_not_asked_for_by_themselves_and_not_recorded_twice() -> None:
    journal = Journal()
    options = TorqueOptions(spindles=2, revisions=without(60, 64))
    async with serve(options) as simulator:
        simulator.tighten("SN1")
        async with gateway(simulator, journal, **POWERMACS, start_after=0):
            await until(lambda: simulator.acked == [1])
        assert len(journal.results) == 2
        for _ in range(2):
            async with gateway(simulator, journal, **POWERMACS, bolt_details=True):
                await until(lambda: simulator.subscribed(105))
                count = len(simulator.acked)
                await until(partial(lambda count: len(simulator.acked) > count or journal.repeats, count))
                simulator.tighten("SN9")
                await until(partial(lambda made: made in simulator.acked, simulator.results()[-1].id))
    names = [each.result_id for each in journal.results]
    assert len(names) == len(set(names))
    bolts = [(dict(each.facts)["cycle"], dict(each.facts)["bolt"], each.counts) for each in journal.results]
    assert len(bolts) == len(set(bolts))
    assert {(3, 1, False), (3, 2, False)} <= set(bolts)


@pytest.mark.parametrize("more", [{}, {**POWERMACS, "acknowledge": "link"}])
def test_details_of_bolts_need_cycles_and_their_own_confirmation(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="bolt_details"):
        OpenProtocolOptions(id="ma", host="127.0.0.1", bolt_details=True, **more)
