"""No sequence of observations, restarts and reloads makes a unit complete that the records do not show so."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from linewitness.base.clock import NS_PER_S
from linewitness.devices.base import When
from linewitness.evidence.format.record import Event
from support.observations import BASE_NS, tightening
from support.station_bench import LineBench, afters, options_of

PROGRAMS = (3, 9)
GATE = {"device": "press-10", "point": "hold", "hold": ["missing"], "pass_code": "PASS-(?P<reason>.+)"}
CODES = {"remove": "REMOVE-(?P<reason>.+)", "scrap": "SCRAP-(?P<reason>.+)"}


def station(program: int, rework: str) -> Any:
    return options_of(
        requires=[
            {"id": "pcb", "kind": "component", "part": "P1", "pattern": "P1-(?P<serial>.+)"},
            {
                "id": "bolts",
                "device": "wrench-10",
                "count": 2,
                "program": str(program),
                "after": ["pcb"],
            },
            {
                "id": "glue",
                "kind": "component",
                "part": "G1",
                "source": "loaded",
                "pattern": "G1-(?P<lot>[AB])/(?P<quantity>[0-9])",
            },
            {
                "id": "seen",
                "kind": "sign_off",
                "meaning": "visual inspection passed",
                "code": "SIGN",
                "second_person": True,
            },
            {"id": "cure", "kind": "wait", "since": "glue", "at_least_s": 5},
        ],
        gate=GATE,
        codes=CODES,
        rework=rework,
    )


@dataclass
class Auditor:
    """What an auditor concludes from the records alone, in their order."""

    rework: str
    program: int = 3
    inside: dict[tuple[str, str], str] = field(default_factory=dict)
    glued: dict[str, float] = field(default_factory=dict)
    good: dict[str, list[str]] = field(default_factory=dict)
    signed: set[str] = field(default_factory=set)
    scrapped: set[str] = field(default_factory=set)
    operator: str | None = None

    def follow(self, event: Event, at_s: float) -> None:
        unit = event.resource.unit or ""
        said = afters(event)
        if event.kind == "unit.entered" and "unknown_because" not in said and self.rework == "all":
            self.good.pop(unit, None)
            self.signed.discard(unit)
        elif event.kind == "operator.signed_on":
            self.operator = event.actor.id
        elif event.kind == "operator.signed_off":
            self.operator = None
        elif event.kind == "tightening.result" and said["result"] == "ok" and self.has_pcb(unit):
            self.good.setdefault(unit, []).append(str(said["pset"]))
        elif event.kind == "component.installed":
            self.install(unit, event.resource.id, at_s)
        elif event.kind == "component.removed":
            del self.inside["pcb", event.resource.id]
            self.good.pop(unit, None)
        elif event.kind == "requirement.signed":
            assert self.operator is not None
            assert event.actor.id != self.operator
            self.signed.add(unit)
        elif event.kind == "unit.scrapped":
            self.scrapped.add(unit)

    def install(self, unit: str, component: str, at_s: float) -> None:
        if component.startswith("G1"):
            self.glued.setdefault(unit, at_s)
            return
        assert ("pcb", component) not in self.inside, f"{component} is in two units"
        self.inside["pcb", component] = unit

    def has_pcb(self, unit: str) -> bool:
        return unit in self.inside.values()

    def is_complete(self, unit: str, at_s: float) -> bool:
        return (
            self.has_pcb(unit)
            and self.good.get(unit, []).count(str(self.program)) >= 2
            and unit in self.signed
            and at_s - self.glued.get(unit, at_s) >= 5
            and unit not in self.scrapped
        )


UNITS = st.sampled_from(["SN0001", "SN0002"])
WORDS = st.sampled_from(
    ["P1-1", "P1-2", "G1-A/1", "G1-B/3", "SIGN", "REMOVE-cracked", "SCRAP-cracked", "nonsense"]
)
STEPS = st.one_of(
    st.tuples(st.just("scan"), UNITS),
    st.tuples(st.just("scan"), WORDS),
    st.tuples(st.just("badge"), st.sampled_from(["B1", "B2"])),
    st.tuples(st.just("good"), st.sampled_from(PROGRAMS)),
    st.tuples(st.just("bad"), st.sampled_from(PROGRAMS)),
    st.tuples(st.just("restart"), st.booleans()),
    st.tuples(st.just("lose"), st.sampled_from(["scan-10", "badge-10", "wrench-10"])),
    st.tuples(st.just("reload"), st.sampled_from(PROGRAMS)),
    st.tuples(st.just("wait"), st.sampled_from([1, 6])),
)
#: A unit that gets all that it needs, so that completeness is reached and then put in doubt.
DONE: list[tuple[str, Any]] = [
    ("badge", "B1"),
    ("scan", "G1-B/3"),
    ("scan", "SN0001"),
    ("scan", "P1-1"),
    ("good", 3),
    ("good", 3),
    ("scan", "SIGN"),
    ("badge", "B2"),
    ("wait", 6),
]


def run(steps: list[tuple[str, Any]], rework: str) -> int:
    """Do the steps; return how many units were said to be complete."""
    bench, auditor = LineBench(station(3, rework)), Auditor(rework)
    at_s, complete, heard = 0.0, 0, 0
    for number, (what, how) in enumerate(steps):
        at_s += 1
        if what == "wait":
            at_s += how
            bench.wait(at_s)
        elif what == "reload":
            auditor.program = how
            bench.reload(station(how, rework), at_s=at_s)
        elif what == "restart":
            bench.restart(reboot=how)
        elif what == "lose":
            bench.lose(how, at_s=at_s)
        elif what in ("good", "bad"):
            bench.tighten(number, ok=what == "good", pset=how, at_s=at_s)
        else:
            bench.scan(how, at_s=at_s, device="badge-10" if what == "badge" else "scan-10")
        for event in bench.events[heard:]:
            if event.kind == "unit.left" and afters(event)["complete"]:
                assert auditor.is_complete(str(event.resource.unit), at_s), steps[: number + 1]
                complete += 1
            auditor.follow(event, at_s)
            if event.kind == "gate.opened" and event.reason.endswith("has what it needs"):
                assert auditor.is_complete(str(event.resource.unit), at_s), steps[: number + 1]
        heard = len(bench.events)
    return complete


def test_the_way_to_a_complete_unit_is_there() -> None:
    assert run([*DONE, ("scan", "SN0002")], "all") == 1


@pytest.mark.heavy
@settings(max_examples=400, deadline=None)
@given(
    st.lists(STEPS, max_size=25),
    st.lists(STEPS, max_size=12),
    st.integers(0, len(DONE)),
    st.sampled_from(["all", "open"]),
)
@example([], [("scan", "SN0002")], len(DONE), "all")
def test_no_sequence_makes_a_unit_complete_that_is_not(
    before: list[tuple[str, Any]], after: list[tuple[str, Any]], cut: int, rework: str
) -> None:
    run([*before, *DONE[:cut], *after, *DONE[cut:], ("scan", "SN0002"), ("scan", "SN0001")], rework)


def two_stations(program: int, name: str) -> list[Any]:
    """Return two stations that see the same units: the second asks for all other kinds of requirements."""
    return [
        options_of(
            "st-1",
            requires=[
                {"id": name, "kind": "component", "part": "P1", "pattern": "P1-(?P<serial>.+)"},
                {
                    "id": "bolt",
                    "device": "wrench-10",
                    "count": 1,
                    "program": str(program),
                    "after": [name],
                },
            ],
            gate=GATE,
            codes=CODES,
        ),
        options_of(
            "st-2",
            requires=[
                {"id": "first", "kind": "after", "station": "st-1"},
                {"id": "warm", "kind": "condition", "point": "press-10/holding", "low": "60", "for_s": 3},
                {"id": "leak", "kind": "check", "point": "press-10/leak", "value": "good"},
                {"id": "seal", "kind": "component", "part": "S1", "pattern": "S1-(?P<serial>.+)"},
                {"id": "bolted", "device": "wrench-10", "count": 1, "after": ["seal"]},
            ],
            gate=GATE,
            codes=CODES,
        ),
    ]


@dataclass
class LineAuditor:
    """What an auditor of two stations concludes from records, and from what was said of the PLC's points."""

    program: int = 3
    name: str = "pcb"
    inside: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    results: dict[tuple[str, str], list[tuple[float, str]]] = field(default_factory=dict)
    entered: dict[str, tuple[str, float]] = field(default_factory=dict)
    passed: dict[str, bool] = field(default_factory=dict)
    warm_since: float | None = None
    warmed: bool = False
    confirmed: bool = False
    leak_at: float | None = None
    leak: str | None = None

    def follow(self, event: Event, at_s: float) -> None:
        unit, said = event.resource.unit or "", afters(event)
        place = str(event.context.get("station_id"))
        if event.kind == "unit.entered" and "unknown_because" not in said:
            self.entered[place] = (unit, at_s)
            self.results.pop((place, unit), None)
            if place == "st-1":
                self.passed[unit] = False
            else:
                self.warmed = False
                self.confirmed = False
        elif event.kind == "unit.left" and place == "st-1":
            self.passed[unit] = bool(said["complete"])
        elif event.kind.startswith("gate.") and place == "st-1":
            # Units may move in step: one may be read at the second station before another at the first.
            self.passed[unit] = event.reason.endswith("has what it needs")
        elif event.kind == "tightening.result" and said["result"] == "ok":
            made_s = (event.occurred_ns - BASE_NS) / NS_PER_S
            self.results.setdefault((place, unit), []).append((made_s, str(said["pset"])))
        elif event.kind == "component.installed":
            assert event.resource.id not in self.inside, f"{event.resource.id} is in two units"
            self.inside[event.resource.id] = (unit, place, str(said["requirement"]))
        elif event.kind == "component.removed":
            self.results.pop((self.inside.pop(event.resource.id)[1], unit), None)

    def watch(self, at_s: float) -> None:
        """Note that the unit at the second station was warm for three seconds."""
        came = self.entered["st-2"][1] if "st-2" in self.entered else at_s
        if self.warm_since is not None and at_s - max(self.warm_since, came) >= 3:
            self.warmed = True
        self.confirm()

    def confirm(self) -> None:
        """Note that the unit at the second station had all that it needs at the first, or left it so."""
        if "st-2" in self.entered:
            self.confirmed |= self.passed.get(self.entered["st-2"][0], False)

    def has(self, unit: str, place: str, requirement: str) -> bool:
        return (unit, place, requirement) in self.inside.values()

    def bolted(self, unit: str, place: str, program: int | None) -> bool:
        came = self.entered[place][1]
        return any(
            made >= came and (program is None or pset == str(program))
            for made, pset in self.results.get((place, unit), [])
        )

    def is_complete(self, unit: str, place: str) -> bool:
        if place == "st-1":
            return self.has(unit, place, self.name) and self.bolted(unit, place, self.program)
        came = self.entered[place][1]
        return (
            self.confirmed
            and self.warmed
            and self.leak_at is not None
            and self.leak_at >= came
            and self.has(unit, place, "seal")
            and self.bolted(unit, place, None)
        )


LINE_STEPS = st.one_of(
    st.tuples(st.just("scan"), st.sampled_from(["st-1", "st-2"]), UNITS),
    st.tuples(
        st.just("scan"),
        st.sampled_from(["st-1", "st-2"]),
        st.sampled_from(["P1-1", "P1-2", "S1-1", "S1-2", "REMOVE-cracked"]),
    ),
    st.tuples(st.just("good"), st.sampled_from(["st-1", "st-2"]), st.sampled_from(PROGRAMS)),
    st.tuples(st.just("late"), st.sampled_from(["st-1", "st-2"]), UNITS),
    st.tuples(st.just("restart"), st.just(""), st.booleans()),
    st.tuples(st.just("lose"), st.sampled_from(["st-1", "st-2"]), st.sampled_from(["scan-10", "press-10"])),
    st.tuples(st.just("reload"), st.sampled_from(["pcb", "board"]), st.sampled_from(PROGRAMS)),
    st.tuples(st.just("warm"), st.just("st-2"), st.sampled_from(["70", "10"])),
    st.tuples(st.just("leak"), st.just("st-2"), st.sampled_from(["good", "bad"])),
    st.tuples(st.just("wait"), st.just("st-2"), st.sampled_from([1, 4])),
)
LineSteps = list[tuple[str, str, Any]]
THROUGH: LineSteps = [
    ("scan", "st-1", "SN0001"),
    ("scan", "st-1", "P1-1"),
    ("good", "st-1", 3),
    ("scan", "st-1", "SN0002"),
    ("warm", "st-2", "70"),
    ("leak", "st-2", "bad"),
    ("scan", "st-2", "SN0001"),
    ("leak", "st-2", "good"),
    ("scan", "st-2", "S1-1"),
    ("good", "st-2", 9),
    ("wait", "st-2", 4),
]


class LineRun:
    """Two stations and their auditor, step by step."""

    def __init__(self) -> None:
        self.bench, self.auditor = LineBench(*two_stations(3, "pcb")), LineAuditor()
        self.bench.badge("B1", at="st-1")
        self.bench.badge("B2", at="st-2")
        self.at_s, self.heard = 0.0, 0
        self.complete: list[str] = []

    def scan(self, where: str, how: str) -> None:
        self.bench.scan(how, at=where, at_s=self.at_s)

    def wait(self, where: str, how: int) -> None:
        self.at_s += how
        self.bench.wait(self.at_s, at=where)

    def reload(self, where: str, how: int) -> None:
        self.auditor.program, self.auditor.name = how, where
        for options in two_stations(how, where):
            self.bench.reload(options, at_s=self.at_s)

    def restart(self, _where: str, how: bool) -> None:
        self.bench.restart(reboot=how)
        self.auditor.leak = self.auditor.warm_since = None

    def lose(self, where: str, how: str) -> None:
        self.bench.lose(how, at=where, at_s=self.at_s)
        if (where, how) == ("st-2", "press-10"):
            self.auditor.leak = self.auditor.warm_since = None

    def good(self, where: str, how: int) -> None:
        self.bench.tighten(int(self.at_s * 10), pset=how, at=where, at_s=self.at_s)

    def late(self, where: str, how: str) -> None:
        made = When(occurred_ns=BASE_NS, occurred_from="device", unc_ms=1)
        late = tightening(int(self.at_s * 10), identifier=how, backfilled=True, at_ms=int(self.at_s * 1000))
        self.bench.say(replace(late, when=made), at=where)

    def warm(self, where: str, how: str) -> None:
        self.bench.read(how, at=where, at_s=self.at_s)
        self.auditor.warm_since = (self.auditor.warm_since or self.at_s) if how == "70" else None

    def leak(self, where: str, how: str) -> None:
        self.bench.read(how, at=where, at_s=self.at_s, point="leak")
        if how == "good" and self.auditor.leak == "bad":
            self.auditor.leak_at = self.at_s
        self.auditor.leak = how

    def step(self, what: str, where: str, how: Any) -> None:
        """Do one step, and let the auditor judge what the records say then."""
        self.at_s += 1
        self.auditor.watch(self.at_s)
        getattr(self, what)(where, how)
        self.auditor.watch(self.at_s)
        for event in self.bench.events[self.heard :]:
            place = str(event.context.get("station_id"))
            left = event.kind == "unit.left" and afters(event)["complete"]
            if left or (event.kind == "gate.opened" and event.reason.endswith("has what it needs")):
                assert self.auditor.is_complete(str(event.resource.unit), place)
                self.complete.append(place)
            self.auditor.follow(event, self.at_s)
            self.auditor.confirm()
        self.heard = len(self.bench.events)


def run_line(steps: LineSteps) -> list[str]:
    """Do the steps at two stations; return where units were said to be complete."""
    run = LineRun()
    for what, where, how in steps:
        run.step(what, where, how)
    return run.complete


def test_the_way_through_two_stations_is_there() -> None:
    assert run_line(THROUGH) == ["st-1", "st-1", "st-2"]


@pytest.mark.heavy
@settings(max_examples=200, deadline=None)
@given(st.lists(LINE_STEPS, max_size=20), st.lists(LINE_STEPS, max_size=12), st.integers(0, len(THROUGH)))
@example([], [("scan", "st-2", "SN0001"), ("reload", "pcb", 9)], 3)
@example([], [("scan", "st-2", "SN0001"), ("reload", "pcb", 9)], 2)
def test_no_sequence_at_two_stations_makes_a_unit_complete_that_is_not(
    before: LineSteps, between: LineSteps, cut: int
) -> None:
    end: LineSteps = [("scan", "st-1", "SN0002"), ("scan", "st-2", "SN0002"), ("scan", "st-2", "SN0001")]
    run_line([*before, *THROUGH[:cut], *between, *THROUGH[cut:], *end])
