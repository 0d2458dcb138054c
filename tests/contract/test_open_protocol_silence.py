"""A controller that leaves out answers: capture goes on without them, and that is logged once."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from linewitness.base.clock import SystemClock
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.probe import probe
from support.awkward_controller import AwkwardController, captured, listening, pushed, telegram
from support.open_protocol_rig import Journal
from support.waiting import until

GONE_ON = "old results are not answered: capture goes on without them"


def silent(*mids: int) -> Any:
    """Leave out the answers to these questions."""
    return lambda mid, *_: None if mid in mids else ...


def push(controller: AwkwardController, number: int) -> None:
    """Make a result, and push it."""
    controller.results.append(number)
    controller.send(pushed(number))


def not_offered(logs: Sequence[Any]) -> list[int]:
    """Return what the log says that the controller does not offer, as often as it says it."""
    return sorted(each["mid"] for each in logs if each["event"] == "not offered by the controller")


async def test_what_is_ignored_besides_results_is_said_once_over_connections() -> None:
    journal, controller = Journal(), AwkwardController(answer=silent(14, 40, 70, 80, 100))
    wanted = {"multi_spindle": True, "reconcile_s": 1, "request_timeout_s": 0.3}
    with capture_logs() as logs:
        async with listening(controller), captured(controller, journal, **wanted) as running:
            for number in (1, 2):
                await until(partial(lambda wanted: running.connected == wanted, number), timeout_s=30)
                push(controller, number)
                await until(partial(lambda wanted: wanted in journal.ids, number))
                asked = len(controller.asked(80))
                await until(partial(lambda before: len(controller.asked(80)) > before, asked))
                if number == 1:
                    controller.writers[-1].close()
        assert all(len(controller.asked(mid)) > 1 for mid in (14, 40, 70, 80, 100)), "asked again, in vain"
    assert not_offered(logs) == [14, 40, 70, 80, 100]


async def test_results_flow_from_a_controller_that_ignores_requests_for_old_ones() -> None:
    journal, controller = Journal(), AwkwardController(answer=silent(64))
    with capture_logs() as logs:
        async with listening(controller), captured(controller, journal, reconcile_s=1) as running:
            for number in (1, 2):
                await until(partial(lambda wanted: running.connected == wanted, number))
                push(controller, number)
                await until(partial(lambda wanted: wanted in journal.ids, number))
                if number == 1:
                    controller.writers[-1].close()
    assert [each["event"] for each in logs].count(GONE_ON) == 1, "said once, over two connections"
    assert not_offered(logs) == [14, 40, 70, 80], "each is said once"


async def test_a_memory_that_fell_silent_is_asked_again_and_loses_nothing() -> None:
    journal, controller = Journal(), AwkwardController()
    async with listening(controller):
        async with captured(controller, journal) as running:
            await until(lambda: running.connected)
            push(controller, 1)
            await until(lambda: journal.ids == [1])
        controller.results += [2, 3]
        controller.answer = silent(64)
        async with captured(controller, journal) as running:
            await until(lambda: running.error)
            assert "did not answer MID 0064" in str(running.error)
            controller.answer = lambda *_: ...
            await until(lambda: journal.ids == [1, 2, 3])
    assert not journal.gaps


async def test_live_results_flow_where_a_memory_stays_silent_and_the_rest_follows_later() -> None:
    journal, controller = Journal(), AwkwardController()
    async with listening(controller):
        async with captured(controller, journal) as running:
            await until(lambda: running.connected)
            push(controller, 1)
            await until(lambda: journal.ids == [1])
        controller.results += [2, 3]
        controller.answer = silent(64)
        async with captured(controller, journal) as running:
            await until(lambda: running.connected)
            push(controller, 4)
            await until(lambda: journal.ids == [1, 4])
            controller.answer = lambda *_: ...
            controller.writers[-1].close()
            await until(lambda: sorted(journal.ids) == [1, 2, 3, 4])
    assert not journal.gaps


async def test_what_a_silent_memory_keeps_for_itself_is_named_in_a_gap() -> None:
    journal, controller = Journal(), AwkwardController()
    async with listening(controller):
        async with captured(controller, journal) as running:
            await until(lambda: running.connected)
            push(controller, 1)
            await until(lambda: journal.ids == [1])
        controller.results += [2, 3]
        controller.answer = silent(64)
        async with captured(controller, journal, reconcile_s=1) as running:
            await until(lambda: running.connected)
            push(controller, 4)
            await until(lambda: journal.gaps)
    assert [(each.first, each.last) for each in journal.gaps] == [("2", "3")]


async def test_one_stored_result_that_is_never_answered_does_not_keep_back_the_others() -> None:
    journal, controller = Journal(), AwkwardController()
    async with listening(controller):
        async with captured(controller, journal) as running:
            await until(lambda: running.connected)
            push(controller, 1)
            await until(lambda: journal.ids == [1])
        controller.results += [2, 3, 4]
        controller.answer = lambda mid, _, data: None if (mid, data) == (64, f"{2:010d}") else ...
        async with captured(controller, journal):
            await until(lambda: journal.ids == [1, 3, 4])


async def test_several_ids_without_an_answer_beside_a_refused_one_become_gaps() -> None:
    journal, controller = Journal(), AwkwardController()
    async with listening(controller):
        async with captured(controller, journal) as running:
            await until(lambda: running.connected)
            push(controller, 1)
            await until(lambda: journal.ids == [1])
        quiet = {f"{number:010d}" for number in (5, 7, 9, 11)}
        controller.results += [2, 4, 6, 8, 10, 12]
        controller.answer = lambda mid, _, data: None if mid == 64 and data in quiet else ...
        async with captured(controller, journal, reconcile_s=1, request_timeout_s=0.2):
            await until(lambda: len(journal.gaps) == 5, timeout_s=30)
    assert [each.first for each in journal.gaps] == ["3", "5", "7", "9", "11"]
    assert sorted(journal.ids) == [1, 2, 4, 6, 8, 10, 12]


async def test_a_start_that_is_not_answered_is_tried_in_a_lower_revision_and_that_is_said_once() -> None:
    journal = Journal()
    controller = AwkwardController(answer=lambda mid, revision, _: None if mid == 1 and revision > 6 else ...)
    with capture_logs() as logs:
        async with listening(controller), captured(controller, journal) as running:
            for number in (1, 2, 3):
                await until(partial(lambda wanted: running.connected == wanted, number), timeout_s=30)
                assert running.identity["revision"] == "6"
                push(controller, number)
                await until(partial(lambda wanted: wanted in journal.ids, number))
                if number < 3:
                    assert "MID 0001 revision 7" in str(running.error)
                    controller.writers[-1].close()
    assert controller.asked(1) == [7, 6, 7, 6, 6], "once it is sure, it begins there"
    said = [each for each in logs if each["event"] == "lower revision of the start"]
    assert [(each["asked"], each["revision"]) for each in said] == [(7, 6)]


@pytest.mark.parametrize("data", ["", "    "])
async def test_an_acceptance_that_names_no_message_is_about_the_open_question(data: str) -> None:
    journal = Journal()
    controller = AwkwardController(answer=lambda mid, *_: telegram(5, data) if mid == 60 else ...)
    async with listening(controller), captured(controller, journal, request_timeout_s=30) as running:
        await until(lambda: running.connected, timeout_s=20)
        push(controller, 1)
        await until(lambda: journal.ids == [1])
        assert controller.asked(60) == [7], "the first subscription was accepted"


async def test_results_come_from_the_memory_where_no_subscription_is_answered() -> None:
    journal, controller = Journal(), AwkwardController(results=[1], answer=silent(60))
    with capture_logs() as logs:
        async with (
            listening(controller),
            captured(controller, journal, reconcile_s=1, start_after=0, request_timeout_s=0.5),
        ):
            await until(lambda: journal.ids == [1])
            controller.results.append(2)
            await until(lambda: journal.ids == [1, 2])
    assert sum("0060" in str(each["event"]) for each in logs) == 1


async def test_a_controller_that_answers_neither_is_named() -> None:
    journal, controller = Journal(), AwkwardController(answer=silent(60, 64))
    async with listening(controller), captured(controller, journal, request_timeout_s=0.5) as running:
        await until(lambda: running.error)
    assert "(0060)" in str(running.error)
    assert "(0064)" in str(running.error)


async def test_a_probe_of_a_controller_that_leaves_out_answers_says_what_it_found() -> None:
    def answer(mid: int, revision: int, _: str) -> Any:
        return None if (mid == 1 and revision > 6) or mid == 64 else ...

    controller = AwkwardController(answer=answer)
    async with listening(controller):
        options = OpenProtocolOptions(id="new", host="127.0.0.1", port=controller.port, request_timeout_s=0.6)
        report = await probe(options, clock=SystemClock())
    assert report.start_revision == 6
    assert report.result_revisions == (1,)
    assert not report.memory
