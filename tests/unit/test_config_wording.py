"""What pydantic finds, in our words: unions, secrets, and kinds of mistakes that no driver makes yet."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from linewitness.base.settings import Mistake, Options, SettingsError
from linewitness.config.problems import ConfigurationProblem
from linewitness.config.reading import read_bytes
from linewitness.config.settings import setting_at
from linewitness.config.tree import plain
from linewitness.config.wording import problems_of
from support.present import present


class Square(Options):
    shape: Literal["square"]
    side: int = Field(description="Length of a side, in mm.")


class Circle(Options):
    shape: Literal["circle"]
    radius: int = Field(gt=0, lt=100, description="In mm.")


class Drawing(Options):
    parts: tuple[Annotated[Square | Circle, Field(discriminator="shape")], ...] = ()
    size: int | bool | None = None
    password: int | None = None
    labels: dict[int, str] = Field(default_factory=dict)
    weight: Decimal | None = Field(default=None, max_digits=3)


def said(text: str) -> list[str]:
    root = read_bytes(text.encode(), Path("d.yaml"))
    with pytest.raises(ValidationError) as caught:
        Drawing.model_validate(plain(root))
    return [str(problem) for problem in problems_of(caught.value, root, Drawing)]


def test_a_wrong_choice_is_shown_where_it_was_made() -> None:
    assert said("parts:\n  - shape: sqare\n    side: 1\n") == [
        "2:12: parts[0].shape: 'sqare' is not one of square, circle (did you mean 'square'?)"
    ]


def test_a_choice_that_was_not_made_is_missing() -> None:
    assert said("parts:\n  - side: 1\n") == ["2:5: parts[0].shape: is missing"]


def test_settings_of_the_chosen_member_are_known_and_those_of_the_others_are_not() -> None:
    assert said("parts:\n  - shape: circle\n    raduis: 1\n") == [
        "2:5: parts[0].radius: is missing (In mm)",
        "3:5: parts[0].raduis: there is no setting 'raduis' here (did you mean 'radius'?)",
    ]


def test_a_setting_of_another_member_is_not_suggested() -> None:
    [problem] = said("parts: [{shape: circle, radius: 1, sid: 1}]")
    assert problem.endswith("(known here: radius, shape)")


def test_bounds_are_put_in_words() -> None:
    assert said("parts: [{shape: circle, radius: 0}, {shape: circle, radius: 100}]") == [
        "1:33: parts[0].radius: 0 is not above 0 (In mm)",
        "1:61: parts[1].radius: 100 is not below 100 (In mm)",
    ]


def test_what_every_member_refuses_is_one_problem() -> None:
    assert said("size: wide") == [
        "1:7: size: 'wide' is not a whole number / 'wide' is neither true nor false"
    ]


def test_the_value_of_a_setting_that_is_named_like_a_secret_is_not_shown() -> None:
    assert said("password: hunter2") == ["1:11: password: what stands here is not a whole number"]


def test_a_wrong_key_of_a_table_is_shown_at_its_entry() -> None:
    [problem] = said("labels:\n  one: idle\n")
    assert problem.startswith("2:8: labels.one: ")


def test_a_mistake_without_words_of_its_own_uses_pydantics() -> None:
    [problem] = said("weight: 1234.5")
    assert problem == "1:9: weight: decimal input should have no more than 3 digits in total"


def test_a_setting_is_found_through_lists_and_unions() -> None:
    assert (
        present(setting_at(Drawing, ("parts", 3, "square", "side")).field).description
        == "Length of a side, in mm."
    )
    assert set(setting_at(Drawing, ("parts", 3)).known) == {"shape", "side", "radius"}


class Piece(Options):
    id: str
    width: int = 1
    holes: tuple["Piece", ...] = ()


class Puzzle(Options):
    pieces: tuple[Piece, ...] = ()
    frame: int = 1

    @model_validator(mode="after")
    def _fits(self) -> Any:
        for piece in self.pieces:
            for hole in piece.holes:
                if hole.width > piece.width:
                    at = ("pieces", piece.id, "holes", hole.id)
                    raise SettingsError("is wider than its piece", at=at)
            if piece.width > self.frame:
                twice = Mistake.USED_TWICE
                raise SettingsError("the frame is too small", at=("frame",), mistake=twice, subjects=("a",))
        return self


def puzzled(text: str) -> ConfigurationProblem:
    root = read_bytes(text.encode(), Path("p.yaml"))
    with pytest.raises(ValidationError) as caught:
        Puzzle.model_validate(plain(root))
    [problem] = problems_of(caught.value, root, Puzzle)
    return problem


def test_a_contradiction_is_shown_at_the_entry_that_the_model_names() -> None:
    problem = puzzled("pieces:\n  - id: a\n    width: 2\n    holes:\n      - {id: b, width: 3}\n")
    assert str(problem) == "5:9: pieces.a.holes.b: is wider than its piece"


def test_a_contradiction_is_shown_at_the_setting_that_the_model_names() -> None:
    problem = puzzled("pieces: [{id: a, width: 2}]\nframe: 1\n")
    assert str(problem) == "2:8: the frame is too small"
    assert (problem.mistake, problem.subjects) == (Mistake.USED_TWICE, ("a",))


def test_what_a_model_names_and_the_file_does_not_have_is_shown_at_the_model() -> None:
    assert str(puzzled("pieces: [{id: a, width: 2}]\n")) == "1:1: the frame is too small"
