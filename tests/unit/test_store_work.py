"""The loops of an audit store as its watchdog sees them, and its state in a sentence."""

import pytest

from linewitness.base.watchdog import CONNECT_S, Looks
from linewitness.store.work import StoreWork
from support.loops import stuck_after


@pytest.mark.parametrize(
    ("part", "name"), [("receiving", "receive"), ("judging", "judge and commit"), ("answering", "answer")]
)
def test_a_loop_of_the_store_is_stuck_with_work_at_hand_and_not_without(part: str, name: str) -> None:
    work = StoreWork(connected=True)
    assert stuck_after(work.loops) == ""
    with getattr(work, part).going_on():
        assert stuck_after(work.loops).startswith(f"no progress: {name} for")
    assert stuck_after(work.loops) == ""


def test_a_store_that_tries_its_broker_again_and_again_is_not_stuck_but_one_that_does_not_is() -> None:
    work, looks = StoreWork(), Looks(10.0)
    work.opened.set()
    for _ in range(200):
        work.attempts += 1
        looks.look(work.loops())
    assert stuck_after(work.loops) == f"no progress: connect for {CONNECT_S:.0f} s"


def test_the_stores_sentence_says_what_a_person_should_read() -> None:
    work = StoreWork(connected=True, messages=7)
    assert work.sentence == "broker connected, 7 messages judged"
    work.remark = lambda: "mqtt.tls.ca ends in 3 days"
    assert work.sentence.endswith("; mqtt.tls.ca ends in 3 days")
    work.drops = lambda: "drops messages of acme/rogue"
    assert (
        work.sentence == "broker connected, 7 messages judged; drops messages of acme/rogue; " + work.remark()
    )
