"""What of a station is shown: what is next and what is wrong first, in words, and nothing without room."""

from typing import Any

import pytest

from linewitness.base.clock import NS_PER_S
from linewitness.stations.view import MaterialView, NoteView
from linewitness.status.stations.picture import MOST_ROWS, picture_of, time_left
from support.screens import requirement, view


def test_the_next_step_is_the_headline_with_what_to_do() -> None:
    steps = (requirement("1", "done"), requirement("2", action="Tighten to 12 Nm"))
    headline = picture_of(view(unit="SN1", next="2", requirements=steps)).headline
    assert (headline.word, headline.text, headline.action) == ("Next", "Bolt 2", "Tighten to 12 Nm")


@pytest.mark.parametrize(
    ("values", "word", "text"),
    [
        ({}, "No unit", "Read the code of the unit"),
        ({"unit": "SN1"}, "Unit here", "Nothing is required at this station"),
        ({"unit": "SN1", "complete": True}, "Complete", "The unit may leave"),
        ({"unit": "SN1", "complete": True, "gate": "closed"}, "Complete", "The gate is still closed"),
        ({"unit": "SN1", "passed": "E. Vogt: rework"}, "Let pass, not complete", "E. Vogt: rework"),
        (
            {"unit": "SN1", "requirements": (requirement("1", "not_met"),)},
            "Not complete",
            "See what is wrong, and what to do",
        ),
        (
            {"unit": "SN1", "requirements": (requirement("1", until_ns=9), requirement("2", until_ns=5))},
            "Wait",
            "Bolt 2",
        ),
    ],
)
def test_each_state_of_a_unit_has_words(values: dict[str, Any], word: str, text: str) -> None:
    headline = picture_of(view(**values)).headline
    assert (headline.word, headline.text) == (word, text)


def test_what_is_wrong_is_told_with_what_to_do_and_what_has_no_room_is_counted() -> None:
    picture = picture_of(
        view(
            unit="SN1",
            unknown="the reader was away",
            requirements=(
                requirement("1", "not_met", wrong="9 Nm, at least 11 Nm", action="Loosen and repeat"),
                requirement("2", "not_met"),
            ),
            notes=(NoteView(at_ns=1, text="old"), NoteView(at_ns=2, text="new", action="Take another part")),
            materials=(MaterialView(title="Grease", part="G-1", lot="L1", known=False),),
        )
    )
    assert [each.text for each in picture.wrong] == [
        "Unit not certain: the reader was away",
        "Bolt 1: 9 Nm, at least 11 Nm",
    ]
    assert picture.wrong[1].action == "Loosen and repeat"
    assert picture.more_wrong == 4
    assert "Loosen and repeat" in picture.said


def test_of_notes_the_newest_comes_first() -> None:
    notes = (NoteView(at_ns=1, text="old"), NoteView(at_ns=2, text="new", action="Take another part"))
    assert [each.text for each in picture_of(view(unit="SN1", notes=notes)).wrong] == ["new", "old"]


def test_twelve_requirements_keep_their_order() -> None:
    steps = tuple(requirement(str(number), "not_met" if number == 7 else "done") for number in range(12))
    picture = picture_of(view(unit="SN1", requirements=steps))
    assert picture.rows == steps
    assert picture.rest == ""


def test_of_more_the_current_and_the_wrong_ones_come_first_and_the_rest_is_counted() -> None:
    states = {3: "missing", 8: "not_met", 14: "missing"}
    steps = tuple(requirement(str(number), states.get(number, "done")) for number in range(20))  # type: ignore[arg-type]
    picture = picture_of(view(unit="SN1", next="14", requirements=steps))
    assert [row.id for row in picture.rows[:4]] == ["14", "8", "3", "0"]
    assert len(picture.rows) == MOST_ROWS
    assert picture.rest == "and 8 more: 8 done"


def test_a_waiting_time_counts_down_to_zero_and_no_further() -> None:
    assert time_left(245 * NS_PER_S, 0) == "4:05"
    assert time_left(3600 * NS_PER_S, 0) == "1:00:00"
    assert time_left(NS_PER_S, 1) == "0:01"
    assert time_left(0, 5 * NS_PER_S) == "0:00"
