"""The script of the screen beside the work, in Node, with a clock that the test moves."""

import json
import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

PAGE = resources.files("linewitness.status").joinpath("templates/screen.html").read_text(encoding="utf-8")
#: As much of a browser as the script asks for; `passed` lets time pass, a quarter of a second at a time.
BROWSER = """
let now_ms = 0, ticks = null, reloads = 0;
const sources = [];
const part = (values) => ({ textContent: "", hidden: true, dataset: {}, ...values });
const since = part(), old = part({ querySelector: () => since });
const parts = { old, said: part(), clock: part({ textContent: "page" }) };
const waiting = part({ dataset: { until: "65000" } }), classes = new Set();
const main = part({ innerHTML: "", firstElementChild: { dataset: { said: "SN1. Next: Bolt 1." } } });
Object.defineProperty(globalThis, "performance", { value: { now: () => now_ms } });
globalThis.document = {
  getElementById: (id) => parts[id],
  querySelector: () => main,
  querySelectorAll: () => [waiting],
  body: {
    dataset: { version: "v1" },
    classList: { toggle: (name, on) => (on ? classes.add(name) : classes.delete(name)) },
  },
};
globalThis.location = { pathname: "/station/st-10", reload: () => { reloads++; } };
globalThis.setInterval = (work) => { ticks = work; };
globalThis.EventSource = class {
  constructor(url) { this.url = url; this.told = {}; this.open = true; sources.push(this); }
  addEventListener(name, listener) { this.told[name] = listener; }
  close() { this.open = false; }
};
const say = (name, data) => { const last = sources.at(-1); if (last.open) last.told[name]({ data }); };
const passed = (ms) => { for (let gone = 0; gone < ms; gone += 250) { now_ms += 250; ticks(); } };
const seen = () => ({
  old: !parts.old.hidden, dimmed: classes.has("old"), since: since.textContent, html: main.innerHTML,
  said: parts.said.textContent, clock: parts.clock.textContent, left: waiting.textContent, reloads,
  urls: sources.map((each) => each.url), open: sources.filter((each) => each.open).length,
});
const found = [];
const note = () => found.push(seen());
"""


def played(folder: Path, *steps: str) -> list[dict[str, Any]]:
    """Run the page's script and then these steps, and return what was seen at each `note()`."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the script of the screen is tested in Chromium only")
    script = re.search(r"<script>(.*?)</script>", PAGE, re.DOTALL)
    assert script
    file = folder / "screen.cjs"
    file.write_text("\n".join([BROWSER, f"{{{script[1]}}}", *steps, "console.log(JSON.stringify(found));"]))
    done = subprocess.run([node, str(file)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_a_picture_replaces_the_last_one_and_is_told_to_who_cannot_see_it(tmp_path: Path) -> None:
    (seen,) = played(tmp_path, 'say("beat", "5000 v1"); say("picture", "<p>SN1</p>"); note();')
    assert (seen["html"], seen["said"]) == ("<p>SN1</p>", "SN1. Next: Bolt 1.")
    assert seen["urls"] == ["/station/st-10/events"]
    assert not seen["old"]


def test_waiting_times_count_down_by_the_clock_of_the_gateway(tmp_path: Path) -> None:
    at_first, later, corrected = played(
        tmp_path,
        'say("beat", "5000 v1"); note();',
        "passed(2000); note();",
        'say("beat", "64000 v1"); note(); ',
    )
    assert (at_first["left"], at_first["clock"]) == ("1:00", "00:00:05 UTC")
    assert (later["left"], later["clock"]) == ("0:58", "00:00:07 UTC")
    assert corrected["left"] == "0:01"


def test_five_seconds_of_silence_make_the_picture_old_and_a_beat_makes_it_new(tmp_path: Path) -> None:
    heard, silent, back = played(
        tmp_path,
        'say("beat", "5000 v1"); passed(4000); note();',
        "passed(1000); note();",
        'say("beat", "20000 v1"); note();',
    )
    assert (heard["old"], heard["dimmed"]) == (False, False)
    assert (silent["old"], silent["dimmed"], silent["since"]) == (True, True, "00:00:05 UTC")
    assert silent["clock"] == heard["clock"], "a clock that goes on would look alive"
    assert (back["old"], back["dimmed"]) == (False, False)


def test_beats_keep_one_connection_and_silence_tries_another_again_and_again(tmp_path: Path) -> None:
    beating, silent = played(
        tmp_path,
        'for (let n = 1; n < 60; n++) { say("beat", `${n * 2000} v1`); passed(2000); } note();',
        "passed(14000); note();",
    )
    assert (len(beating["urls"]), beating["old"]) == (1, False)
    assert 4 <= len(silent["urls"]) <= 8
    assert silent["open"] == 1, "a connection that is given up is closed"


def test_a_page_of_another_version_is_loaded_again(tmp_path: Path) -> None:
    same, other = played(tmp_path, 'say("beat", "1 v1"); note();', 'say("beat", "2 v2"); note();')
    assert (same["reloads"], other["reloads"]) == (0, 1)
