"""Results of several spindles (0101): none is missed in silence, and none counts twice."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from linewitness.base.clock import NS_PER_S, SystemClock, monotonic
from linewitness.base.pacing import Pace
from linewitness.devices.base import Result
from linewitness.stations.checklist.counting import concerns
from linewitness.stations.checklist.options import ResultRequirement
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
    need = ResultRequirement(device=journal.results[0].device, count=1)
    return sum(each.counts and bool(each.ok) and concerns(need, each) for each in journal.results)


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
        await until(lambda: len(journal.gaps) == 2)
        assert running.connected == 1
    gap, doubt = journal.gaps
    assert (gap.first, gap.last, gap.count) == ("sync 65535", "sync 0", 2)
    assert "not offered" in gap.reason
    assert (doubt.first, doubt.last) == ("sync 65535", None)
    assert "may have begun anew" in doubt.reason


async def capture(journal: Journal, first: int, count: int) -> None:
    """Capture so many pushed results, one minute after the other."""
    async with bare(journal, Master({})) as (_, controller):
        await until(lambda: controller.count(100))
        for step in range(count):
            controller.push(101, spindles(first + step, 2510, time=f"2026-03-14:09:{step:02d}:00"))
            await until(partial(lambda pushed: controller.count(102) == pushed, step + 1))


def made_anew(first: int, last: int, hour: str = "10") -> dict[int, bytes]:
    return {
        sync: spindles(sync, 2500 + sync, time=f"2026-03-14:{hour}:{sync:02d}:00")
        for sync in range(first, last + 1)
    }


@pytest.mark.parametrize("reached", [9, 12, 30])
async def test_ids_that_began_anew_while_nobody_was_there_are_seen_and_nothing_is_lost(reached: int) -> None:
    journal = Journal()
    await capture(journal, 8, 3)
    master = Master(made_anew(1, reached))
    async with bare(journal, master) as (_, controller):
        await until(lambda: controller.count(100) == 2)
        controller.push(101, made_anew(reached + 1, reached + 1)[reached + 1])
        await until(lambda: controller.count(102) == 1 and len(journal.results) == 4 + reached)
    assert sorted(syncs(journal)[3:]) == list(range(1, reached + 2))
    (gap,) = journal.gaps
    assert (gap.first, gap.last, gap.count) == ("sync 11", None, None)
    assert "began anew" in gap.reason
    assert len(journal.notices("source.epoch")) == 2


async def test_ids_that_began_anew_with_a_clock_that_fell_back_are_seen_too() -> None:
    journal = Journal()
    await capture(journal, 8, 3)
    stored = {n: spindles(n, 2500 + n, time=f"2000-01-01:00:{n:02d}:00") for n in range(1, 13)}
    async with bare(journal, Master(stored)) as (_, controller):
        await until(lambda: controller.count(100) == 2)
    assert sorted(syncs(journal)[3:]) == list(range(1, 13))
    assert "began anew" in journal.gaps[0].reason


async def test_where_the_newest_one_is_not_stored_any_more_what_is_missing_has_an_open_end() -> None:
    journal = Journal()
    await capture(journal, 8, 3)
    async with bare(journal, Master(made_anew(14, 18))) as (_, controller):
        await until(lambda: controller.count(100) == 2)
        controller.push(101, made_anew(19, 19)[19])
        await until(lambda: controller.count(100) == 3)
    assert syncs(journal) == [8, 9, 10, 19, 14, 15, 16, 17, 18]
    counted, doubt = journal.gaps
    assert (counted.first, counted.last) == ("sync 11", "sync 13")
    assert (doubt.first, doubt.last) == ("sync 11", None)
    assert "not stored any more" in doubt.reason


async def test_a_controller_that_keeps_nothing_and_pushes_the_next_one_leaves_no_gap() -> None:
    journal = Journal()
    await capture(journal, 8, 3)
    async with bare(journal, Master({})) as (_, controller):
        await until(lambda: controller.count(100) == 2)
        for pushed, sync in enumerate((11, 12, 14), start=1):
            controller.push(101, made_anew(sync, sync)[sync])
            await until(partial(lambda count: controller.count(102) == count, pushed))
        await until(lambda: controller.count(100) == 3)
    assert [(gap.first, gap.last) for gap in journal.gaps] == [("sync 13", "sync 13")]


async def test_more_than_a_thousand_results_made_meanwhile_are_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def at_once(_: Pace) -> None:
        """Wait for nothing: paced, this takes a minute."""

    monkeypatch.setattr(Pace, "turn", at_once)
    journal = Journal()
    await capture(journal, 8, 3)
    stored = {
        sync: spindles(sync, 2500, time=f"2026-03-14:10:{sync // 60:02d}:{sync % 60:02d}")
        for sync in range(11, 1200)
    }
    stored[10] = spindles(10, 2510, time="2026-03-14:09:02:00")
    async with bare(journal, Master(stored)) as (_, controller):
        await until(lambda: controller.count(100) == 2)
        controller.push(101, spindles(1200, 2500, time="2026-03-14:11:00:00"))
        await until(lambda: controller.count(102) == 1)
    assert syncs(journal) == [8, 9, *range(10, 1201)]
    assert not journal.gaps


async def test_requests_for_old_results_are_paced() -> None:
    journal = Journal()
    await capture(journal, 8, 3)
    stored = made_anew(11, 15) | {10: spindles(10, 2510, time="2026-03-14:09:02:00")}
    begun = monotonic()
    async with bare(journal, Master(stored), back_fill_per_s=10) as (_, controller):
        await until(lambda: controller.count(100) == 2)
        assert controller.count(104) == 8
    assert monotonic() - begun >= 0.7


class NeverUnsubscribes(Master):
    """It refuses 0103, and pushes the result that it is asked for."""

    def __call__(self, mid: int, data: bytes) -> Answers | None:
        if mid == 103:
            return [(4, b"010399")]
        if mid == 104:
            self.subscribed = False
        return super().__call__(mid, data)


async def test_where_the_subscription_cannot_be_ended_what_answers_a_question_is_confirmed() -> None:
    journal = Journal()
    stored = {6: spindles(6, 2501, time="2026-03-14:09:26:54")}
    async with bare(journal, NeverUnsubscribes(stored)) as (_, controller):
        await until(lambda: controller.count(100))
        controller.push(101, spindles(5, 2510))
        await until(lambda: controller.count(102) == 1)
        controller.push(101, spindles(7, 2520, time="2026-03-14:09:26:58"))
        await until(lambda: controller.count(102) == 3)
    assert syncs(journal) == [5, 7, 6]


class Silent(Master):
    """It does not answer in time when it is asked for one of its results; its clock is ours."""

    def __init__(self, stored: dict[int, bytes], *, silent: int) -> None:
        super().__init__(stored)
        self._silent = silent

    def __call__(self, mid: int, data: bytes) -> Answers | None:
        if mid == 80:
            return [(81, self.clock().encode())]
        return [] if mid == 104 and int(data[2:]) == self._silent else super().__call__(mid, data)

    def clock(self, ahead_s: int = 0) -> str:
        seconds = SystemClock().stamp().realtime_ns // NS_PER_S + ahead_s
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d:%H:%M:%S}"


async def test_an_answer_that_comes_too_late_is_not_live_and_the_next_ones_are_asked_for() -> None:
    journal = Journal()
    async with bare(journal, Silent({}, silent=6)) as (running, controller):
        await until(lambda: controller.count(100))
        controller.push(101, spindles(5, 2510, unit=""))
        await until(lambda: controller.count(102) == 1)
        controller.push(101, spindles(7, 2520, unit="", time="2026-03-14:09:26:56"))
        await until(lambda: controller.count(102) == 2 and controller.count(100) == 2)
        controller.push(101, spindles(6, 2501, unit="", time="2026-03-14:09:26:54"))
        await until(lambda: controller.count(102) == 3)
        controller.push(101, spindles(9, 2530, unit="", time="2026-03-14:09:26:58"))
        await until(lambda: controller.count(102) == 4 and len(journal.gaps) == 2)
        assert running.connected == 1
    assert syncs(journal) == [5, 7, 6, 9]
    assert [each.backfilled for each in of_spindles(journal)] == [False, False, True, False]
    assert "no answer" in journal.gaps[0].reason
    assert "no more" in journal.gaps[1].reason


async def test_a_push_that_was_made_after_its_question_got_no_answer_is_live() -> None:
    journal = Journal()
    controller_of = Silent({6: spindles(6, 2501, time="2026-03-14:09:26:54")}, silent=8)
    async with bare(journal, controller_of, timezone="UTC") as (_, controller):
        await until(lambda: controller.count(100))
        controller.push(101, spindles(5, 2510))
        await until(lambda: controller.count(102) == 1)
        controller.push(101, spindles(7, 2520, time="2026-03-14:09:26:56"))
        await until(lambda: controller.count(102) == 2 and controller.count(100) == 2)
        controller.push(101, spindles(8, 2501, time=controller_of.clock(ahead_s=30)))
        await until(lambda: controller.count(102) == 3)
    assert syncs(journal) == [5, 7, 6, 8]
    assert [each.backfilled for each in of_spindles(journal)] == [False, False, True, False]


async def test_a_controller_with_multi_spindle_results_only_is_accepted() -> None:
    journal = Journal()
    options = TorqueOptions(spindles=2, revisions=without(60, 63, 64))
    with capture_logs() as logs:
        async with serve(options) as simulator, gateway(simulator, journal) as running:
            await until(lambda: running.connected and simulator.subscribed(100))
            simulator.tighten("SN1")
            await until(lambda: len(of_spindles(journal)) == 2)
            assert running.error is None
            simulator.drop()
            await until(lambda: running.connected == 2 and simulator.subscribed(100))
    assert {each.identifier for each in of_spindles(journal)} == {"SN1"}
    said = [each for each in logs if each["event"] == "not offered by the controller" and each["mid"] == 60]
    assert [each["instead"] for each in said] == ["multi-spindle results (0101)"]


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


async def test_a_result_without_spindles_is_on_record_once_and_its_id_is_not_missing() -> None:
    journal = Journal()
    async with bare(journal, Master(None), multi_spindle=True) as (_, controller):
        await until(lambda: controller.count(100))
        for count, each in enumerate(
            (spindles(5, 2500), spindles(6), spindles(6), spindles(7, 2510)), start=1
        ):
            controller.push(101, each)
            await until(partial(lambda count: controller.count(102) == count, count))
    assert [each.decoded for each in journal.results] == [True, False, True]
    assert "no spindle" in journal.results[1].reason
    assert journal.gaps == []


@pytest.mark.parametrize("code", [16, 27, 98])
async def test_0100_that_is_refused_for_the_moment_is_tried_again(code: int) -> None:
    journal = Journal()
    refusals = [code, code]

    def busy(mid: int, data: bytes) -> Answers | None:
        if mid != 100:
            return None
        return [(4, f"0100{refusals.pop():02d}".encode())] if refusals else [(5, b"0100")]

    async with bare(journal, busy, multi_spindle=True) as (running, controller):
        await until(lambda: controller.count(100) == 3)
        controller.push(101, spindles(5, 2510))
        await until(lambda: controller.count(102) == 1)
        assert running.error is not None
        assert running.connected <= 1
    assert syncs(journal) == [5]


async def test_0100_that_is_refused_for_the_moment_for_ever_keeps_no_tightening_back() -> None:
    journal = Journal()
    refuses = [True]

    def busy(mid: int, data: bytes) -> Answers | None:
        if mid != 100:
            return None
        return [(4, b"010016")] if refuses else [(5, b"0100")]

    async with bare(journal, busy, multi_spindle=True, reconcile_s=1) as (running, controller):
        await until(lambda: running.connected and running.session.refused_points)
        assert controller.count(100) == 3
        assert "error 16" in running.session.refused_points["multi_spindle"]
        controller.push(61, tightening(1))
        await until(lambda: controller.count(62))
        refuses.clear()
        await until(lambda: not running.session.refused_points)
        controller.push(101, spindles(5, 2510))
        await until(lambda: controller.count(102))
        assert running.connected == 1
    assert journal.ids == [1]
    assert syncs(journal) == [5]


async def test_what_only_the_yaml_asks_for_and_the_controller_does_not_offer_is_a_refusal() -> None:
    journal = Journal()
    wanted: dict[str, Any] = {"multi_spindle": True, "jobs": True, "identifiers": "single", "traces": True}
    async with bare(journal, **wanted) as (running, _):
        await until(lambda: running.connected and running.session.refused_points)
        refused = dict(running.session.refused_points)
        assert "error 99" in refused.pop("traces")
        assert refused == {
            "multi_spindle": "MID 0100 is not offered",
            "identifiers": "MID 0051 is not offered",
            "jobs": "MID 0034 is not offered",
        }
    async with bare(journal) as (running, controller):
        await until(lambda: running.connected and controller.count(70))
        assert running.session.refused_points == {}
