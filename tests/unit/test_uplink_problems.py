"""What happens to the uplink is a problem with a code: for as long as it lasts, or for an hour."""

from pathlib import Path

import pytest

from linewitness.journal.pressure import Level
from linewitness.status import health as health_module
from linewitness.status.health import Health
from linewitness.status.problems import line as problems
from linewitness.status.problems.line import problems_of
from linewitness.status.problems.problem import SHOWN_S, LineProblem
from support.clocks import ManualClock
from support.status_pages import looked_at


def of(health: Health, waiting: int = 0) -> dict[str, LineProblem]:
    health.wait_for_receipt(waiting)
    found = problems_of(
        health,
        level=Level.NORMAL,
        refusal="",
        devices=(),
        verdict=None,
        expiries=(),
        now_ns=0,
    )
    return {problem.code: problem for problem in found}


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    at = [1000.0]
    for module in (health_module, problems):
        monkeypatch.setattr(module, "monotonic", lambda: at[0])
    return at


def test_answers_that_nobody_signed_are_a_warning_for_an_hour(now: list[float]) -> None:
    health = Health()
    assert of(health) == {}
    for _ in range(3):
        health.answer_ignored("an answer that is not UTF-8")
    problem = of(health)["answers-ignored"]
    assert (problem.subject, problem.alarm) == ("uplink", False)
    assert problem.what.startswith("3 answers")
    now[0] += SHOWN_S
    assert of(health) == {}


def test_what_the_store_accuses_the_stream_of_is_an_alarm_until_it_is_outweighed() -> None:
    health = Health()
    health.accused("the store reports a conflict at record 6")
    assert of(health)["store-accusation"].alarm
    health.accused("")
    assert of(health) == {}


def test_a_taken_client_id_is_an_alarm_for_an_hour_after_the_last_time(now: list[float]) -> None:
    health = Health()
    health.taken_over("")
    assert of(health) == {}
    health.taken_over("another client took over our client id at the broker: 1")
    now[0] += SHOWN_S - 1
    health.taken_over("another client took over our client id at the broker: 1")
    assert of(health)["client-id-taken"].alarm
    now[0] += 2
    assert of(health) == {}, "the same words say nothing new"
    health.taken_over("another client took over our client id at the broker: 2")
    assert of(health)["client-id-taken"].alarm


def test_a_gateway_that_never_gets_a_receipt_is_told_to_be_enrolled(now: list[float]) -> None:
    health = Health()
    health.uplink("up", "")
    assert of(health, waiting=5) == {}
    now[0] += problems.NO_RECEIPT_S - 1
    assert of(health, waiting=5) == {}
    now[0] += 1
    problem = of(health, waiting=5)["no-receipt"]
    assert (problem.subject, problem.alarm) == ("uplink", False)
    assert "no receipt ever" in problem.what
    assert "enrol this gateway" in problem.hint
    now[0] += problems.NO_RECEIPT_ALARM_S
    assert of(health, waiting=5)["no-receipt"].alarm


def test_receipts_that_stop_are_an_alarm_until_one_comes(now: list[float]) -> None:
    health = Health()
    health.uplink("up", "")
    health.receipt(3)
    assert of(health, waiting=5) == {}
    now[0] += problems.NO_RECEIPT_ALARM_S
    problem = of(health, waiting=5)["no-receipt"]
    assert problem.alarm
    assert "no receipt for 15 minutes" in problem.what
    health.receipt(3)
    assert of(health, waiting=5), "the same receipt again says nothing new"
    health.receipt(4)
    assert of(health, waiting=5) == {}


def test_a_restored_store_that_catches_up_is_at_work(now: list[float]) -> None:
    health = Health()
    health.uplink("up", "")
    health.receipt(1000)
    for _ in range(60):
        now[0] += 60
        health.receipt(1000, further=True)  # its answers are below what it had covered
        assert of(health, waiting=5) == {}


def test_a_link_that_flaps_does_not_hide_that_there_are_no_receipts(now: list[float]) -> None:
    health = Health()
    alarms = 0
    for _ in range(30):
        health.uplink("up", "")
        for _ in range(10):
            found = of(health, waiting=5)
            alarms += "no-receipt" in found and found["no-receipt"].alarm
            now[0] += 60
        health.uplink("away", "no route")
    assert alarms > 150
    health.uplink("up", "")
    now[0] += problems.NO_RECEIPT_S
    assert "no receipt ever" in of(health, waiting=5)["no-receipt"].what


def test_the_first_record_after_a_standstill_is_no_alarm(now: list[float]) -> None:
    health = Health()
    health.uplink("up", "")
    health.receipt(3)
    assert of(health, waiting=0) == {}
    now[0] += 5000
    assert of(health, waiting=1) == {}


def test_nothing_waits_for_a_receipt_without_an_uplink_or_without_records(now: list[float]) -> None:
    health = Health()
    now[0] += problems.NO_RECEIPT_ALARM_S
    assert of(health, waiting=5) == {}, "no audit store is configured"
    health.uplink("up", "")
    now[0] += problems.NO_RECEIPT_ALARM_S
    assert of(health, waiting=0) == {}


def test_an_hour_of_a_line_that_gets_its_receipts_has_no_problem(now: list[float]) -> None:
    health = Health()
    health.uplink("up", "")
    for minute in range(60):
        health.receipt(minute + 1)
        now[0] += 60
        assert of(health, waiting=2) == {}


@pytest.mark.heavy
async def test_a_line_without_receipts_is_an_alarm_on_every_door(
    tmp_path: Path, clock: ManualClock, now: list[float]
) -> None:
    async with looked_at(tmp_path / "journal", clock) as line:
        line.health.uplink("up", "")
        assert (await line.get("/healthz"))[0] == 200
        now[0] += problems.NO_RECEIPT_ALARM_S
        status, _, body = await line.get("/healthz")
        assert status == 503
        assert "no-receipt" in body
        assert 'linewitness_problem{code="no-receipt",severity="alarm"' in (await line.get("/metrics"))[2]
        assert "enrol this gateway there" in (await line.get("/"))[2]
        state = await line.overview.running_state()  # what `linewitness status` shows
        assert "no-receipt" in {each.code for each in state.problems}
