"""The screen beside the work in a real browser: it follows by itself, says when it is old, and has room."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from linewitness.base.clock import NS_PER_S, SystemClock
from linewitness.stations.view import MaterialView, NoteView, StationView
from support.chromium import THIS_MACHINE, Page, page
from support.screens import requirement, served_in_a_thread, view

pytestmark = pytest.mark.heavy

#: Elements that leave the screen, or whose content leaves them visibly; and neighbours that overlap.
CROWDED = """(() => {
  const found = [], root = document.documentElement;
  if (root.scrollHeight > innerHeight || root.scrollWidth > innerWidth)
    found.push(`scrolls: ${root.scrollWidth} x ${root.scrollHeight}`);
  for (const each of document.querySelectorAll("main *")) {
    // What lies in a box that cuts off its text is not seen outside of it.
    if (each.parentElement.closest(".cut, .serial, .title, .text, .action")) continue;
    const box = each.getBoundingClientRect(), style = getComputedStyle(each);
    if (box.left < 0 || box.top < 0 || box.right > innerWidth + .5 || box.bottom > innerHeight + .5)
      found.push(`leaves the screen: ${each.outerHTML.slice(0, 80)}`);
    if (style.display !== "inline" && style.overflow === "visible"
        && (each.scrollWidth > each.clientWidth + 2 || each.scrollHeight > each.clientHeight + 2))
      found.push(`too narrow: ${each.outerHTML.slice(0, 80)}`);
  }
  const parts = [...document.querySelectorAll(".picture > *")].map((each) => each.getBoundingClientRect());
  for (let at = 1; at < parts.length; at++)
    if (parts[at].top < parts[at - 1].bottom - .5) found.push(`part ${at} overlaps the one above it`);
  return found;
})()"""

#: Words that stand out too little from what lies behind them (WCAG 2.2, 1.4.3: 4.5 to 1).
FAINT = """(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([red, green, blue]) => [red, green, blue].map((each) => each / 255)
    .map((each) => each <= .04045 ? each / 12.92 : ((each + .055) / 1.055) ** 2.4)
    .reduce((sum, each, at) => sum + each * [.2126, .7152, .0722][at], 0);
  const behind = (each) => {
    const colour = numbers(getComputedStyle(each).backgroundColor);
    return colour[3] === 0 ? behind(each.parentElement) : colour;
  };
  const found = [];
  for (const each of document.querySelectorAll("main *, #clock")) {
    if (![...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
    const two = [light(numbers(getComputedStyle(each).color)), light(behind(each))].sort((a, b) => b - a);
    const contrast = (two[0] + .05) / (two[1] + .05);
    if (contrast < 4.5) found.push(`${contrast.toFixed(1)}: ${each.outerHTML.slice(0, 80)}`);
  }
  return found;
})()"""

#: The height of capitals in what a person reads from the work, in CSS pixels: what is read, and how high.
#: No font is taken to be higher than 0.7 of its size, because the screen may have another one.
HEIGHTS = """(() => {
  const paper = document.createElement("canvas").getContext("2d"), found = [];
  const read = ".unit *, .top *, .rows li *, .rest";
  for (const each of document.querySelectorAll(read)) {
    if (![...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
    const style = getComputedStyle(each), size = parseFloat(style.fontSize);
    paper.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const high = Math.min(paper.measureText("H").actualBoundingBoxAscent, .7 * size);
    found.push([each.closest(".unit, .headline, .wrong, .rows, .rest").classList[0], each.textContent, high]);
  }
  return found;
})()"""

#: Titles that end in dots because they have no room.
CUT = """[...document.querySelectorAll(".rows .name, .rows .detail")]
  .filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.textContent)"""

#: The smallest screen that the documentation allows, and what is to be read from two metres on it.
DIAGONAL_MM, DISTANCE_MM = 24 * 25.4, 2000.0
LEAST_MM = DISTANCE_MM / 250

LONG = "Housing cover of the left front axle carrier, upper side, with sealing compound and washers"


def crowded(letter: str = "W") -> StationView:
    """Return a station of which every text is long."""
    states: tuple[Literal["missing", "done", "not_met"], ...] = ("missing", "done", "not_met")
    return view(
        name=LONG,
        unit=letter * 64,
        unknown=LONG,
        attempt=12,
        product=LONG,
        order=letter * 40,
        batch=letter * 40,
        operator=LONG,
        gate="closed",
        next="0",
        requirements=tuple(
            requirement(
                str(number),
                states[number % 3],
                title=f"{number} {LONG}" if number % 2 else letter * 60,
                wrong=LONG if number % 3 == 2 else "",
                action=f"{LONG}. {LONG}",
                waits_for=(LONG, letter * 60),
                done=3,
                count=400,
            )
            for number in range(12)
        ),
        materials=tuple(
            MaterialView(title=LONG, part=letter * 30, lot=letter * 30, left="12345678.901") for _ in range(5)
        ),
        notes=(NoteView(at_ns=1, text=f"{LONG}. {LONG}", action=f"{LONG}. {LONG}"),),
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with page(network=THIS_MACHINE) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _screen(browser: Page) -> None:
    browser.events.clear()
    sized(browser, 1280, 800)


def sized(browser: Page, width: int, height: int) -> None:
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
    )


def wait_for_unit(browser: Page, unit: str) -> None:
    browser.wait_for(f"document.querySelector('.serial').textContent === {json.dumps(unit)}")


def complaints(browser: Page) -> list[Any]:
    return [event for event in browser.events if event["method"] == "Log.entryAdded"]


def test_the_page_follows_without_being_loaded_again(browser: Page) -> None:
    ends_ns = SystemClock().stamp().realtime_ns + 3600 * NS_PER_S
    with served_in_a_thread(view(unit="SN1")) as server:
        browser.go(f"http://127.0.0.1:{server.port}/station/st-10")
        browser.run("window.stayed = true")
        for number in range(2, 6):
            server.publish(view(unit=f"SN{number}"))
            wait_for_unit(browser, f"SN{number}")
        browser.wait_for("document.querySelector('#said').textContent.startsWith('SN5')")
        server.publish(view(unit="SN6", next="1", requirements=(requirement("1", until_ns=ends_ns),)))
        wait_for_unit(browser, "SN6")
        first = browser.run("document.querySelector('h2 [data-until]').textContent")
        assert first.startswith(("59:", "1:00:00"))
        browser.wait_for(f"document.querySelector('h2 [data-until]').textContent !== {json.dumps(first)}")
        assert browser.run("window.stayed && document.querySelector('#old').hidden")
        assert complaints(browser) == []


def test_an_old_picture_says_so_until_the_gateway_is_back(browser: Page) -> None:
    with served_in_a_thread(view(unit="SN1")) as server:
        browser.go(f"http://127.0.0.1:{server.port}/station/st-10")
        wait_for_unit(browser, "SN1")
        browser.run("window.stayed = true")
    browser.wait_for("!document.querySelector('#old').hidden")
    assert "Old picture" in browser.run("document.querySelector('#old').textContent")
    assert browser.run("parseFloat(getComputedStyle(document.querySelector('#old strong')).fontSize)") > 60
    with served_in_a_thread(view(unit="SN2"), port=server.port):
        wait_for_unit(browser, "SN2")
        browser.wait_for("document.querySelector('#old').hidden")
        assert browser.run("window.stayed")


@pytest.mark.parametrize("letter", ["W", "1", "<"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1920, 1080), (1024, 768)])
def test_twelve_requirements_with_long_names_have_room(
    browser: Page, tmp_path: Path, letter: str, width: int, height: int
) -> None:
    sized(browser, width, height)
    with served_in_a_thread(crowded(letter)) as server:
        browser.go(f"http://127.0.0.1:{server.port}/station/st-10")
        wait_for_unit(browser, letter * 64)
        assert browser.run("document.querySelectorAll('.rows li').length") == 12
        browser.photograph(tmp_path / "crowded.png")
        assert browser.run(CROWDED) == []


def test_unit_and_next_step_are_the_largest_words(browser: Page, tmp_path: Path) -> None:
    steps = tuple(requirement(str(number), "done" if number < 3 else "missing") for number in range(9))
    with served_in_a_thread(view(unit="SN004213", next="3", requirements=steps)) as server:
        browser.go(f"http://127.0.0.1:{server.port}/station/st-10")
        sizes = browser.run(
            "Object.fromEntries([...document.querySelectorAll('main *')].map("
            "(each) => [each.className || each.tagName, parseFloat(getComputedStyle(each).fontSize)]))"
        )
        browser.photograph(tmp_path / "plain.png")
        assert browser.run(CROWDED) == []
    largest = sorted(sizes, key=lambda name: -sizes[name])[:2]
    assert {name.split()[0] for name in largest} == {"serial", "title"}
    assert sizes[largest[1]] >= 70


def twelve_steps(more: int = 0) -> StationView:
    """Return a unit with twelve requirements or more, something wrong, and something to do."""
    states: tuple[Literal["missing", "done", "not_met"], ...] = ("done", "missing", "not_met")
    return view(
        unit="SN004213",
        attempt=2,
        gate="closed",
        next="4",
        requirements=tuple(
            requirement(
                str(number),
                states[number % 3],
                title=f"Four bolts M6 no {number}",
                action="Tighten the bolt with the wrench",
                wrong="torque is 9.1, below 11.5" if number % 3 == 2 else "",
                done=1,
                count=4,
            )
            for number in range(12 + more)
        ),
        notes=(NoteView(at_ns=1, text="PCB-100 4: it is in SN1 already", action="Take another one"),),
    )


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1920, 1080)])
@pytest.mark.parametrize("more", [0, 5])
def test_what_is_read_at_the_work_can_be_read_from_two_metres(
    browser: Page, tmp_path: Path, width: int, height: int, more: int
) -> None:
    sized(browser, width, height)
    mm_per_pixel = DIAGONAL_MM / math.hypot(width, height)
    for shown in (twelve_steps(more), crowded()):
        with served_in_a_thread(shown) as server:
            browser.go(f"http://127.0.0.1:{server.port}/station/st-10")
            wait_for_unit(browser, str(shown.unit))
            browser.photograph(tmp_path / f"{width}-{shown.attempt}.png")
            heights = browser.run(HEIGHTS)
            assert browser.run(CROWDED) == []
            short = browser.run(CUT) if shown.attempt == 2 else []
        assert {where for where, *_ in heights} >= {"unit", "headline", "wrong", "rows"}
        assert len([where for where, *_ in heights if where == "rows"]) >= 24
        small = [(text, high * mm_per_pixel) for _, text, high in heights if high * mm_per_pixel < LEAST_MM]
        assert small == []
        assert short == []


def test_colours_follow_the_system_and_words_stand_out(browser: Page) -> None:
    grounds = {}
    with served_in_a_thread(crowded()) as server:
        for scheme in ("light", "dark"):
            browser.call(
                "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
            )
            browser.go(f"http://127.0.0.1:{server.port}/station/st-10")
            grounds[scheme] = browser.run("getComputedStyle(document.body).backgroundColor")
            assert browser.run(FAINT) == []
    assert grounds["light"] != grounds["dark"]
