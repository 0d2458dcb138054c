"""Settings of stations that can never work, or hold some units for ever: `check` finds them."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from support.lines import call
from support.station_bench import options_of

BOLT = {"id": "bolt", "device": "wrench-10", "count": 1}
GLUE = {"id": "glue", "kind": "component", "part": "G1", "source": "loaded", "pattern": "G1-(?P<lot>.+)"}
SIGN = {"id": "visual", "kind": "sign_off", "meaning": "visual inspection passed", "code": "SIGN"}
WARM = {"id": "warm", "kind": "condition", "point": "press-10/temperature", "low": "60"}
WAIT = {"id": "open", "kind": "wait", "at_most_s": 60}

HEAD = """\
version: 1
line: {tenant: acme, plant: p, line: l, gateway: g, origin: acme.example/p/l/1}
journal: {directory: journal}
devices:
  - {id: reader-1, driver: scanner, host: 10.0.0.1, port: 2001}
  - {id: reader-2, driver: scanner, host: 10.0.0.2, port: 2002}
  - {id: badges, driver: scanner, host: 10.0.0.3, port: 2003}
stations:
"""


@pytest.mark.parametrize(
    ("requires", "why"),
    [
        ([{**GLUE, "consumed": "bolt"}, {**BOLT, "after": ["glue"]}], "each waits for the other"),
        ([{**WAIT, "since": "bolt"}, {**BOLT, "after": ["open"]}], "each waits for the other"),
        ([{**WAIT, "before": "bolt"}, {**BOLT, "after": ["open"]}], "each waits for the other"),
        ([{**WARM, "until": "bolt"}, {**BOLT, "after": ["warm"]}], "each waits for the other"),
        ([{**WARM, "until": "entered"}], "there is no requirement 'entered'"),
        ([{**BOLT, "id": "entered"}], "'entered' means the time at which the unit came"),
        ([{**BOLT, "id": "complete"}], "'complete' is a field"),
        ([BOLT, {**BOLT, "id": "bolt.done"}], "'bolt.done' is a field of 'bolt'"),
    ],
)
def test_requirements_that_can_never_work_are_refused(requires: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        options_of(requires=requires)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"requires": [{**SIGN, "code": "B12"}]}, "also matches operator.pattern"),
        ({"requires": [{**SIGN, "code": "SN0001"}]}, "also matches unit.pattern"),
        (
            {
                "requires": [{**SIGN, "code": "PASS-1"}],
                "gate": {"device": "press-10", "point": "hold", "pass_code": "PASS-(?P<reason>.+)"},
            },
            "also matches gate.pass_code",
        ),
        ({"requires": [SIGN, {**SIGN, "id": "clean"}]}, "visual has the code 'SIGN' too"),
        ({"requires": [{**GLUE, "pattern": r"(?P<lot>SN\d{4})"}]}, "of the same form as unit.pattern"),
        ({"operator": {"scanner": "scan-10"}}, "each of them is taken for a badge"),
        (
            {"requires": [{**BOLT, "when": {"product": ["A"]}}, {**WAIT, "since": "bolt"}]},
            "the others are held for ever",
        ),
        (
            {
                "requires": [
                    {**BOLT, "when": {"product": ["A"]}},
                    {**GLUE, "consumed": "bolt", "when": {"product": ["A", "B"]}},
                ]
            },
            "the others are held for ever",
        ),
        (
            {
                "requires": [
                    {**BOLT, "when": {"product": ["A"]}},
                    {**GLUE, "after": ["bolt"], "when": {"product": ["B"]}},
                ]
            },
            "this says nothing",
        ),
    ],
)
def test_what_holds_some_units_for_ever_is_doubted(settings: dict[str, Any], why: str) -> None:
    [doubt] = options_of(**settings).doubts()
    assert why in doubt.what


def test_what_is_for_the_same_products_is_beyond_doubt() -> None:
    for_a = {"when": {"product": ["A"]}}
    requires = [
        {**BOLT, "when": {"product": ["A", "B"]}},
        {**WAIT, "since": "bolt", **for_a},
        {**SIGN, **for_a},
        {**SIGN, "id": "other", "when": {"product": ["B"]}},
    ]
    assert list(options_of(requires=requires).doubts()) == []


def warned(folder: Path, *stations: str) -> list[str]:
    """Return what `check` warns of; the file is right all the same."""
    file = folder / "line.yaml"
    file.write_text(HEAD + "".join(stations), encoding="utf-8")
    checked = call("check", file)
    assert checked.exit_code == 0, checked.output
    return [
        line for line in checked.output.splitlines() if ": warning: " in line and "is not there" not in line
    ]


def place(number: int, requires: str, more: str = "") -> str:
    return (
        f"  - id: st-{number}\n    devices: [reader-{number}]\n    unit: {{scanner: reader-{number}}}\n"
        f"    requires: [{requires}]\n{more}"
    )


PCB = '{id: pcb, kind: component, part: P1, pattern: "P1-(?P<serial>.+)"}'
PLAIN = "{device: reader-1, count: 1, kind: measurement}"


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (PCB, "{id: first, kind: after, station: st-9}", "there is no station 'st-9': first is never done"),
        (PCB, "{id: first, kind: after, station: st-2}", "this is the station itself"),
        (
            PLAIN,
            "{id: first, kind: after, station: st-1}",
            "is not remembered, because it asks for results only",
        ),
        (PCB, "{id: cure, kind: wait, at_least_s: 9, since: st-1/glue}", "no requirement 'glue' at st-1"),
        (PCB, "{id: first, kind: after}", "there is no list of routes"),
        (PCB, PCB[:-1] + ", when: {product: [A]}}", "no station says which product a unit has"),
    ],
)
def test_what_waits_for_another_station_in_vain_is_doubted(
    tmp_path: Path, first: str, second: str, why: str
) -> None:
    [told] = warned(tmp_path, place(1, first), place(2, second))
    assert why in told


def test_a_list_that_is_asked_and_not_there_is_doubted(tmp_path: Path) -> None:
    [told] = warned(tmp_path, place(1, PCB, "    route: true\n    tools: {}\n"))
    assert "there is no list of routes" in told


def test_stations_that_know_each_other_are_beyond_doubt(tmp_path: Path) -> None:
    second = "{id: first, kind: after, station: st-1}, {id: cure, kind: wait, at_least_s: 9, since: st-1/pcb}"
    assert warned(tmp_path, place(1, PCB), place(2, second)) == []
