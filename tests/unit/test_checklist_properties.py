"""No sequence of observations, restarts and reloads makes a unit complete that the records do not show so."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from linewitness.evidence.format.record import Event
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
