"""Measure what one event costs at a station, as a ratio to a bare loop in the same run.

The cost is processor time of `Station.interpret`, without journal and network. The bare loop canonicalises,
hashes and signs one record of a tightening; see `append.py`. Usage:

    PYTHONPATH=tests python bench/station_cost.py [--units 2000] [--rounds 5] [--before PATH]

`plain` is a station as it can be without a checklist: a reader, results that are counted, and a gate.
`checklist` asks for an order, a part, results, a condition, a sign-off and a waiting time. `PATH` is where
the version before checklists is checked out, and removed again unless it was there: its plain station runs in
turns with ours, each in a process of its own. Exit code 1 means that ours costs more than 5 % more.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from nacl.signing import SigningKey

from linewitness.devices.base import Observation
from linewitness.evidence.format import canonical
from linewitness.evidence.format.record import pae
from linewitness.stations.options import StationOptions
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station
from support.observations import START, code, reading, tightening

ROOT = Path(__file__).parent.parent
#: The last version without checklists.
BEFORE = "88a4fc3"
#: How much more a plain station may cost than before.
LIMIT = 1.05
#: Turns of the bare loop for each unit.
BARE = 5

PLAIN: dict[str, Any] = {
    "id": "st-10",
    "devices": ["scan-10", "badge-10", "press-10", "wrench-10"],
    "unit": {"scanner": "scan-10", "pattern": r"SN\d{7}"},
    "operator": {"scanner": "badge-10", "pattern": r"B\d+"},
    "requires": [{"device": "wrench-10", "count": 4, "program": "3"}],
    "gate": {"device": "press-10", "point": "hold", "pass_code": "PASS-(?P<reason>.+)"},
}
CHECKLIST: dict[str, Any] = {
    **PLAIN,
    "work_order": {"scanner": "scan-10", "pattern": r"ORD-(?P<order>\d+)-(?P<product>[AB])"},
    "requires": [
        {"id": "pcb", "kind": "component", "part": "P1", "pattern": r"P1-(?P<serial>\d+)"},
        {
            "id": "bolts",
            "device": "wrench-10",
            "count": 4,
            "program": "3",
            "after": ["pcb"],
            "limits": {"torque": {"low": "11.5"}},
        },
        {
            "id": "warm",
            "kind": "condition",
            "point": "press-10/holding",
            "low": 1,
            "since": "pcb",
            "until": "bolts",
        },
        {"id": "open", "kind": "wait", "since": "pcb", "at_most_s": 60, "before": "bolts"},
        {"id": "look", "kind": "sign_off", "meaning": "looked at it", "code": "SIGN", "after": ["bolts"]},
    ],
}


def work(kind: str, unit: int) -> Iterator[tuple[str, Observation]]:
    """Yield what one unit brings, with what it is."""
    at_ms = unit * 1000
    yield "unit", code(f"SN{unit:07d}", at_ms=at_ms)
    part = f"P1-{unit}"
    yield (
        ("component" if kind == "checklist" else "another code"),
        code(part, device=_reader(kind), at_ms=at_ms),
    )
    for number in range(4):
        yield "reading", reading(str(100 + (unit + number) % 7), at_ms=at_ms + 100 * number)
        yield "result", tightening(4 * unit + number, at_ms=at_ms + 100 * number + 50)
    if kind == "checklist":
        yield "sign-off", code("SIGN", at_ms=at_ms + 600)
        yield "sign-off", code("B2", device="badge-10", at_ms=at_ms + 700)


def _reader(kind: str) -> str:
    # At the plain station, a code of another form at the reader of units would say that the unit left.
    return "scan-10" if kind == "checklist" else "press-10"


def mint(_realtime_ns: int) -> str:
    return "01J00000000000000000000000"


def measure(kind: str, units: int) -> dict[str, Any]:
    """Return the microseconds of an event, of each kind of observation, and of one turn of the bare loop."""
    options = StationOptions.model_validate(CHECKLIST if kind == "checklist" else PLAIN)
    shared = SharedState.load({})
    if hasattr(shared, "mint"):  # the version before had no ids
        shared.mint = mint
    station = Station(options, {}, shared=shared, state={}, now=START)
    station.interpret(code("B1", device="badge-10"))
    station.interpret(code("ORD-1-A"))
    record, key = _record(), SigningKey.generate()
    spent: Counter[str] = Counter()
    made: Counter[str] = Counter()
    events = bare_ns = 0
    for unit in range(1, units + 1):
        for name, observation in work(kind, unit):
            began = time.thread_time_ns()
            outcome = station.interpret(observation)
            spent[name] += time.thread_time_ns() - began
            made[name] += 1
            events += len(outcome.events)
        began = time.thread_time_ns()
        for _ in range(BARE):
            message = pae("application/vnd.linewitness.record.v1+json", canonical.encode(record))
            hashlib.sha256(message).hexdigest()
            key.sign(message)
        bare_ns += time.thread_time_ns() - began
    order = station.order()
    assert order is not None
    assert order.position == "opened", order.reason
    return {
        "us": spent.total() / events / 1000,
        "bare_us": bare_ns / units / BARE / 1000,
        "events": events / units,
        "by": {name: spent[name] / made[name] / 1000 for name in spent},
    }


def _record() -> dict[str, Any]:
    """Return members of the size that the record of a tightening has."""
    values = [
        {"field": name, "before": None, "after": "12.30", "unit": "Nm", "low": "11.00", "high": "13.00"}
        for name in ("torque", "angle", "pset", "tool_serial", "batch_counter", "result")
    ]
    return {
        "version": 1,
        "stream": "bench.example/plant/line/1",
        "seq": 4711,
        "kind": "tightening.result",
        "previous_hash": "ab" * 32,
        "context": {"device_id": "wrench-10", "station_id": "st-10", "raw_hmac_sha256": "ab" * 32},
        "actor": {"type": "device", "id": "wrench-10"},
        "reason": "the device completed an operation",
        "changes": values,
    }


def in_a_process(root: Path, kind: str, units: int) -> dict[str, Any]:
    """Measure in a process of its own, with the product of a checkout."""
    path = os.pathsep.join(str(each) for each in (root / "src", ROOT / "tests"))
    words = [sys.executable, __file__, "--worker", kind, "--units", str(units)]
    answer = subprocess.run(
        words, env={**os.environ, "PYTHONPATH": path}, check=True, stdout=subprocess.PIPE
    ).stdout
    found: dict[str, Any] = json.loads(answer)
    return found


@contextmanager
def checkout(path: Path | None) -> Iterator[None]:
    """Have the version before checklists at a path, where one is given."""
    if path is None or path.exists():
        yield
        return
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(path.resolve()), BEFORE], check=True)
    try:
        yield
    finally:
        subprocess.run([*git, "remove", "--force", str(path.resolve())], check=True)


def shown(kind: str, rounds: list[dict[str, Any]]) -> str:
    us, bare = (median(each[name] for each in rounds) for name in ("us", "bare_us"))
    ratio = median(each["us"] / each["bare_us"] for each in rounds)
    by = ", ".join(f"{name} {median(each['by'][name] for each in rounds):.1f}" for name in rounds[0]["by"])
    return (
        f"{kind:9}: {us:6.1f} us an event, {ratio:.2f} of a turn of the bare loop ({bare:.1f} us), "
        f"{rounds[0]['events']:.1f} events a unit; us an observation: {by}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--units", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, help="where to have the version before checklists")
    parser.add_argument("--worker", choices=["plain", "checklist"], help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        print(json.dumps(measure(chosen.worker, chosen.units)))
        return 0
    with checkout(chosen.before):
        found = measured(chosen)
    for kind, rounds in found.items():
        if rounds:
            print(shown(kind, rounds), flush=True)
    if chosen.before is None:
        print("before   : not measured: --before names no place for the version before checklists")
        return 0
    pairs = zip(found["plain"], found["before"], strict=True)
    ratio = median((ours["us"] / ours["bare_us"]) / (old["us"] / old["bare_us"]) for ours, old in pairs)
    print(f"a plain station costs {ratio:.3f} of what it did before; {LIMIT} is the limit")
    return int(ratio > LIMIT)


def measured(chosen: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Measure in turns."""
    found: dict[str, list[dict[str, Any]]] = {"before": [], "plain": [], "checklist": []}
    for number in range(chosen.rounds):
        turn = ["before", "plain"] if chosen.before is not None else ["plain"]
        for kind in turn if number % 2 else reversed(turn):
            root = chosen.before if kind == "before" else ROOT
            found[kind].append(in_a_process(root, "plain", chosen.units))
        found["checklist"].append(in_a_process(ROOT, "checklist", chosen.units))
    return found


if __name__ == "__main__":
    sys.exit(main())
