import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from linewitness.evidence.format.record import Change
from linewitness.evidence.package.report import MAX_ROWS, build_report
from linewitness.evidence.package.report_text import tick
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.stream import verify
from linewitness.evidence.verify.verdict import TIME_STAMP, Attestation
from support.chain_builder import Stream, grown
from support.chromium import page
from support.packages import policy_for, receipt
from support.report_texts import parsed


def day_at_the_line() -> Stream:
    stream = Stream()
    stream.create()
    for number in range(30):
        unit = {"type": "unit", "id": f"SN-{4700 + number // 5}"}
        torque = 12.0 + (number * 37 % 11) / 10 + (3 if number == 17 else 0)
        stream.add(
            "tightening.result",
            (
                Change(
                    "torque", None, f"{torque:.2f}", "Nm", "11.50", "13.50", "high" if torque > 13.5 else "ok"
                ),
                Change("angle", None, str(40 + number % 7), "deg", "30", "60", "ok"),
            ),
            resource={"type": "result", "id": str(number), "parent": unit},
            context={"device_id": "torque-1", "line_id": "line-02"},
        )
        stream.tick(9_000)
        if number == 20:
            where = {"context": {"device_id": "torque-1"}, "reason": "no answer for 5 s"}
            stream.add("device.lost", **cast(Any, where))
            stream.tick(60_000)
            stream.add("device.back", **cast(Any, where))
            stream.add("source.gap", (Change("result_id", "4711", "4713"),), **cast(Any, where))
    return stream


def report_on(stream: Stream, **other: Any) -> str:
    given = {"title": "Unit SN-4703", "created_at": "2026-03-02T00:00:00.000Z"} | other
    return build_report((json.loads(data) for data in stream.records), **given).decode()


def test_the_report_says_what_happened() -> None:
    stream = day_at_the_line()
    seen = parsed(report_on(stream, verdict=verify(stream.records)))
    assert "INTACT, last 34 records not yet attested" in seen.text
    assert "torque: 15.20 Nm [11.50 … 13.50] high" in seen.text
    assert "results that the device made and that are not here" in seen.text
    assert "locked ±0.9 ms" in seen.text
    assert "Without capture" in seen.text
    assert " (61.000 s), torque-1: not connected: no answer for 5 s" in seen.text
    assert seen.tags.count("svg") == 3
    assert seen.tags.count("tr") > 34


def test_a_time_stamp_is_named_beside_who_attested() -> None:
    stream = grown(3)
    verdict = verify(stream.records, policy=policy_for(stream), statements=[Statement("r", receipt(stream))])
    stamp = Attestation(
        party="Root <1>", role=TIME_STAMP, name="tsa.example", size=2, root="00" * 32, time_s=1_772_348_400
    )
    seen = parsed(report_on(stream, verdict=replace(verdict, attestations=(*verdict.attestations, stamp))))
    assert "COMPLETE to 3, attested by auditor (store store.example); 2 records time-stamped by" in seen.text
    assert f"Root <1>time stamp tsa.example2{tick(1_772_348_400)}" in seen.text
    assert "auditorstore store.example3" in seen.text


def test_values_outside_their_limits_and_gaps_stand_out() -> None:
    html = report_on(day_at_the_line())
    assert '<span class="nok">torque: 15.20 Nm' in html
    assert '<circle class="nok"' in html
    assert '<rect class="lost"' in html
    assert html.count('<tr class="gap">') == 4


def test_nothing_in_the_evidence_becomes_markup() -> None:
    stream = Stream()
    stream.create()
    evil = "</title></style><script>alert(1)</script>&\"'"
    stream.add(
        changes=(Change(evil, evil, "1.0", evil, "0", "2", "ok"),),
        reason=evil,
        actor={"type": "device", "id": evil, "display_name": evil},
        context={"device_id": evil},
        resource={"type": "unit", "id": evil},
    )
    html = report_on(stream, title=evil)
    seen = parsed(html)
    assert "script" not in seen.tags
    assert evil in seen.text


def test_a_long_stream_gives_a_readable_page() -> None:
    members = json.loads(grown(2).records[1])
    html = build_report((members for _ in range(MAX_ROWS + 5)), title="x", created_at="y").decode()
    assert "5 further records are in records.ndjson" in html


@pytest.mark.heavy
def test_very_many_gaps_do_not_fill_the_memory() -> None:
    members = json.loads(grown(2).records[1]) | {"kind": "device.lost"}
    html = build_report((members for _ in range(MAX_ROWS + 7)), title="x", created_at="y").decode()
    assert "7 further ones are in records.ndjson" in html


def test_what_was_measured_stands_out_and_the_rest_is_run_in() -> None:
    stream = Stream()
    stream.create()
    stream.add(
        changes=(
            Change("pset", None, 7),
            Change("torque", None, "12.30", "Nm", "11.00", None, "ok"),
            Change("holding", "120", "131"),
            Change("tool", None, "A1"),
        )
    )
    html = report_on(stream)
    assert "torque: <b>12.30 Nm [at least 11.00]</b><br>holding: <b>120 → 131</b>" in html
    assert '<span class="quiet">pset: 7 · tool: A1</span>' in html


def test_a_time_that_is_no_date_is_said_to_be_none() -> None:
    stream = grown(3)
    statement = Statement("a receipt", receipt(stream, time_s=2**62))
    verdict = verify(stream.records, policy=policy_for(stream), statements=[statement])
    assert "s after 1970, which is no date" in report_on(stream, verdict=verdict)


def test_values_that_are_no_numbers_are_not_drawn() -> None:
    stream = Stream()
    stream.create()
    for text in ("NaN", "inf", "1e999", "n/a", ""):
        stream.add(changes=(Change("torque", None, text, "Nm", "1", "2", "nok"),))
    html = report_on(stream)
    assert "Measured values and limits" not in html
    assert "torque: n/a" in html


def test_no_records_give_a_page_too() -> None:
    assert "None is on record" in build_report([], title="x", created_at="y").decode()


@pytest.mark.heavy
def test_the_report_in_a_browser(tmp_path: Path) -> None:
    stream = day_at_the_line()
    path = tmp_path / "report.html"
    path.write_text(report_on(stream, verdict=verify(stream.records)))
    with page() as browser:
        browser.open(path)
        assert browser.run("getComputedStyle(document.querySelector('.verdict')).borderLeftWidth") == "10px"
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
        browser.photograph(tmp_path / "report.png")
