"""The screen beside the work: what a person sees there, and that nobody can do or inject anything."""

import re
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import NS_PER_S
from linewitness.stations.view import MaterialView, NoteView
from support.clocks import ManualClock
from support.screens import requirement, view
from support.status_pages import Looked, looked_at


@pytest.fixture
async def line(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Looked]:
    async with looked_at(tmp_path / "journal", clock) as looked:
        yield looked


def words(html: str) -> str:
    """Return what a person reads, without the page's own script and style."""
    body = re.sub(r"<(script|style)>.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


async def test_the_screen_shows_unit_next_step_states_and_what_is_wrong(
    line: Looked, clock: ManualClock
) -> None:
    line.stations.publish(
        view(
            name="Bolting",
            unit="SN0042",
            attempt=2,
            product="Axle",
            order="PO-7",
            batch="B-3",
            operator="Kim",
            gate="closed",
            next="3",
            requirements=(
                requirement("1", "done"),
                requirement("2", "not_met", wrong="9 Nm", action="Loosen it and tighten again"),
                requirement("3", done=1, count=4, action="Tighten crosswise"),
                requirement("4", waits_for=("Bolt 3",)),
                requirement("5", until_ns=clock.realtime_ns + 65 * NS_PER_S),
            ),
            materials=(MaterialView(title="Grease", part="G-1", lot="L-99", left="12.5"),),
            notes=(NoteView(at_ns=clock.realtime_ns, text="Part P-9 refused", action="Take part P-8"),),
        )
    )
    status, headers, text = await line.get("/station/st-10")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert '<html lang="en">' in text
    shown = words(text)
    for said in (
        "Bolting",
        "SN0042",
        "attempt 2",
        "Product Axle",
        "Order PO-7",
        "Batch B-3",
        "Operator Kim",
        "gate closed",
        "➜ Next Bolt 3 Tighten crosswise",
        "✗ Wrong Bolt 2: 9 Nm ➜ Loosen it and tighten again Part P-9 refused ➜ Take part P-8",
        "✓ done Bolt 1",
        "✗ not met Bolt 2",
        "○ missing Bolt 3 1 of 4",
        "○ missing Bolt 4 after Bolt 3",
        "○ missing Bolt 5 1:05",
        "Grease G-1: lot L-99 , 12.5 left",
    ):
        assert said in shown, (said, shown)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "○ No unit Read the code of the unit"),
        ({"unit": "SN1", "complete": True, "gate": "opened"}, "✓ Complete The unit may leave"),
        ({"unit": "SN1", "unknown": "the reader was away"}, "? not certain"),
        ({"unit": "SN1", "passed": "Kim: customer waits"}, "! Let pass, not complete Kim: customer waits"),
    ],
)
async def test_a_state_is_a_symbol_and_a_word(line: Looked, values: dict[str, Any], said: str) -> None:
    line.stations.publish(view(**values))
    assert said in words((await line.get("/station/st-10"))[2])


async def test_nothing_that_a_device_or_a_list_says_becomes_part_of_the_page(line: Looked) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x>"
    line.stations.publish(
        view(
            name=evil,
            unit=evil,
            unknown=evil,
            product=evil,
            order=evil,
            batch=evil,
            operator=evil,
            next="1",
            requirements=(
                requirement("1", title=evil, action=evil),
                requirement("2", "not_met", title=evil, wrong=evil, action=evil, waits_for=(evil,)),
            ),
            materials=(MaterialView(title=evil, part=evil, lot=evil, left=evil),),
            notes=(NoteView(at_ns=1, text=evil, action=evil),),
        )
    )
    clean = (await line.get("/station/st-10"))[2]
    assert "&lt;script&gt;alert(1)" in clean
    assert "<img" not in clean
    assert clean.count("<script") == 1
    assert "<img" not in (await line.get("/stations"))[2]
    assert "<img" not in (await line.get("/station/<img>"))[2]


async def test_the_policy_of_the_screen_names_its_own_script_and_no_other(line: Looked) -> None:
    line.stations.publish(view(unit="SN1"))
    _, headers, text = await line.get("/station/st-10")
    policy = headers["content-security-policy"]
    for element in ("script", "style"):
        (own,) = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = b64encode(sha256(own.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http:" not in text.replace("http-equiv", "")
    assert headers["cache-control"] == "no-store"


async def test_without_a_script_the_screen_is_loaded_again_and_again(line: Looked) -> None:
    line.stations.publish(view(unit="SN1"))
    text = (await line.get("/station/st-10"))[2]
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in text


@pytest.mark.heavy
async def test_the_stations_are_listed_and_the_status_page_links_to_them(line: Looked) -> None:
    assert "st-10</a>" not in (await line.get("/"))[2]
    line.stations.publish(view(name="Bolting", unit="SN1"))
    line.stations.publish(view("st-30"))
    text = (await line.get("/stations"))[2]
    assert '<a href="/station/st-10">Bolting</a>: SN1' in text
    assert '<a href="/station/st-30">st-30</a>: no unit' in text
    page = (await line.get("/"))[2]
    assert '<a href="station/st-10">Bolting</a>' in page
    assert '<a href="stations">' in page
    assert "station/st-20" not in page


async def test_an_unknown_station_is_answered_with_those_there_are(line: Looked) -> None:
    line.stations.publish(view("st-30", name="Bolting"))
    for path in ("/station/st-99", "/station/st-99/events"):
        status, _, text = await line.get(path)
        assert status == 404
        assert "There is no station st-99" in text
        assert '<a href="/station/st-30">Bolting</a>' in text


@pytest.mark.heavy
@pytest.mark.parametrize("path", ["/stations", "/station/st-10", "/station/st-10/events"])
async def test_screens_only_show_and_only_to_this_machine(line: Looked, path: str) -> None:
    line.stations.publish(view())
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (await line.get(path, method=method))[0] == 405
    assert (await line.get(path, method="HEAD"))[0] == 200
    assert line.stations.viewers == 0
    assert (await line.get(path, host="evil.example"))[0] == 421
