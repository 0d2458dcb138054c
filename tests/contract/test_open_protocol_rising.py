"""Revisions fall where a controller starts up, rise again, and never change whose results are taken."""

from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from linewitness.devices.open_protocol.session.revisions import RETRY_EVERY, SURE
from linewitness_simulators.torque import TorqueOptions, serve
from support.awkward_controller import (
    CLOSE,
    RESET,
    AwkwardController,
    captured,
    listening,
    pushed,
    refused,
)
from support.open_protocol_rig import Journal, gateway
from support.waiting import until

SOURCE = "ACT:AW00000001:3"


def closes(times: int, end: str = CLOSE) -> Any:
    """End the connection at so many starts, as a controller that starts up."""
    left = [times]

    def answer(mid: int, *_: Any) -> Any:
        if mid == 1 and left[0]:
            left[0] -= 1
            return end
        return ...

    return answer


def above(highest: int, end: str = CLOSE) -> Any:
    """End the connection at a start in a higher revision, always."""
    return lambda mid, revision, _: end if mid == 1 and revision > highest else ...


def connections(controller: AwkwardController) -> list[int]:
    return controller.asked(1)


async def met(controller: AwkwardController, journal: Journal, **more: Any) -> str:
    """Connect once, capture one more result, and return the revision of the start."""
    async with captured(controller, journal, **more) as running:
        await until(lambda: running.connected and 60 in [mid for mid, *_ in controller.heard])
        number = max(journal.ids, default=0) + 1
        controller.heard.clear()
        await until(lambda: journal.state.get("learned"), "what was learned is stored")
        controller.send(pushed(number))
        controller.results.append(number)
        await until(lambda: number in journal.ids)
        return running.identity["revision"]


async def reconnects(controller: AwkwardController, journal: Journal, times: int) -> None:
    """Let one gateway connect so often, each time until it has stored what it learned."""
    async with captured(controller, journal) as running:
        for count in range(1, times + 1):
            await until(partial(lambda wanted: running.connected == wanted, count))
            await until(partial(lambda wanted: len(journal.notices("clock.status")) >= wanted, count))
            if count < times:
                controller.writers[-1].close()


@pytest.mark.parametrize("end", [CLOSE, RESET])
async def test_a_connection_that_is_closed_once_while_a_controller_starts_up_lowers_nothing(end: str) -> None:
    journal, controller = Journal(), AwkwardController(start_revision=7, answer=closes(1, end))
    async with listening(controller):
        assert await met(controller, journal) == "7"
        assert len(controller.writers) == 2, "it was asked once more"


async def test_a_close_after_a_refused_revision_is_a_close_of_the_lower_one_and_the_first() -> None:
    journal, controller = Journal(), AwkwardController(start_revision=7)
    said = iter([refused(1, 97), CLOSE])
    controller.answer = lambda mid, *_: next(said, ...) if mid == 1 else ...
    async with listening(controller):
        assert await met(controller, journal) == "6"


async def test_a_refused_revision_is_left_at_once_on_the_same_connection() -> None:
    journal, controller = Journal(), AwkwardController(start_revision=4)
    async with listening(controller):
        assert await met(controller, journal) == "4"
        assert len(controller.writers) == 1


@pytest.mark.parametrize("end", [CLOSE, RESET])
async def test_a_revision_is_too_high_where_the_connection_is_closed_twice_at_it(end: str) -> None:
    journal, controller = Journal(), AwkwardController(start_revision=7, answer=above(4, end))
    async with listening(controller), captured(controller, journal) as running:
        await until(lambda: running.connected)
        assert connections(controller) == [7, 7, 6, 6, 5, 5, 4]
        assert running.error is None


async def test_six_closes_while_a_controller_starts_up_are_forgotten_at_the_next_connection() -> None:
    journal, controller = Journal(), AwkwardController(start_revision=7, answer=closes(6))
    async with listening(controller):
        assert await met(controller, journal) == "4"
        assert await met(controller, journal) == "7", "a new gateway process begins at the top"


async def test_the_same_gateway_tries_higher_revisions_at_its_next_connection() -> None:
    journal, controller = Journal(), AwkwardController(start_revision=7, answer=closes(6))
    async with listening(controller), captured(controller, journal) as running:
        await until(lambda: running.connected == 1)
        assert running.identity["revision"] == "4"
        controller.writers[-1].close()
        await until(lambda: running.connected == 2)
        assert running.identity["revision"] == "7"


async def test_what_an_older_version_stored_for_ever_is_tried_again() -> None:
    journal, controller = Journal(), AwkwardController(start_revision=7)
    journal.state["learned"] = '{"start": 1, "result": 1, "tool": 1, "software": "1.0"}'
    async with listening(controller):
        assert await met(controller, journal) == "7"


async def test_a_controller_that_always_closes_is_started_at_once_when_that_is_sure() -> None:
    journal, controller = Journal(), AwkwardController(start_revision=7, answer=above(4))
    async with listening(controller):
        await reconnects(controller, journal, SURE)
        before = len(controller.writers)
        assert await met(controller, journal) == "4"
        assert len(controller.writers) == before + 1, "no connection was wasted on higher revisions"


async def test_a_sure_limit_is_tried_again_after_some_connections() -> None:
    journal, controller = Journal(), AwkwardController(start_revision=7, answer=above(4))
    async with listening(controller):
        await reconnects(controller, journal, SURE)
        controller.answer = lambda *_: ...
        found = [await met(controller, journal) for _ in range(RETRY_EVERY + 1)]
    assert found == ["4"] * RETRY_EVERY + ["7"]


async def test_new_software_of_the_controller_is_asked_from_the_top() -> None:
    journal, controller = Journal(), AwkwardController(start_revision=7, answer=above(4))
    async with listening(controller):
        await reconnects(controller, journal, SURE)
        controller.answer, controller.software = (lambda *_: ...), "2.0"
        assert await met(controller, journal) == "4"
        assert await met(controller, journal) == "7"


async def test_a_known_controller_that_closes_is_waited_for() -> None:
    journal, controller = Journal(), AwkwardController(start_revision=6)
    async with listening(controller):
        await met(controller, journal)
        controller.answer = closes(3)
        async with captured(controller, journal) as running:
            await until(lambda: running.error)
            assert "revision 7" in str(running.error) or "revision 6" in str(running.error)
            await until(lambda: running.connected)
            assert running.identity["revision"] == "6"


async def test_refused_results_come_in_a_higher_revision_again_when_the_controller_is_up() -> None:
    journal, controller = Journal(), AwkwardController()
    revisions = iter([1, 2])
    highest = next(revisions)

    def answer(mid: int, revision: int, _: str) -> Any:
        if mid != 60:
            return ...
        return b"00260004001         006097\0" if revision > highest else b"00240005001         0060\0"

    controller.answer = answer
    async with listening(controller):
        async with captured(controller, journal) as running:
            await until(lambda: running.connected and journal.state.get("learned"))
            assert controller.asked(60)[-1] == 1
        highest = next(revisions)
        async with captured(controller, journal) as running:
            await until(lambda: running.connected == 1)
            assert controller.asked(60)[-1] == 2


async def test_a_lower_start_keeps_source_and_station() -> None:
    journal, controller = Journal(), AwkwardController()
    async with listening(controller):
        await met(controller, journal)
        controller.start_revision = 1
        await met(controller, journal)
        controller.start_revision = 6
        await met(controller, journal)
    assert journal.ids == [1, 2, 3]
    assert {each.source for each in journal.results} == {SOURCE}
    assert len(journal.notices("source.epoch")) == 1


async def test_a_controller_first_met_in_a_low_revision_keeps_its_source_when_it_says_more() -> None:
    journal, controller = Journal(), AwkwardController(start_revision=1)
    async with listening(controller):
        await met(controller, journal)
        controller.start_revision = 6
        await met(controller, journal)
        controller.start_revision = 1
        await met(controller, journal)
        controller.start_revision, controller.serial = 6, "AW00000002"
        async with captured(controller, journal) as running:
            await until(lambda: running.error)
    assert {each.source for each in journal.results} == {"-:wrench-10:-"}
    assert "AW00000002" in str(running.error)
    assert "controller_serial" in str(running.error)


async def test_stored_results_that_no_longer_name_their_station_are_not_taken_for_ours() -> None:
    journal = Journal()
    async with serve(TorqueOptions(history="at-or-before")) as simulator:
        simulator.faults.foreign_ids = 2
        simulator.tighten("FIRST")
        async with gateway(simulator, journal, start_after=0):
            await until(lambda: len(journal.ids) == 1 and journal.state.get("learned"))
        for number in range(3):
            simulator.tighten(f"AWAY{number}")
        simulator.faults.lower_revision = True  # the station is told from revision 7 on
        with capture_logs() as logs:
            async with gateway(simulator, journal) as running:
                await until(lambda: running.connected and simulator.subscribed())
                simulator.tighten("LIVE")
                await until(lambda: simulator.results()[-1].id in journal.ids)
                await until(lambda: "do not name their station" in str(logs) or len(journal.ids) > 2)
        simulator.faults.lower_revision = False
        own = [each.id for each in simulator.results()]
        assert set(journal.ids) <= set(own), "a result of another station was taken"
        async with gateway(simulator, journal):
            await until(lambda: set(journal.ids) == set(own))
    assert len(journal.ids) == len(own)
    assert not journal.gaps
