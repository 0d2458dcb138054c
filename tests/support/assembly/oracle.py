"""Compare what really happened with the records in the audit store. An empty list means: they agree."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from sqlalchemy import make_url

from linewitness.evidence.history.trace import ComponentQuery, ComponentTrace
from linewitness.store.database.database import Database
from linewitness.store.reports import read_records
from support.assembly.line import STATIONS
from support.assembly.story import Story
from support.assembly.truth import TrueVisit
from support.meaning import meaning_of
from support.plants import Held, attested_to_the_end, held

#: What a true ending is called where a record says how a unit left.
_SAID = {"left": "complete", "overridden": "overridden", "scrapped": "scrapped", "taken_back": "incomplete"}


def values(record: dict[str, Any]) -> dict[str, Any]:
    """Return what a record says, by field; what is gone counts as said."""
    return {
        item["field"]: item["after"] if item.get("after") is not None else item.get("before")
        for item in record["changes"]
    }


def unit_of(record: dict[str, Any]) -> str:
    """Return the unit that a record is about, empty where there is none."""
    resource = record["resource"]
    if resource["type"] == "unit":
        return str(resource["id"])
    parent = resource.get("parent") or {}
    return str(parent.get("id", "")) if parent.get("type") == "unit" else ""


def station_of(record: dict[str, Any]) -> str:
    return str(record.get("context", {}).get("station_id", ""))


def compare(story: Story) -> list[str]:
    """Return every difference between the truth and the records, in words."""
    store = held(story.line.plant)
    found = [] if attested_to_the_end(store) else [f"the verdict is {store.verdict}"]
    for part in (
        _leavings,
        _closings,
        _contents,
        _refusals,
        _tightenings,
        _strays,
        _people,
        _reasons,
        _scrap,
    ):
        found += [f"{part.__name__.strip('_')}: {each}" for each in part(story, store)]
    return found + [f"tracing: {each}" for each in _tracing(story)]


def _visits(story: Story) -> Iterator[TrueVisit]:
    for station in STATIONS:
        yield from story.truth.visits[station]


def _leavings(story: Story, store: Held) -> Iterator[str]:
    """What left a gated station was complete in truth, or a person let it pass, on record with a reason."""
    overrides = defaultdict(list)
    for record in store.kind("gate.overridden"):
        overrides[station_of(record), unit_of(record)].append(record)
    passed = {(visit.station, visit.unit) for visit in _visits(story) if visit.ending == "overridden"}
    for visit in _visits(story):
        if visit.ending == "left" and visit.lacked:
            yield f"{visit} left"
        if visit.ending == "overridden":
            said = [
                (r["actor"]["id"], values(r)["reason_code"]) for r in overrides[visit.station, visit.unit]
            ]
            if (visit.person, visit.reason) not in said:
                yield f"{visit} has no such override on record: {said}"
    for key in overrides.keys() - passed:
        yield f"{key} was let pass by record only"


def _closings(story: Story, store: Held) -> Iterator[str]:
    """`unit.left` of each visit says how it ended; the unit that is there at the end has none."""
    for station in STATIONS:
        truth = [(visit.unit, _SAID[visit.ending]) for visit in story.truth.visits[station]]
        records = [
            (unit_of(record), _ending(values(record)))
            for record in store.kind("unit.left")
            if station_of(record) == station
        ]
        if records != truth[:-1]:
            pairs = zip(truth[:-1], records, strict=False)
            first = next((pair for pair in pairs if pair[0] != pair[1]), None)
            yield f"{station}: {len(truth) - 1} left, {len(records)} on record; first difference {first}"


def _ending(said: dict[str, Any]) -> str:
    if "scrapped" in said:
        return "scrapped"
    if said["complete"] is True:
        return "complete"
    return "overridden" if "overridden_by" in said else "incomplete"


def _contents(story: Story, store: Held) -> Iterator[str]:
    """What is in each unit is what was put in less what was taken out, on record."""
    inside: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    removed: Counter[tuple[str, tuple[str, str]]] = Counter()
    for record in store.records:
        if record["kind"] in ("component.installed", "component.removed"):
            piece, unit = _piece(record), unit_of(record)
            inside[unit][piece] += 1 if record["kind"] == "component.installed" else -1
            removed[unit, piece] += record["kind"] == "component.removed"
    if +removed != story.truth.removed:
        lost, more = story.truth.removed - removed, removed - story.truth.removed
        yield f"taken out: {lost} not on record, {more} by record only"
    for serial in story.truth.units.keys() | inside.keys():
        truth = Counter(piece.key for piece in story.truth.unit(serial).inside.values())
        if +inside[serial] != truth or min(inside[serial].values(), default=0) < 0:
            yield f"{serial} has {dict(truth)}, by record {dict(inside[serial])}"


def _piece(record: dict[str, Any]) -> tuple[str, str]:
    part, _, name = record["resource"]["id"].partition("/")
    return part, name


def _refusals(story: Story, store: Held) -> Iterator[str]:
    """Each refusal that a person saw is on record, and nothing was refused that nobody read."""
    records = Counter(_piece(record) for record in store.kind("component.refused"))
    for piece, seen in story.truth.refusals_seen.items():
        if records[piece] < seen:
            yield f"{piece} was seen to be refused {seen} times, and {records[piece]} times on record"
    for piece, count in records.items():
        if count > story.truth.scans[piece]:
            yield f"{piece} was read {story.truth.scans[piece]} times and refused {count} times"


def _tightenings(story: Story, store: Held) -> Iterator[str]:
    """Each tightening is on record once, and never as one of another unit or another person."""
    made = story.line.made_with
    counts = store.tightenings()
    if set(counts) != set(made) or any(count > 1 for count in counts.values()):
        yield f"made {sorted(made.keys() - counts.keys())} not on record, {counts - Counter(made)} too often"
    meaning = meaning_of(store.kind("tightening.result"), made)
    if meaning.wrong:
        yield f"{meaning.wrong}"


def _exceptions_of(store: Held) -> defaultdict[str, Counter[tuple[str, str]]]:
    """Return of which station and unit there are exceptions on record, by their code."""
    records: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for record in store.records:
        if record["kind"].startswith("exception"):
            code = str(values(record).get("code") or record["kind"])
            records[code][station_of(record), unit_of(record)] += 1
    return records


def _strays(story: Story, store: Held) -> Iterator[str]:
    """Each unit that was where it should not be is an exception, once, and no other one is."""
    ends = [visit for station in STATIONS for visit in story.truth.visits[station][:-1]]
    truth = {
        "station_skipped": story.truth.skipped,
        "left_incomplete": Counter((v.station, v.unit) for v in ends if v.ending == "taken_back"),
        "unit_at_two_stations": story.truth.at_two,
        "scrapped_unit": story.truth.came_as_scrap,
    }
    records = _exceptions_of(store)
    for code, really in truth.items():
        if records[code] != really:
            yield f"{code}: really {really}, on record {records[code]}"
    known = {*truth, "shared_badge", "impossible_walk", "tool_swapped"}
    if strange := {code: dict(found) for code, found in records.items() if code not in known}:
        yield f"nobody did this: {strange}"


def _people(story: Story, store: Held) -> Iterator[str]:
    """Who was seen at two stations is an exception, and nobody is who can have walked."""
    records, truth = _exceptions_of(store), story.truth
    badges = records["shared_badge"].total()
    if badges < truth.shared_badges_seen or (badges and not truth.mistakes["shared_badge"]):
        yield f"{truth.shared_badges_seen} shared badges were seen, {badges} are on record"
    walks = records["impossible_walk"].total()
    if walks < truth.walks_seen or (walks and not truth.walks_possible):
        yield f"{truth.walks_seen} of {truth.walks_possible} walks were seen, {walks} on record"
    swaps = {unit for _, unit in records["tool_swapped"]}
    if swaps and not truth.mistakes["tool_due"]:
        yield f"nobody swapped a tool: {swaps}"


def _reasons(story: Story, store: Held) -> Iterator[str]:
    """A reason that says nothing let nothing pass: each that was refused is on record."""
    refused = sum("none of the reasons" in str(r["reason"]) for r in store.kind("identifier.scanned"))
    if not story.truth.generic_reasons_seen <= refused <= story.truth.generic_reasons:
        yield f"{story.truth.generic_reasons} were given, {refused} are on record"


def _scrap(story: Story, store: Held) -> Iterator[str]:
    """What is scrap is scrap on record, once."""
    truth = {serial for serial, unit in story.truth.units.items() if unit.scrapped}
    records = {unit_of(record) for record in store.kind("unit.scrapped")}
    if truth != records:
        yield f"scrapped {truth - records} not on record, {records - truth} by record only"


def _tracing(story: Story) -> Iterator[str]:
    """Of each piece, the units that had it and have it still are by record those of the truth."""
    truth = story.truth
    database = Database(make_url(f"sqlite:///{story.line.plant.folder / 'store.db'}"))
    try:
        data = [
            record.data
            for record in read_records(database)
            if b"component." in record.data or b'"met_by"' in record.data
        ]
    finally:
        database.close()
    for part, name in sorted(truth.had):
        kind = "lot" if part in ("GLUE", "TAPE") else "serial"
        trace = ComponentTrace((ComponentQuery(part=part, **{kind: name}),))
        for line in data:
            trace.take(line)
        holding = {
            s for s, unit in truth.units.items() if (part, name) in {p.key for p in unit.inside.values()}
        }
        if set(trace.units) != truth.had[part, name] or set(trace.holding) != holding:
            yield f"{part} {name} was in {truth.had[part, name]}, is in {holding}; by record {trace}"
    backward = defaultdict(set)
    for line in data:
        record = json.loads(line)
        if record["kind"] == "component.installed":
            backward[unit_of(record)].add(_piece(record))
    for serial in truth.units:
        had = {piece for piece, units in truth.had.items() if serial in units}
        if had != backward[serial]:
            yield f"{serial} ever had {had}, by record {backward[serial]}"
