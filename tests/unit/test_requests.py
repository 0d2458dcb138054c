"""What a person asks of a running gateway is never taken for something asked before."""

from pathlib import Path

from linewitness.journal.requests import ANCHOR, ROTATE, Requests


def test_what_is_asked_while_an_earlier_request_is_in_work_waits_for_its_own_turn(tmp_path: Path) -> None:
    requests = Requests(tmp_path)
    assert not requests.take(ANCHOR)
    requests.place(ANCHOR)
    assert requests.take(ANCHOR)
    requests.place(ANCHOR)
    requests.done(ANCHOR)
    assert requests.waiting(ANCHOR)
    assert requests.take(ANCHOR)
    requests.done(ANCHOR)
    assert not requests.waiting(ANCHOR)


def test_what_is_asked_before_the_work_begins_without_being_asked_is_not_taken_for_done(
    tmp_path: Path,
) -> None:
    requests = Requests(tmp_path)
    assert not requests.take(ANCHOR)
    requests.place(ANCHOR)
    requests.done(ANCHOR)
    assert requests.take(ANCHOR)


def test_a_request_that_was_in_work_at_a_crash_is_taken_up_again(tmp_path: Path) -> None:
    Requests(tmp_path).place(ROTATE)
    assert Requests(tmp_path).take(ROTATE)
    assert Requests(tmp_path).waiting(ROTATE)
    assert Requests(tmp_path).take(ROTATE)
