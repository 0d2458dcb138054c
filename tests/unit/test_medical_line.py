"""The example of a medical device line: what its comments promise happens at its stations."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from linewitness.config import load
from linewitness.config.lists.reading import read_listing
from linewitness.devices.base import Measured, Result
from linewitness.evidence.format.record import Event
from linewitness.stations.checklist.status import applies
from linewitness.stations.genealogy.known_units import Variant
from linewitness.stations.lists.listing import Counting, book_of
from linewitness.stations.options import StationOptions
from support.observations import BASE_NS, tightening
from support.station_bench import LineBench, afters, kinds

EXAMPLE = Path(__file__).parents[2] / "config" / "medical-line.yaml"
HOUSING = "]d2010401234500001610H2201"
BLOCKED_HOUSING = "]d2010401234500001610H2202"
BOARD = "]d2010401234500002321S-1"
BATTERY = "BAT-7/L77/815/350630"
GLUE = "GLU-5/G501/10/350331"


class Pump(NamedTuple):
    """One pump: its product, its parts, and how it is screwed."""

    serial: str
    product: str
    parts: Sequence[str]
    screws: int
    program: int


PUMP_A = Pump("PMP10000001", "PUMP-A", (HOUSING, BOARD), 4, 12)
PUMP_B = Pump("PMP20000001", "PUMP-B", (HOUSING, BOARD, BATTERY), 6, 14)
NEXT = "PMP10000002"


class MedicalLine(LineBench):
    """The stations of the example with its lists, and what people and devices do there."""

    def __init__(self) -> None:
        config = load(EXAMPLE)
        counting = []
        for name, options in config.lists.named.items():
            listing = read_listing(name, options, Path(options.file).read_bytes(), time.time_ns())
            counting.append(Counting(options, listing, BASE_NS))
        super().__init__(*config.stations, lists=book_of(counting))

    def sign_on(self, person: str, *, at: str, at_s: float) -> list[Event]:
        return self.scan(person, at=at, at_s=at_s, device=f"{at}-badges")

    def scanned(self, *texts: str, at: str, at_s: float) -> list[Event]:
        return self.scan(*texts, at=at, at_s=at_s, device=f"{at}-reader")

    def screw(self, pump: Pump, *, at_s: float, torque: str = "2.5") -> list[Event]:
        return self.say(self._result("torque", torque, "wrench-20", pump.program, at_s), at="bolting")

    def leak(self, *, at_s: float, rate: str = "0.1") -> list[Event]:
        tested = self._result("leak-rate", rate, "leak-tester", 0, at_s)
        return self.say(replace(tested, kind="measurement.result"), at="release")

    def _result(self, field: str, value: str, device: str, pset: int, at_s: float) -> Result:
        made = tightening(int(at_s * 10), device=device, pset=pset, at_ms=int(at_s * 1000))
        return replace(made, measured=(Measured(field=field, value=value),))

    def closing(self, station: str, pump: Pump) -> dict[str, object]:
        """Return what `unit.left` of a pump says at a station, which must have been written once."""
        [left] = [
            event
            for event in self.events
            if event.kind == "unit.left"
            and (event.resource.id, event.resource.unit) == (station, pump.serial)
        ]
        return dict(afters(left))

    def exceptions(self, pump: Pump) -> list[str]:
        return [
            str(afters(event)["code"])
            for event in self.events
            if event.kind == "exception.raised" and event.resource.unit == pump.serial
        ]


@pytest.fixture
def line() -> MedicalLine:
    return MedicalLine()


def kit(line: MedicalLine, pump: Pump) -> None:
    line.sign_on("OP101", at="kitting", at_s=0)
    line.scanned(f"WO/4711/{pump.product}/7", pump.serial, at="kitting", at_s=1)
    assert line.gate("kitting") == "closed"
    line.scanned(*pump.parts, at="kitting", at_s=2)
    assert line.gate("kitting") == "opened"
    line.scanned(NEXT, at="kitting", at_s=3)
    line.sign_on("OP101", at="kitting", at_s=4)


def bolt(line: MedicalLine, pump: Pump) -> None:
    line.sign_on("OP101", at="bolting", at_s=100)
    line.read("false", device="bolting-plc", point="glue-applied", at="bolting", at_s=100)
    line.scanned(GLUE, pump.serial, at="bolting", at_s=101)
    line.read("true", device="bolting-plc", point="glue-applied", at="bolting", at_s=102)
    for number in range(pump.screws):
        assert line.gate("bolting") == "closed"
        line.screw(pump, at_s=110 + number)
    assert line.gate("bolting") == "opened"
    line.scanned("PMP10000003", at="bolting", at_s=130)


def cure(line: MedicalLine, pump: Pump) -> None:
    line.scanned(pump.serial, at="curing", at_s=200)
    line.read("70.0", device="oven-30", point="temperature", at="curing", at_s=201)
    line.wait(700, at="curing")
    assert line.gate("curing") == "closed"
    line.wait(802, at="curing")
    assert line.gate("curing") == "opened"
    line.scanned("PMP10000004", at="curing", at_s=803)


def release(line: MedicalLine, pump: Pump) -> None:
    line.sign_on("OP102", at="release", at_s=3000)
    line.scanned(pump.serial, at="release", at_s=3001)
    line.leak(at_s=3010)
    line.scanned("SIGN-VISUAL", at="release", at_s=3020)
    line.sign_on("OP102", at="release", at_s=3021)
    line.scanned("SIGN-RELEASE", at="release", at_s=3022)
    assert line.gate("release") == "closed"
    line.sign_on("OP103", at="release", at_s=3023)
    assert line.gate("release") == "opened"
    line.scanned("PMP10000005", at="release", at_s=3030)


def needed(station: StationOptions, pump: Pump) -> list[str]:
    """Return the requirements of a station that a pump has, by the settings."""
    variant = Variant(pump.product, "4711", "7")
    return [need.name for need in station.requires if applies(need.when, variant)]


@pytest.mark.parametrize("pump", [PUMP_A, PUMP_B], ids=lambda pump: pump.product)
def test_a_pump_is_complete_at_each_station_and_each_record_lists_all_that_it_needed(
    line: MedicalLine, pump: Pump
) -> None:
    kit(line, pump)
    bolt(line, pump)
    cure(line, pump)
    release(line, pump)
    ids = {event.event_id for event in line.events}
    for name, station in line.options.items():
        left = line.closing(name, pump)
        assert (left["complete"], left["product"]) == (True, pump.product)
        listed = [field.removesuffix(".kind") for field in left if field.endswith(".kind")]
        assert listed == needed(station, pump)
        assert [left[requirement] for requirement in listed] == ["done"] * len(listed)
        met_by = " ".join(str(left.get(f"{requirement}.met_by", "")) for requirement in listed).split()
        assert set(met_by) <= ids
    assert line.exceptions(pump) == []
    built = [event.resource.id for event in line.events if event.kind == "component.installed"]
    assert built == ["HSG-200/H2201", "PCB-100/S-1", *["BAT-7/815"] * (pump is PUMP_B), "GLU-5/G501"]


def test_a_housing_of_a_blocked_lot_is_refused_and_the_pump_stays(line: MedicalLine) -> None:
    line.sign_on("OP101", at="kitting", at_s=0)
    line.scanned("WO/4711/PUMP-A/7", PUMP_A.serial, at="kitting", at_s=1)
    [refused] = line.scanned(BLOCKED_HOUSING, at="kitting", at_s=2)
    assert (refused.kind, refused.reason) == (
        "component.refused",
        "lot H2202 is blocked: crack at the rim",
    )
    line.scanned(BOARD, at="kitting", at_s=3)
    assert line.gate("kitting") == "closed"


def test_a_screw_below_our_limit_does_not_count_and_is_done_again(line: MedicalLine) -> None:
    kit(line, PUMP_A)
    line.sign_on("OP101", at="bolting", at_s=100)
    line.read("false", device="bolting-plc", point="glue-applied", at="bolting", at_s=100)
    line.scanned(GLUE, PUMP_A.serial, at="bolting", at_s=101)
    line.read("true", device="bolting-plc", point="glue-applied", at="bolting", at_s=102)
    line.screw(PUMP_A, at_s=109, torque="2.1")
    for number in range(4):
        assert line.gate("bolting") == "closed"
        line.screw(PUMP_A, at_s=110 + number)
    assert line.gate("bolting") == "opened"


def test_whoever_is_signed_on_cannot_release(line: MedicalLine) -> None:
    kit(line, PUMP_A)
    bolt(line, PUMP_A)
    cure(line, PUMP_A)
    line.sign_on("OP102", at="release", at_s=3000)
    line.scanned(PUMP_A.serial, at="release", at_s=3001)
    line.leak(at_s=3010)
    line.scanned("SIGN-VISUAL", at="release", at_s=3020)
    line.sign_on("OP102", at="release", at_s=3021)
    line.scanned("SIGN-RELEASE", at="release", at_s=3022)
    [refused] = line.sign_on("OP102", at="release", at_s=3023)
    assert (refused.kind, refused.reason) == (
        "requirement.refused",
        "OP102 does the work: another person signs",
    )
    assert line.gate("release") == "closed"


def test_a_pump_that_skips_the_oven_is_held_and_an_exception(line: MedicalLine) -> None:
    kit(line, PUMP_A)
    bolt(line, PUMP_A)
    line.scanned(PUMP_A.serial, at="release", at_s=3001)
    assert line.exceptions(PUMP_A) == ["station_skipped"]
    assert line.gate("release") == "closed"


def test_a_pump_that_is_scrap_leaves_and_is_held_elsewhere(line: MedicalLine) -> None:
    kit(line, PUMP_A)
    line.sign_on("OP101", at="bolting", at_s=100)
    line.scanned(PUMP_A.serial, at="bolting", at_s=101)
    scrapped = line.scanned("SCRAP-R2", at="bolting", at_s=102)
    assert "unit.scrapped" in kinds(scrapped)
    assert line.gate("bolting") == "opened"
    line.scanned(PUMP_A.serial, at="release", at_s=3001)
    assert line.gate("release") == "closed"
    assert "scrapped_unit" in line.exceptions(PUMP_A)


def test_an_override_names_one_of_the_reasons(line: MedicalLine) -> None:
    kit(line, PUMP_A)
    line.sign_on("OP101", at="bolting", at_s=100)
    line.scanned(PUMP_A.serial, "PASS-R5", at="bolting", at_s=101)
    assert line.gate("bolting") == "closed"
    line.scanned("PASS-R9", at="bolting", at_s=102)
    assert line.gate("bolting") == "opened"
    [given] = [event for event in line.events if event.kind == "gate.overridden"]
    assert (given.actor.id, given.reason) == ("OP101", "R9: concession of the quality manager")
