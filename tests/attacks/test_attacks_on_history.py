"""What somebody can do so that nothing was recorded, or so that a unit looks better than its history."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linewitness.evidence.format.record import Change
from support.chain_builder import START_MS, Stream, time_of
from support.held_streams import packed_units
from support.line_history import (
    at_station,
    back,
    device,
    gap,
    gateway,
    left,
    line,
    lost,
    started,
    stopped,
    tightened,
)
from support.packages import Judge, selection, whole
from support.zips import unzipped, zipped

NOT_EXCLUDED = "a restored copy is not excluded"


@pytest.fixture
def stream() -> Stream:
    """Return a line whose gateway was started 5 s after its stream: records 1 and 2."""
    return line()


def at(seconds: float) -> str:
    """Return the time so many seconds after the stream was created."""
    return time_of(START_MS + int(seconds * 1000))


def after_start(verdict: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the stretches but for the one before the first start, as (subject, since, until, why)."""
    first, *others = verdict["without_capture"]
    assert (first["since"], first["until"], first["first"], first["last"]) == (at(0), at(6), 0, 2)
    assert "had not been started" in first["why"]
    return [(one["subject"], one["since"], one["until"], one["why"]) for one in others]


def test_the_gateway_is_off_during_a_bad_batch(judge: Judge, stream: Stream) -> None:
    stream.commit(3)
    stopped(stream)
    stream.tick(202_000)
    started(stream)
    stream.commit(3)
    verdict = judge(stream.records)
    assert verdict["status"] == "COMPLETE"
    ((subject, since, until, why),) = after_start(verdict)
    assert (subject, since, until) == ("gateway", at(10), at(10 + 204))
    assert why == "the gateway was off: the gateway was asked to stop; a restored copy is not excluded"
    assert (verdict["without_capture"][1]["first"], verdict["without_capture"][1]["last"]) == (6, 8)


def test_the_power_is_cut_during_a_bad_batch(judge: Judge, stream: Stream) -> None:
    stream.commit(3)
    stream.tick(300_000)
    started(stream, boot=2)
    stream.commit(1)
    stream.tick(1_000)
    started(stream)
    cut, crash = after_start(judge(stream.records))
    assert cut[:3] == ("gateway", at(9), at(9 + 302))
    assert cut[3] == (
        "no stop is on record: the gateway crashed, was killed, or lost its power;"
        " the machine was started again; a restored copy is not excluded"
    )
    assert crash[1:] == (at(312), at(315), cut[3].replace("; the machine was started again", ""))


def test_the_gateway_is_stopped_and_not_started_again(judge: Judge, stream: Stream) -> None:
    stopped(stream)
    assert after_start(judge(stream.records))[0][:3] == ("gateway", at(7), None)


def test_a_device_is_unplugged_for_a_while_or_stays_away_over_a_restart(judge: Judge, stream: Stream) -> None:
    back(stream, "press-4")
    back(stream, "wrench")
    lost(stream, "press-4")
    stream.tick(50_000)
    back(stream, "press-4", Change("away_ms", None, 51_000))
    stopped(stream)
    started(stream)
    back(stream, "wrench")
    lost(stream, "press-4", "the certificate is unknown")
    stream.tick(10_000)
    back(stream, "press-4", Change("away_ms", None, 11_000))
    lost(stream, "wrench")
    assert after_start(judge(stream.records)) == [
        ("press-4", at(9), at(60), "not connected: no answer for 5 s"),
        ("gateway", at(61), at(63), f"the gateway was off: the gateway was asked to stop; {NOT_EXCLUDED}"),
        ("wrench", at(63), at(64), "not connected yet after the start of the gateway"),
        ("press-4", at(63), at(76), "not connected: the certificate is unknown"),
        ("wrench", at(77), None, "not connected: no answer for 5 s"),
    ]


def test_a_device_was_away_before_the_records_that_are_here(
    judge: Judge, stream: Stream, tmp_path: Path
) -> None:
    back(stream, "press-4", Change("away_ms", None, 2_500))
    verdict = judge(path=selection(stream, tmp_path / "a.zip", [3]))
    assert [list(one.values()) for one in verdict["without_capture"]] == [
        ["press-4", at(4.5), at(7), "not connected", None, 3]
    ]


def test_results_are_lost_polls_are_missed_and_points_are_refused(judge: Judge, stream: Stream) -> None:
    def changes(first: Any, last: Any, count: int | None = None) -> list[Change]:
        counted = [] if count is None else [Change("count", None, count)]
        return [Change("first", None, first), Change("last", None, last), *counted]

    gap(stream, "poll", "nobody polled", *changes(at(2), at(6)))
    gap(stream, "results", "overwritten", *changes("4711", "4713", 3))
    gap(stream, "results", "overwritten", *changes(None, "4720"))
    gap(stream, "force", "the server refused it", *changes(at(10), at(10)))
    gap(stream, "press-4", "from here on it is only counted", *changes(at(11), None))
    gap(stream, "press-4", "so many are missing", *changes(at(11), at(12), 40))
    assert after_start(judge(stream.records)) == [
        ("press-4/poll", at(2), at(6), "source.gap: nobody polled"),
        ("press-4/results", None, at(8), "source.gap: overwritten (4711 to 4713) (3 of them)"),
        ("press-4/results", None, at(9), "source.gap: overwritten (the beginning to 4720)"),
        ("press-4/press-4", at(11), at(12), "source.gap: from here on it is only counted"),
        ("press-4/press-4", at(11), at(12), "source.gap: so many are missing (40 of them)"),
        ("press-4/force", at(10), None, "source.gap: the server refused it"),
    ]


def test_the_configuration_does_without_the_point_or_the_device(judge: Judge, stream: Stream) -> None:
    def applied(*changes: tuple[str, Any, Any]) -> None:
        gateway(stream, "config.applied", "settings were changed", *(Change(*change) for change in changes))

    back(stream, "wrench")
    applied(("devices.press-4.points.force.record", "change", "telemetry"), ("line.name", "a", "b"))
    applied(("devices.wrench.id", "wrench", None), ("devices.wrench.points.x.record", "change", None))
    applied(("devices.press-4.points.force.record", "telemetry", "change"))
    started(stream)
    verdict = judge(stream.records)
    assert [one[:3] for one in after_start(verdict)] == [
        ("press-4.points.force", at(8), at(10)),
        ("gateway", at(10), at(12)),
        ("wrench", at(9), None),
    ]
    assert verdict["without_capture"][1]["why"] == "the configuration does not record it"


def test_the_journal_is_full_the_gateway_hangs_or_the_clock_is_set(judge: Judge, stream: Stream) -> None:
    gateway(stream, "journal.pressure", "the journal is full", Change("level", "critical", "full"))
    gateway(stream, "journal.pressure", "there is room again", Change("level", "full", "high"))
    stream.tick(199_000)
    stream.commit(1)
    stream.step += 1
    stream.now_ms += 60_000
    set_by = Change("time", at(209), at(269)), Change("step_ms", None, "60000")
    gateway(stream, "clock.stepped", "the system clock was set", *set_by)
    assert after_start(judge(stream.records)) == [
        ("gateway", at(7), at(8), "the journal is full"),
        ("gateway", at(8), at(208), "nothing was recorded, not even a heartbeat"),
        ("clock", at(209), at(269), "the clock was set: no record bears these times"),
    ]


def test_a_thousand_small_stretches_do_not_hide_the_large_one(judge: Judge, stream: Stream) -> None:
    for _ in range(1_002):
        lost(stream, "press-4")
        back(stream, "press-4")
    stopped(stream)
    stream.tick(204_000)
    started(stream)
    verdict = judge(stream.records)
    assert len(verdict["without_capture"]) == 1 + 1_000 + 1
    assert verdict["without_capture_left_out"] == 3  # two of the thousand, and the press after the start
    assert verdict["without_capture"][-1]["why"].startswith("the gateway was off")


def test_very_many_sources_that_never_end_are_not_all_remembered(judge: Judge, stream: Stream) -> None:
    for number in range(10_003):
        gap(stream, f"source-{number}", "refused", Change("last", None, None), signed=number % 200 == 2)
    verdict = judge(stream.records)
    assert verdict["status"] == "COMPLETE"
    others = [one["subject"] for one in verdict["without_capture"] if one["subject"] != "gateway"]
    forgotten = [f"press-4/source-{number}" for number in (10_000, 10_001, 10_002)]
    assert others == [*forgotten, *(f"press-4/source-{number}" for number in range(997))]
    assert verdict["without_capture_left_out"] == 9_003


def a_units_history(stream: Stream) -> Stream:
    """Let SN1 and SN2 pass: while SN1 is there its wrench is lost, and the gateway is started anew."""
    back(stream, "wrench", station_id="bolting", session_id="s1")
    back(stream, "oven", station_id="baking", session_id="s0")
    lost(stream, "press-4", station_id="bolting")
    at_station(stream, "unit.entered", "SN1")
    tightened(stream, "SN1")
    lost(stream, "wrench", station_id="bolting")
    lost(stream, "oven", station_id="baking")
    back(stream, "wrench", station_id="bolting", session_id="s2")
    tightened(stream, "SN1", ok=False, session="s2")
    at_station(stream, "gate.closed", "SN1")
    stopped(stream)
    started(stream)
    back(stream, "wrench", station_id="bolting", session_id="s3")
    tightened(stream, "SN1", session="s3")
    left(stream, "SN1", 2, 1)
    at_station(stream, "unit.entered", "SN2")
    tightened(stream, "SN2", session="s3")
    left(stream, "SN2", 1)
    return stream


def records_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(data) for data in unzipped(path)["records.ndjson"].splitlines()]


def test_the_package_of_a_unit_holds_when_there_was_capture_at_its_station(
    judge: Judge, stream: Stream, tmp_path: Path
) -> None:
    path = packed_units(a_units_history(stream), tmp_path / "SN1.zip", "SN1")
    held = records_of(path)
    assert [record["sequence_no"] for record in held] == [5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 17, 18]
    assert "SN2" not in json.dumps(held)
    verdict = judge(path=path)
    assert (verdict["status"], list(verdict["remarks"])) == ("INCLUDED", [])
    assert [(one["subject"], one["until"]) for one in verdict["without_capture"]] == [
        ("wrench", at(14)),
        ("gateway", at(19)),
        ("wrench", at(20)),
        ("press-4", None),
    ]
    assert verdict["contents"] == {
        "records": 12, "first": 5, "last": 18, "earliest": held[0]["occurred_at"],
        "latest": held[-1]["occurred_at"], "units": [{"unit": "SN1", "records": 6}], "other_units": 0,
        "kinds": verdict["contents"]["kinds"],
    }  # fmt: skip
    assert {"kind": "tightening.result", "records": 3} in verdict["contents"]["kinds"]


WITHOUT_RESULT = (
    "the unit SN1 left with 2 good results and 1 others, and here are 2 and 0 of them: some are missing"
)
WITHOUT_COUNT = (
    "1 of the 1 units have no unit.left after their last result here, so that nothing states how many results"
    " they had: SN1"
)


@pytest.mark.parametrize(
    ("dropped", "says"),
    [
        (
            lambda record: record["kind"] == "tightening.result" and "nok" in json.dumps(record["changes"]),
            WITHOUT_RESULT,
        ),
        (
            lambda record: record["kind"] == "device.back" and record["context"]["session_id"] == "s2",
            "wrench was connected anew before it, and the device.back that says so is missing here",
        ),
        (lambda record: record["kind"] == "unit.left", WITHOUT_COUNT),
    ],
    ids=["bad result", "connection", "count"],
)
def test_what_spoils_the_picture_is_left_out_of_the_package(
    judge: Judge, stream: Stream, tmp_path: Path, dropped: Callable[[dict[str, Any]], bool], says: str
) -> None:
    held = records_of(packed_units(a_units_history(stream), tmp_path / "SN1.zip", "SN1"))
    picked = [record["sequence_no"] for record in held if not dropped(record)]
    assert len(picked) == len(held) - 1
    verdict = judge(path=selection(stream, tmp_path / "better.zip", picked))
    assert verdict["status"] == "INCLUDED"
    assert [remark["text"] for remark in verdict["remarks"]] == [says]


@pytest.mark.parametrize(("dropped", "missing"), [(3, 1), (4, 12)])
def test_what_met_a_requirement_is_left_out_of_the_package(
    judge: Judge, stream: Stream, tmp_path: Path, dropped: int, missing: int
) -> None:
    """A lot that is of no unit, and twelve good results, of which the remark names ten."""
    stream.add("material.loaded", resource={"type": "material", "id": "glue/G-7"})
    for _ in range(12):
        tightened(stream, "SN1")
    ids = [json.loads(data)["event_id"] for data in stream.records]
    met_by = Change("glue.met_by", None, ids[3]), Change("screws.met_by", None, " ".join(ids[4:16]))
    requirement = {"type": "requirement", "id": "bolting/glue", "parent": {"type": "unit", "id": "SN1"}}
    stream.add("requirement.changed", (Change("met_by", None, ids[3]),), resource=requirement)
    counts = Change("results_ok", None, 0), Change("results_not_ok", None, 0)
    at_station(stream, "unit.left", "SN1", *counts, *met_by)
    picked = range(3, 18)
    assert list(judge(path=selection(stream, tmp_path / "all.zip", picked))["remarks"]) == []
    gone = range(dropped, dropped + missing)
    kept = [number for number in picked if number not in gone]
    remarks = judge(path=selection(stream, tmp_path / "better.zip", kept))["remarks"]
    said = [(one["index"], one["text"]) for one in remarks]
    if missing == 1:
        by = f"met by record {ids[3]}, which is missing here"
        assert said == [
            (16, f"the requirement bolting/glue of the unit SN1 was {by}"),
            (17, f"the unit SN1 left with the requirement glue {by}"),
        ]
    else:
        by = f"met by records {', '.join(ids[4:14])}, …, which are missing here"
        assert said == [(17, f"the unit SN1 left with the requirement screws {by}")]


@pytest.mark.parametrize("kind", ["gateway.started", "clock.stepped"])
def test_a_start_or_a_set_clock_is_left_out_of_the_package(
    judge: Judge, stream: Stream, tmp_path: Path, kind: str
) -> None:
    tightened(stream, "SN1")
    if kind == "gateway.started":
        started(stream, boot=2)
    else:
        stream.step += 1
        gateway(stream, kind, "the system clock was set", Change("time", at(7), at(7)))
    tightened(stream, "SN1")
    left(stream, "SN1", 2)
    last = len(stream.records) - 1
    verdict = judge(path=selection(stream, tmp_path / "better.zip", [3, last - 1, last]))
    (remark,) = verdict["remarks"]
    assert remark["index"] == last - 1
    assert remark["text"].endswith(f"since record 3, and the {kind} that says so is missing here")


def test_results_that_decide_nothing_do_not_stand_in_for_those_that_are_missing(
    judge: Judge, stream: Stream, tmp_path: Path
) -> None:
    tightened(stream, "SN1", more=[Change("counts", None, after=False)])
    left(stream, "SN1", 1)
    (remark,) = judge(path=selection(stream, tmp_path / "a.zip", [3, 4]))["remarks"]
    assert "and here are 0 and 0 of them" in remark["text"]


UNREADABLE = "it is no JSON object of the format, and was not compared with the records"
NOTHING_RIGHT = (
    "its contents are not those of the records: records, first, last, earliest, latest, kinds, units,"
    " other_units"
)


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        ({"origin": "other.example/1"}, ["it names another stream than acme.example/ber-01/line-02/1"]),
        ({"records": 13}, ["it states another number of records than the 12 that are here"]),
        ({"records": True}, ["it states another number of records than the 12 that are here"]),
        (
            {"asked": {"units": ["SN3"], "batches": [], "since": at(9.5), "until": None}},
            [
                "records of units are here that it does not name: SN1",
                "it names units of which no record is here: SN3",
                "records are here that lie outside of the times that it names",
            ],
        ),
        ({"contents": {}}, [NOTHING_RIGHT]),
        ({"asked": 3, "contents": None}, [NOTHING_RIGHT]),
        (
            {"contents": {"units": [{"unit": "SN1", "records": 7}]}},
            ["its contents are not those of the records: units"],
        ),
        ("[1]", [UNREADABLE]),
        ('{"records": 13, "records": 13}', [UNREADABLE]),
        ('{"records": 13.0}', [UNREADABLE]),
        (" " * 1_000_001, ["it is larger than 1000000 bytes, and was not compared with the records"]),
        ({"records": 12}, []),
    ],
)
def test_the_manifest_says_something_else_than_the_records(
    judge: Judge, stream: Stream, tmp_path: Path, claim: Any, says: list[str]
) -> None:
    path = packed_units(a_units_history(stream), tmp_path / "SN1.zip", "SN1")
    files = unzipped(path)
    if isinstance(claim, dict):
        value = json.loads(files["manifest.json"])
        if claim.get("contents"):
            claim = {"contents": value["contents"] | claim["contents"]}
        claim = json.dumps(value | claim)
    verdict = judge(path=zipped(path, files | {"manifest.json": claim.encode()}))
    assert verdict["status"] == "INCLUDED"
    assert [remark["text"] for remark in verdict["remarks"]] == [f"manifest.json: {text}" for text in says]


def test_a_whole_stream_is_compared_with_its_manifest_too(
    judge: Judge, stream: Stream, tmp_path: Path
) -> None:
    path = whole(stream, tmp_path / "a.zip")
    assert list(judge(path=path)["remarks"]) == []
    files = unzipped(path)
    files["manifest.json"] = files["manifest.json"].replace(b"key.rotated", b"tightening.result")
    (remark,) = judge(path=zipped(path, files))["remarks"]
    assert remark["text"] == "manifest.json: its contents are not those of the records: kinds"


def test_broken_evidence_has_no_contents(judge: Judge, stream: Stream) -> None:
    device(stream, "device.lost", "press-4", "no answer")
    records = [*stream.records[:-1], stream.records[-1].replace(b"no answer", b"an answer")]
    verdict = judge(records)
    assert verdict["status"] == "BROKEN"
    assert (verdict["contents"], list(verdict["without_capture"])) == (None, [])


def test_a_lost_device_that_made_no_record_of_the_unit_can_be_left_out(
    judge: Judge, stream: Stream, tmp_path: Path
) -> None:
    """Only the whole stream shows it: the limit is stated in the format and in the threat model."""
    held = records_of(packed_units(a_units_history(stream), tmp_path / "SN1.zip", "SN1"))
    picked = [one["sequence_no"] for one in held if one["context"].get("device_id") != "press-4"]
    assert len(picked) == len(held) - 1
    verdict = judge(path=selection(stream, tmp_path / "better.zip", picked))
    assert (verdict["status"], list(verdict["remarks"])) == ("INCLUDED", [])
    assert "press-4" not in json.dumps(verdict["without_capture"])
    assert "press-4" in json.dumps(judge(stream.records)["without_capture"])
