"""The status page: what a person at the line needs to see, and nothing that acts."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from nacl.signing import SigningKey

from linewitness.base.certificates import Expiry
from linewitness.base.clock import ClockState, Stamp
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.journal.pressure import Level, Room
from linewitness.journal.submission import Submission
from linewitness.stations.unit.units import HeldUnit
from linewitness.status import views
from linewitness.timesources.judge import ClockVerdict
from linewitness.timesources.sample import Leap
from support.chromium import page as browser
from support.clocks import ManualClock
from support.journals import result_event
from support.present import present
from support.status_pages import FACTS, Looked, looked_at

pytestmark = pytest.mark.heavy

DAY_NS = 24 * 3600 * 10**9


@pytest.fixture
async def line(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Looked]:
    async with looked_at(tmp_path / "journal", clock) as looked:
        looked.health.device("wrench-10", "up", "")
        looked.health.device("press-4", "up", "")
        looked.health.uplink("up", "")
        yield looked


def verdict(
    clock: ManualClock,
    *,
    sync: str = "ntp",
    bound_us: int = 1500,
    offset_us: int = -300,
    warning: bool = False,
) -> ClockVerdict:
    stamp = Stamp(clock.realtime_ns, clock.boottime_ns)
    return ClockVerdict(
        stamp=stamp,
        state=ClockState(cast(Any, sync), bound_us),
        offset_us=offset_us,
        warning=warning,
        leap=Leap.NONE,
        reason="two sources agree",
        sources=(),
    )


def held_with_results() -> HeldUnit:
    return HeldUnit("SN0042", "scan", results_ok=3, results_not_ok=1)


@pytest.mark.parametrize(
    "unit",
    [held_with_results().dump(), json.dumps(["SN0042", "scan", {"wrench-10|tightening|": [3, 1]}])],
    ids=["now", "before checklists"],
)
async def test_page_shows_devices_units_journal_and_last_events(
    line: Looked, clock: ManualClock, unit: str
) -> None:
    await line.journal.submit([result_event(7, clock)], state={"station/st-10/unit": unit})
    line.board.show(verdict(clock))
    line.health.observed("wrench-10", 12_345)
    status, headers, text = await line.get("/")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    for said in (
        "No problems",
        "wrench-10",
        "Four bolts",
        "SN0042",
        "3 good",
        "1 not good",
        "12\u2009345",
        "tightening.result",
        "torque 12.30 Nm",
        "within 1.5 ms",
        "Room enough",
        "acme.example/ber-01/line-02/1",
        'http-equiv="refresh"',
    ):
        assert said in text, said


async def test_the_newest_signed_size_is_shown_for_others_to_keep(line: Looked) -> None:
    assert (await line.get("/checkpoint"))[0] == 404
    assert "keep it elsewhere" not in (await line.get("/"))[2]
    size = line.journal.head.size
    signed = str(Checkpoint(FACTS.stream, size, line.journal.head.root).sign(SigningKey.generate()))
    await line.journal.submit_all(Submission(checkpoint=(size, signed)))
    status, headers, text = await line.get("/checkpoint")
    assert (status, text) == (200, signed)
    assert headers["content-type"].startswith("text/plain")
    assert f"root {line.journal.head.root.hex()[:16]}" in (await line.get("/"))[2]
    assert f"linewitness_records_signed {size}.0" in (await line.get("/metrics"))[2]


async def test_what_a_device_says_cannot_become_part_of_the_page(line: Looked) -> None:
    line.health.device("press-4", "lost", "<script>alert(1)</script>")
    _, headers, text = await line.get("/")
    assert "<script" not in text
    assert "Axle &lt;carriers&gt;" in text
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["cache-control"] == "no-store"


async def test_an_operators_id_is_nobodys_business_here(line: Looked) -> None:
    await line.journal.submit([], state={"station/st-10/operator": "badge-4711"})
    _, _, text = await line.get("/")
    assert "an operator is signed on" in text
    assert "badge-4711" not in text


async def test_a_lost_device_is_a_remark_and_a_refusal_needs_a_person(line: Looked) -> None:
    line.health.device("press-4", "lost", "no route to host")
    assert "Running, with warnings" in (await line.get("/"))[2]
    assert (await line.get("/healthz"))[0] == 200
    line.health.device("press-4", "refused", "another certificate")
    _, _, text = await line.get("/")
    assert "Operator action required" in text
    assert "press-4 refuses the connection: another certificate" in text
    status, _, body = await line.get("/healthz")
    assert status == 503
    (problem,) = json.loads(body)["problems"]
    assert (problem["code"], problem["subject"], problem["alarm"]) == ("device-refused", "press-4", True)


@pytest.mark.parametrize(
    ("level", "alarm"), [(Level.HIGH, False), (Level.CRITICAL, True), (Level.FULL, True)]
)
async def test_a_journal_that_fills_up_is_said(line: Looked, level: Level, alarm: bool) -> None:
    line.journal.pressure.level = level
    line.journal.pressure.room_left = Room(900, 100, 1000, 12.5)
    _, _, text = await line.get("/")
    assert "12 h left at this rate" in text
    assert ("Operator action required" in text) is alarm
    assert (await line.get("/healthz"))[0] == (503 if alarm else 200)


async def test_a_contradiction_of_the_store_is_an_alarm(line: Looked) -> None:
    line.health.uplink("conflict", "the store holds another history")
    assert "another history exists" in (await line.get("/"))[2]
    assert (await line.get("/healthz"))[0] == 503


async def test_a_frozen_stream_is_an_alarm_also_while_the_uplink_is_away(line: Looked) -> None:
    line.health.uplink("away", "no route to host")
    await line.journal.submit_all(Submission(freeze=True))
    status, _, body = await line.get("/healthz")
    assert status == 503
    problems = {problem["code"]: problem["what"] for problem in json.loads(body)["problems"]}
    assert problems["stream-frozen"] == "the stream is frozen: another history of it exists"
    assert "Operator action required" in (await line.get("/"))[2]


async def test_certificates_are_a_remark_before_and_an_alarm_after_their_end(
    line: Looked, clock: ManualClock
) -> None:
    def ends(days: int) -> tuple[Expiry]:
        return (
            Expiry("uplink.tls.certificate", Path("/etc/gw.pem"), "CN=gw", clock.realtime_ns + days * DAY_NS),
        )

    cast(Any, line).expiries = ends(90)
    assert "in 89 days" in (await line.get("/"))[2]
    assert (await line.get("/healthz"))[2] == '{"healthy":true,"problems":[]}'
    cast(Any, line).expiries = ends(10)
    assert "the certificate uplink.tls.certificate ends in 9 days" in (await line.get("/"))[2]
    cast(Any, line).expiries = ends(-2)
    assert "replace /etc/gw.pem" in (await line.get("/"))[2]
    assert (await line.get("/healthz"))[0] == 503


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8460", 200),
        ("localhost", 200),
        ("[::1]:8460", 200),
        ("evil.example", 421),
        ("evil.example:8460", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.5:8460", 421),
        ("", 421),
    ],
)
async def test_only_requests_that_name_this_machine_are_answered(
    line: Looked, host: str, status: int
) -> None:
    assert (await line.get("/", host=host))[0] == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_done_here(line: Looked, method: str) -> None:
    assert (await line.get("/", method=method))[0] == 405


async def test_many_who_look_ask_the_journal_once(line: Looked) -> None:
    line.overview._taken = float("-inf")
    first = await line.overview.snapshot()
    assert await line.overview.snapshot() is first


def test_figures_read_as_people_write_them() -> None:
    assert views.duration(59) == "59 s"
    assert views.duration(3600) == "60 min"
    assert views.duration(7200) == "2 h"
    assert views.duration(200_000) == "2 days"
    assert views.size(8 * 1024**3) == "8.0 GiB"
    assert views.size(512) == "512 B"
    assert views.microseconds(-300) == "-300 µs"
    assert views.microseconds(2_500_000) == "2.50 s"
    assert views.plot([]) is None
    assert present(views.plot([1000, None, -1000])).points == "0.0,4.0 600.0,76.0"


async def test_a_browser_shows_it_without_a_complaint(
    line: Looked, clock: ManualClock, tmp_path: Path
) -> None:
    for minute in range(30):
        clock.advance_ns(60 * 10**9)
        line.board.show(verdict(clock, offset_us=minute * 100 - 1500))
    await line.journal.submit([result_event(number, clock) for number in range(3)])
    file = tmp_path / "page.html"
    file.write_text((await line.get("/"))[2].replace("http-equiv", "data-was"))
    with browser() as tab:
        tab.open(file)
        assert tab.run("document.querySelectorAll('table.events tr').length") > 3
        assert tab.run("document.querySelector('polyline').getBBox().width") > 500
        assert tab.run("document.documentElement.scrollWidth <= window.innerWidth")
        complaints = [event for event in tab.events if event["method"] == "Log.entryAdded"]
    assert complaints == []
