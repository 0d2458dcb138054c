"""The device history record on the report's page: who met what, by which record, and what is missing."""

import json
import re
from pathlib import Path
from typing import Any

from linewitness.evidence.format.record import Change
from linewitness.evidence.history import histories
from linewitness.evidence.history.histories import DeviceHistories
from linewitness.evidence.package.report import build_report
from support.chain_builder import Stream
from support.line_history import left, tightened
from support.report_texts import parsed

VECTOR = Path(__file__).parents[2] / "vectors/checklist/records.ndjson"
RECORDS = [json.loads(line) for line in VECTOR.read_bytes().splitlines()]


def page(records: list[dict[str, Any]]) -> str:
    return build_report(records, title="Unit SN-0818", created_at="2026-03-02T00:00:00.000Z").decode()


def section(html: str) -> str:
    return html.partition("Device history record: checklist</h2>")[2].partition("<h2>")[0]


def row_with(html: str, text: str) -> str:
    rows: list[str] = re.findall(r"<tr>.*?</tr>", section(html))
    (row,) = [each for each in rows if text in each]
    return row


def test_each_requirement_leads_to_the_records_that_met_it() -> None:
    html = page(RECORDS)
    row = row_with(html, ">checked<")
    assert '<a href="#record-15">' in row
    assert "sign off" in row
    assert "out of order" in row
    assert "B-17" in row
    assert "2026-03-01 06:00:15.000" in row
    for number in re.findall(r'href="#record-([0-9]+)"', html):
        assert html.count(f'id="record-{number}"') == 1
    seen = parsed(section(html)).text
    assert "bolting: attempt 1: not complete → attempt 2: let pass by B-17" in seen
    assert "let pass by B-17: concession 2026-17 of quality" in seen
    assert "not met0 of 1, 1 not good" in seen
    assert "overridden" in row_with(html, "curing for an hour")


def test_components_that_came_and_went_are_the_genealogy() -> None:
    row = parsed(row_with(page(RECORDS), "S-100")).text
    assert row.startswith("sealS-100, lot L-121A1Seals Ltd2027-01-31record")
    assert "06:00:05.000 by press-4" in row
    assert "06:00:10.000 by press-4: damaged" in row
    assert parsed(row_with(page(RECORDS), "S-101")).text.endswith("06:00:11.000 by B-17")


def test_refusals_overrides_scrap_and_exceptions_are_listed() -> None:
    seen = parsed(section(page(RECORDS))).text
    assert "component refusedpart seal, lot L-13, requirement seal" in seen
    assert "the lot L-13 is blocked: cracks" in seen
    assert "not countedrequirement checked" in seen
    assert "let passconcession, unmet cureB-17" in seen
    assert "Unit SN-0819" in seen
    assert "scrappeddropped" in seen
    assert "Of no unit" in seen
    assert "exceptionshared_badge" in seen


def test_what_is_not_in_the_package_is_said_to_be_missing() -> None:
    html = page([record for record in RECORDS if record["sequence_no"] not in (5, 12)])
    row = row_with(html, "01KJJ5Z3400000000000000012")
    assert "not in this package" in row
    assert "href" not in row
    assert "not in this package" in row_with(html, "S-100")
    assert "damaged" in row_with(html, "S-100")


def test_a_requirement_without_an_id_is_on_the_page_too() -> None:
    stream = Stream()
    stream.create()
    tightened(stream, "SN1")
    left(stream, "SN1", 1)
    records = [json.loads(data) for data in stream.records]
    assert section(page(records)) == ""
    done = Change("wrench.tightening.done", None, 1, low="4", status="low")
    records[-1]["changes"] += [
        {name: value for name, value in done._asdict().items() if value is not None} | {"before": None}
    ]
    assert "missing1 of 4" in parsed(row_with(page(records), "wrench.tightening")).text


def test_nothing_in_a_checklist_becomes_markup() -> None:
    evil = "</td><script>alert(1)</script>&\"'"
    text = json.dumps(RECORDS)
    for honest in (
        "SN-0818",
        "B-17",
        "a screw",
        "S-100",
        "damaged",
        "pump-a",
        "concession 2026-17 of quality",
    ):
        text = text.replace(f'"{honest}"', json.dumps(evil + honest))
    html = page(json.loads(text))
    assert "script" not in parsed(html).tags
    assert f"{evil}damaged" in parsed(html).text


def test_very_many_units_and_events_do_not_fill_the_page() -> None:
    refused = next(record for record in RECORDS if record["kind"] == "component.refused")
    many = [
        refused | {"resource": {"type": "unit", "id": f"SN{number % 600}"}, "sequence_no": number}
        for number in range(600)
    ]
    assert "100 further records of checklists" in section(page(many))
    assert "50 further records of checklists" in section(page([refused] * (histories.MAX_EVENTS + 50)))


def test_only_the_newest_records_are_remembered_and_the_page_says_so(monkeypatch: Any) -> None:
    monkeypatch.setattr(histories, "MAX_REMEMBERED", 3)
    html = page(RECORDS)
    assert "not found by this page" in row_with(html, "01KJJ5Z3400000000000000012")
    assert "not in this package" not in section(html)


def test_the_attempts_of_a_unit_are_one_chain_at_each_station() -> None:
    found = DeviceHistories()
    for record in RECORDS:
        found.add(record)
    assert found.all[0].chains == {"bolting": "attempt 1: not complete → attempt 2: let pass by B-17"}
    assert [one.serial for one in found.all[0].genealogy.inside] == ["S-101"]
