"""Patterns of the YAML: matched as a whole, without backtracking, and refused in words otherwise."""

import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewitness.base.patterns import MAX_TEXT, Pattern, PatternError, matches
from linewitness.devices.scanner.options import ScannerOptions
from linewitness.devices.scanner.reading import Interpreter
from linewitness.stations.options import GateOptions, OperatorOptions, StationOptions, UnitOptions
from linewitness.stations.unit.units import is_serial

#: An engine that backtracks tries 2^43 ways of dividing this text before it gives up.
EVIL, TEXT = "([A-Z0-9]+-?)+", "A" * 43 + "!"


def test_a_pattern_matches_as_a_whole_and_names_its_groups() -> None:
    pattern = Pattern(r"(?P<code>SN[0-9]{4})(;(?P<lot>[0-9]+))?")
    assert pattern.groups == {"code", "lot"}
    assert pattern.fullmatch("SN1234") == {"code": "SN1234", "lot": None}
    assert pattern.fullmatch("SN1234;7") == {"code": "SN1234", "lot": "7"}
    assert pattern.fullmatch("xSN1234") is None
    assert pattern.fullmatch("SN1234\n") is None
    assert Pattern("(?P<code>ü.*€)").fullmatch("über 10 €") == {"code": "über 10 €"}


def test_without_a_pattern_every_text_matches() -> None:
    assert matches(None, "anything")
    assert matches("", "")
    assert not matches("", "x")


@pytest.mark.parametrize("text", [TEXT, TEXT * 300])
def test_a_text_that_an_engine_with_backtracking_never_finishes_is_decided_at_once(text: str) -> None:
    begun = time.process_time()
    assert not matches(EVIL, text)
    assert time.process_time() - begun < 1


def test_no_text_is_an_error() -> None:
    assert not matches(".*", "\ud800")
    assert matches(".*", "x" * MAX_TEXT)
    assert not matches(".*", "x" * (MAX_TEXT + 1)), "longer than any line of a reader"
    assert not Pattern("x").search("\ud800x")
    assert Pattern("press/.*/force", any_case=True).search("Objects/Press/1/Force/Value")


@pytest.mark.parametrize(
    ("pattern", "advice"),
    [
        ("(", "missing"),
        ("[A-Z", "missing"),
        (r"(A|B)\1", "refers back"),
        ("(?P<a>x)(?P=a)", "refers back"),
        ("(?!PASS).*", "ahead or behind"),
        ("(?<=SN)[0-9]+", "ahead or behind"),
        ("(?P<a>x)?(?(a)b|c)", "as alternatives"),
        ("(?>a+)b", "leave out the atomic group"),
        ("a++", "leave out"),
        (r"SN[0-9]+\Z", "leave out \\Z"),
        ("a(?#the first)b", "comment"),
        ("(?x) a b", "flags"),
        (r"\u20ac", "\\x{20AC}"),
        ("A{1500}", "at most 1000"),
        ("A{,3}", "write {0,n}"),
        (r"\C", "half of a character"),
        (r"(?:\pL{100}){9}", "too large"),
        ("x" * 5000, "at most 4096"),
        ("\ud800", "not text"),
    ],
)
def test_what_the_engine_cannot_express_is_refused_with_advice(pattern: str, advice: str) -> None:
    with pytest.raises(PatternError, match=re.escape(advice)):
        Pattern(pattern)


@pytest.mark.parametrize(
    ("options", "values"),
    [
        (UnitOptions, {"pattern": r"(.)\1"}),
        (OperatorOptions, {"pattern": r"(.)\1"}),
        (GateOptions, {"device": "plc", "point": "hold", "pass_code": r"(?P<reason>.)\1"}),
        (
            ScannerOptions,
            {"id": "s", "driver": "scanner", "host": "h", "port": 1, "pattern": r"(?P<code>.)\1"},
        ),
    ],
)
def test_every_setting_with_a_pattern_refuses_it(options: Any, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="refers back to a group"):
        options.model_validate(values)


def test_a_pass_code_needs_the_group_of_its_reason() -> None:
    values = {"device": "plc", "point": "hold", "pass_code": "PASS"}
    with pytest.raises(ValueError, match="group named reason"):
        GateOptions.model_validate(values)


def test_a_serial_number_from_anywhere_is_decided_at_once() -> None:
    station = StationOptions(id="s", devices=("reader",), unit=UnitOptions(scanner="reader", pattern=EVIL))
    begun = time.process_time()
    assert not is_serial(TEXT, station.unit)
    assert time.process_time() - begun < 1


def test_a_reader_with_such_a_pattern_is_built_with_the_same_engine() -> None:
    options = ScannerOptions(id="s", driver="scanner", host="h", port=1, pattern=f"(?P<code>{EVIL})")
    assert type(Interpreter(options)._pattern) is Pattern


_LITERAL = st.sampled_from(["a", "b", "[ab]", "[^a]", ".", "A|b", "é"])
_PIECE = st.tuples(_LITERAL, st.sampled_from(["", "?", "+", "{2}", "{1,2}", "+?"])).map(
    lambda p: f"(?:{p[0]}){p[1]}"
)
_PATTERN = st.lists(_PIECE, min_size=1, max_size=5).map(
    lambda pieces: "(?P<first>{})(?P<rest>.*)".format("".join(pieces))
)


@pytest.mark.heavy
@settings(max_examples=300)
@given(_PATTERN, st.text("abAé", max_size=8))
def test_it_decides_as_python_does_where_both_can(pattern: str, text: str) -> None:
    found = re.fullmatch(pattern, text)
    assert Pattern(pattern).fullmatch(text) == (found.groupdict() if found else None)
