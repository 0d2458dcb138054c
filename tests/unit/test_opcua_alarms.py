"""What the states of alarms mean, one event after the other."""

from typing import Any

import pytest

from linewitness.devices.opcua.notifications.alarms import REFRESH_END, REFRESH_START, AlarmStates


def event(active: bool, acked: bool = False, **more: str) -> dict[str, Any]:
    return {"source": "Press", "condition": "Hot", "active": active, "acked": acked, **more}


def kinds(book: AlarmStates, *events: dict[str, Any]) -> list[str]:
    return [step.kind for one in events for step in book.take(one)]


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([event(True), event(True)], ["alarm.raised"]),
        (
            [event(True), event(True, True), event(False, True)],
            ["alarm.raised", "parameter.changed", "alarm.cleared"],
        ),
        (
            [event(True), event(False), event(False, True)],
            ["alarm.raised", "alarm.cleared", "parameter.changed"],
        ),
        ([event(True), event(False), event(True)], ["alarm.raised", "alarm.cleared", "alarm.raised"]),
        ([event(True, True)], ["alarm.raised", "parameter.changed"]),
        ([event(False, True)], []),
        ([event(False)], []),
        ([{"message": "no alarm"}], []),
        ([event(True), event(True, True), event(True, False)], ["alarm.raised", "parameter.changed"]),
    ],
)
def test_each_course_is_told(events: list[dict[str, Any] | dict[str, str]], told: list[str]) -> None:
    assert kinds(AlarmStates({}), *events) == told


def test_remembered_alarm_is_not_raised_again_and_its_end_is_told() -> None:
    book = AlarmStates({"Press/Hot": "active"})
    assert kinds(book, event(True)) == []
    assert kinds(book, event(False, True)) == ["parameter.changed", "alarm.cleared"]


def test_alarm_that_a_refresh_does_not_name_is_over() -> None:
    book = AlarmStates({"Press/Hot": "active", "Press/Door": "active,acked", "Press/Old": "cleared,unacked"})
    assert book.take({"event_type": REFRESH_START}) == []
    assert book.refreshing
    assert kinds(book, event(True)) == []
    steps = book.take({"event_type": REFRESH_END})
    assert [(step.kind, step.alarm, step.state) for step in steps] == [("alarm.cleared", "Press/Door", None)]
    assert not book.refreshing


def test_who_acknowledged_and_with_which_words_is_kept() -> None:
    book = AlarmStates({})
    book.take(event(True))
    (step,) = book.take(event(True, True, user="anna.b", comment="cooler on"))
    assert (step.operator, step.reason, step.state) == ("anna.b", "cooler on", "active,acked")


def test_two_alarms_of_one_source_stay_apart() -> None:
    book = AlarmStates({})
    assert kinds(book, event(True), event(True) | {"condition": "Door"}) == ["alarm.raised", "alarm.raised"]
