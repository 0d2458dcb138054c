"""What happens to the uplink is a problem with a code: for as long as it lasts, or for an hour."""

import pytest

from linewitness.journal.pressure import Level
from linewitness.status import health as health_module
from linewitness.status import problems
from linewitness.status.health import Health
from linewitness.status.problems import LineProblem, problems_of


def of(health: Health) -> dict[str, LineProblem]:
    found = problems_of(
        health, level=Level.NORMAL, refusal="", devices=(), verdict=None, expiries=(), now_ns=0
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
    now[0] += problems.SHOWN_S
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
    now[0] += problems.SHOWN_S - 1
    health.taken_over("another client took over our client id at the broker: 1")
    assert of(health)["client-id-taken"].alarm
    now[0] += 2
    assert of(health) == {}, "the same words say nothing new"
    health.taken_over("another client took over our client id at the broker: 2")
    assert of(health)["client-id-taken"].alarm
