"""Results of several spindles (0101): none is missed in silence, and none counts twice."""

from functools import partial

import pytest

from linewitness.devices.base import Result
from linewitness.stations.options import Requirement
from linewitness.stations.units import UnitTally
from linewitness_simulators.torque import TorqueOptions, serve
from linewitness_simulators.torque.options import without
from support.bare_controller import Answers, bare, spindles, tightening
from support.open_protocol_rig import Journal, gateway
from support.waiting import until


def of_spindles(journal: Journal) -> list[Result]:
    return [each for each in journal.results if "spindle" in dict(each.facts)]


def syncs(journal: Journal) -> list[int]:
    return [int(each.result_id.split("-")[0]) for each in of_spindles(journal)]


def done(journal: Journal) -> int:
    """How many good tightenings `requires` sees."""
    tally = UnitTally()
    for each in journal.results:
        if each.counts:
            tally.add(each)
    device = journal.results[0].device
    return tally.of(Requirement(device=device, count=1))[0]


class Master:
    """A controller with 0100 and without 0060; who is not subscribed may ask for some old results."""

    def __init__(self, stored: dict[int, bytes] | None) -> None:
        self.stored = stored
        self.subscribed = False

    def __call__(self, mid: int, data: bytes) -> Answers | None:
        if mid == 60:
            return [(4, b"006099")]
        if mid in {100, 103}:
            self.subscribed = mid == 100
            return [(5, f"{mid:04d}".encode())]
        if mid != 104 or self.stored is None:
            return None
        if self.subscribed or int(data[2:]) not in self.stored:
            return [(4, b"010433")]
        return [(101, self.stored[int(data[2:])])]


async def test_holes_are_fetched_and_what_is_not_there_is_a_gap() -> None:
    journal = Journal()
    stored = {6: spindles(6, 2501, 2502, time="2026-03-14:09:26:54")}
    async with bare(journal, Master(stored)) as (_, controller):
        await until(lambda: controller.count(100))
        controller.push(101, spindles(5, 2510, 2511))
        await until(lambda: controller.count(102) == 1)
        controller.push(101, spindles(8, 2520, 2521, time="2026-03-14:09:26:58"))
        await until(lambda: controller.count(102) == 2)
        await until(lambda: journal.gaps and controller.count(100) == 2)
        controller.push(101, spindles(9, 2530, 2531, time="2026-03-14:09:26:59"))
        await until(lambda: controller.count(102) == 3)
    assert syncs(journal) == [5, 5, 8, 8, 6, 6, 9, 9]
    assert [each.backfilled for each in of_spindles(journal)] == [False] * 4 + [True] * 2 + [False] * 2
    (gap,) = journal.gaps
    assert (gap.first, gap.last, gap.count) == ("sync 7", "sync 7", 1)


async def test_where_old_ones_are_not_offered_a_hole_is_a_gap_and_capture_goes_on() -> None:
    journal = Journal()
    async with bare(journal, Master(None)) as (running, controller):
        await until(lambda: controller.count(100))
        for sync in (65_534, 1):
            controller.push(101, spindles(sync, 2510, time=f"2026-03-14:09:26:{sync % 50:02d}"))
            await until(partial(lambda count: controller.count(102) == count, 1 if sync > 1 else 2))
        await until(lambda: journal.gaps)
        assert running.connected == 1
    (gap,) = journal.gaps
    assert (gap.first, gap.last, gap.count) == ("sync 65535", "sync 0", 2)
    assert "not offered" in gap.reason


async def test_a_controller_with_multi_spindle_results_only_is_accepted() -> None:
    journal = Journal()
    options = TorqueOptions(spindles=2, revisions=without(60, 63, 64))
    async with serve(options) as simulator, gateway(simulator, journal) as running:
        await until(lambda: running.connected and simulator.subscribed(100))
        simulator.tighten("SN1")
        await until(lambda: len(of_spindles(journal)) == 2)
        assert running.error is None
    assert {each.identifier for each in of_spindles(journal)} == {"SN1"}


async def test_a_controller_that_ignores_0060_and_offers_0101_is_accepted() -> None:
    journal = Journal()
    offers = Master({})

    def silent(mid: int, data: bytes) -> Answers | None:
        return [] if mid == 60 else offers(mid, data)

    async with bare(journal, silent, request_timeout_s=0.5, dead_after_s=30) as (running, controller):
        await until(lambda: controller.count(100))
        controller.push(101, spindles(5, 2510))
        await until(lambda: controller.count(102) == 1)
        assert running.error is None
    assert syncs(journal) == [5]


async def test_what_was_made_meanwhile_is_fetched_over_the_wrap_of_the_sync_ids() -> None:
    journal = Journal()
    options = TorqueOptions(spindles=3, revisions=without(60, 63, 64))
    async with serve(options) as simulator:
        simulator.set_sync_id(65_533)
        async with gateway(simulator, journal) as running:
            await until(lambda: running.connected and simulator.subscribed(100))
            simulator.tighten("SN0")
            await until(lambda: len(of_spindles(journal)) == 3)
        for number in range(1, 6):
            simulator.tighten(f"SN{number}")
        async with gateway(simulator, journal) as running:
            await until(lambda: len(of_spindles(journal)) == 18)
            await until(lambda: simulator.subscribed(100))
            simulator.tighten("SN6")
            await until(lambda: len(of_spindles(journal)) == 21)
    assert syncs(journal)[::3] == [65_533, 65_534, 65_535, 0, 1, 2, 3]
    assert [each.identifier for each in of_spindles(journal)][::3] == [f"SN{number}" for number in range(7)]
    assert not journal.gaps


@pytest.mark.parametrize("first", [1, 0])
async def test_a_tightening_that_comes_as_0061_and_as_0101_counts_once(first: int) -> None:
    journal = Journal()
    async with serve(TorqueOptions(spindles=3)) as simulator:
        simulator.set_sync_id(first)
        async with gateway(simulator, journal, multi_spindle=True) as running:
            await until(lambda: running.connected and simulator.subscribed(100) and simulator.subscribed())
            for number in range(3):
                simulator.tighten("SN1")
                await until(partial(lambda made: len(journal.results) == 4 * made + 4, number))
    assert done(journal) == 9
    twice = [each for each in journal.results if not each.counts]
    assert len(twice) == 3
    counted = {each.result_id for each in journal.results if each.counts}
    assert {dict(each.facts)["same_as"] for each in twice} <= counted


async def test_where_0060_is_refused_a_stored_copy_of_a_spindles_result_counts_once() -> None:
    journal = Journal()
    options = TorqueOptions(spindles=2, revisions=without(60))
    async with serve(options) as simulator:
        for made in (1, 3, 5):
            async with gateway(simulator, journal, reconcile_s=1) as running:
                await until(lambda: running.connected and simulator.subscribed(100))
                await until(partial(lambda count: len(journal.results) == count, 3 * made - 3))
                simulator.tighten("SN1")
                await until(partial(lambda count: len(journal.results) == count, 3 * made))
            simulator.tighten("SN2")
    assert done(journal) == 10


async def test_the_other_half_is_known_after_a_crash() -> None:
    journal = Journal()
    offers = Master({})

    def both(mid: int, data: bytes) -> Answers | None:
        return None if mid == 60 else offers(mid, data)

    async with bare(journal, both, multi_spindle=True) as (_, controller):
        await until(lambda: controller.count(70))
        controller.push(61, tightening(1, torque=2502))
        await until(lambda: controller.count(62))
    async with bare(journal, both, multi_spindle=True) as (_, controller):
        await until(lambda: controller.count(70))
        controller.push(101, spindles(5, 2501, 2502))
        await until(lambda: controller.count(102))
    assert [each.counts for each in journal.results] == [True, True, False]
    assert done(journal) == 2


async def test_each_push_is_confirmed_once_and_a_repeat_is_recorded_once() -> None:
    journal = Journal()
    async with bare(journal, Master({})) as (_, controller):
        await until(lambda: controller.count(100))
        for _ in range(2):
            controller.push(101, spindles(5, 2510, 2511))
        await until(lambda: controller.count(102) == 2)
    assert syncs(journal) == [5, 5]


async def test_other_values_under_a_known_sync_id_and_time_are_a_conflict_with_everything() -> None:
    journal = Journal()
    async with bare(journal, Master({})) as (_, controller):
        await until(lambda: controller.count(100))
        for pushed, torques in enumerate([(2510, 2511), (2510, 2690), (2510, 2690)], start=1):
            controller.push(101, spindles(5, *torques))
            await until(partial(lambda count: controller.count(102) == count, pushed))
    (notice,) = journal.notices("source.conflict")
    first, second, undecided = of_spindles(journal)
    assert first.counts
    assert second.counts
    assert not undecided.counts
    assert {name: after for name, _, after in notice.changes}["recorded_as"] == undecided.result_id
    torque = undecided.measured[0]
    assert (torque.value, torque.unit, torque.low, torque.high) == ("26.90", "Nm", "23.00", "27.00")
    assert undecided.raw is not None
    assert undecided.confirmable


async def test_what_an_earlier_version_remembered_is_not_recorded_again() -> None:
    journal = Journal()
    journal.state = {"spindle/5-2026-03-14:09:26:53-1": "1", "spindle/5-2026-03-14:09:26:53-2": "2"}
    async with bare(journal, Master({})) as (_, controller):
        await until(lambda: controller.count(100))
        controller.push(101, spindles(5, 2510, 2511))
        await until(lambda: controller.count(102) == 1)
    assert not journal.results
