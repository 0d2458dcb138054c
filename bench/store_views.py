"""Measure a unit's history and where-used over many records of a store. Usage:

    python bench/store_views.py [--records 1000000] [--url postgresql://…]

The views are filled with synthetic rows, 16 results and one component for each unit, as a line of 20 tools
makes them; the history of a unit is measured over a tenth of it as evidence, and what the follower makes of
records is measured over 20,000 of them. Without --url a SQLite file in a temporary folder is used.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
from nacl.signing import SigningKey
from sqlalchemy import insert

from linewitness.base.clock import SystemClock, to_rfc3339
from linewitness.evidence.format.keys import log_vkey
from linewitness.store.acceptance import AcceptedRecord
from linewitness.store.database import view_tables as views
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.database.stored_records import store_run
from linewitness.store.questions.answers import AskedSpan
from linewitness.store.questions.unit import unit_history
from linewitness.store.questions.where_used import where_used
from linewitness.store.views.filler import ViewFiller
from linewitness.store.views.folding import folded, store_rows
from linewitness.store.views.rows import rows_of
from linewitness.store.views.viewed import ViewedRecord

START_NS = 1_700_000_000_000_000_000
#: Records of a unit: results, one component, in and out.
OF_A_UNIT = 19
RESULTS = 16
UNITS_OF_A_LOT = 500
TENANT = "bench"
RUN = 256


def record(number: int) -> dict[str, Any]:
    """Return a record as a gateway writes it, but for its chain."""
    unit, place = divmod(number, OF_A_UNIT)
    at = to_rfc3339(START_NS + number * 50_000_000)
    parent = {"parent": {"type": "unit", "id": f"SN-{unit:08}"}}
    kind, resource = "tightening.result", {"type": "tightening", "id": f"torque-1/0/{number}", **parent}
    if place < RESULTS:
        changes: list[dict[str, Any]] = [
            {
                "field": "torque",
                "before": None,
                "after": "12.10",
                "unit": "Nm",
                "low": "11.00",
                "status": "ok",
            },
            {"field": "pset", "before": None, "after": place},
            {"field": "tool_serial", "before": None, "after": f"T-{unit % 20}"},
            {"field": "result", "before": None, "after": "ok", "status": "ok"},
        ]
    elif place == RESULTS:
        lot = f"L-{unit // UNITS_OF_A_LOT}"
        kind, resource = "component.installed", {"type": "component", "id": f"seal/{lot}", **parent}
        changes = [
            {"field": name, "before": None, "after": value}
            for name, value in (("part", "seal"), ("lot", lot))
        ]
    else:
        kind = "unit.entered" if place == RESULTS + 1 else "unit.left"
        resource, changes = {"type": "station", "id": "bolting", **parent}, []
    return {
        "event_id": f"{number:026}",
        "sequence_no": number,
        "kind": kind,
        "occurred_at": at,
        "ingested_at": at,
        "actor": {"type": "user", "id": f"B-{unit % 50}"},
        "resource": resource,
        "changes": changes,
        "reason": "made",
        "context": {"device_id": "torque-1", "station_id": "bolting"},
        "clock": {
            "sync": "locked",
            "step": 0,
            "boot_id": "b",
            "boottime_us": number * 50_000,
            "occurred_from": "device",
        },
    }


def fill_views(database: Database, stream_id: int, records: range) -> None:
    """Put into the views what these records would make of them."""
    place = {"tenant": TENANT, "stream_id": stream_id}
    for start in range(records.start, records.stop, 20_000):
        some = range(start, min(records.stop, start + 20_000))
        rows = folded(
            (row for n in some for row in rows_of(ViewedRecord.of(record(n), record(n)["ingested_at"]))),
            place,
        )
        with database.writing(TENANT) as connection:
            store_rows(connection, rows)


def fill_evidence(database: Database, stream_id: int, count: int) -> None:
    """Put records into runs, unsigned: questions do not look at signatures."""
    at = to_rfc3339(START_NS)
    database.prepare(at)
    for start in range(0, count, RUN * 40):
        with database.writing(TENANT) as connection:
            for first in range(start, min(count, start + RUN * 40), RUN):
                some = [record(n) for n in range(first, min(count, first + RUN))]
                accepted = [
                    AcceptedRecord(
                        one["sequence_no"],
                        one["event_id"],
                        one["kind"],
                        one["resource"]["parent"]["id"],
                        one["occurred_at"],
                        orjson.dumps(one),
                    )
                    for one in some
                ]
                store_run(connection, stream_id, accepted, at)


def measured(what: str, ask: Callable[[int], int]) -> None:
    """Ask ten times, each time of something else, and print the median and the worst."""
    times, found = [], 0
    for number in range(10):
        begun = time.perf_counter()
        found += ask(number)
        times.append(time.perf_counter() - begun)
    times.sort()
    print(f"{what}: median {times[5] * 1000:.1f} ms, worst {times[-1] * 1000:.1f} ms, rows {found / 10:.0f}")


def enrolled(database: Database) -> Iterator[int]:
    """Enrol streams without end, and yield their numbers."""
    number = 0
    while True:
        number += 1
        enrolment = enroll(
            database, clock=SystemClock(), tenant=TENANT, gateway=f"gateway-{number}",
            log_vkey=str(log_vkey(f"bench.example/{number}", SigningKey(bytes(32)))),
            record0_hash="sha256:" + "0" * 64,
        )  # fmt: skip
        yield enrolment.stream_id


def main() -> None:
    """Fill a store, ask it, and print how long the answers took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--url")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        database = Database(options.url or f"sqlite:///{Path(name)}/store.db")
        database.create()
        streams = enrolled(database)
        evidence = options.records // 10
        first, synthetic = next(streams), next(streams)
        begun = time.perf_counter()
        fill_evidence(database, first, evidence)
        print(f"records in evidence {evidence}: {time.perf_counter() - begun:.0f} s")
        with database.writing(TENANT) as connection:
            for stream_id, held in ((first, max(0, evidence - 20_000)), (synthetic, 0)):
                place = {"tenant": TENANT, "stream_id": stream_id}
                values = {**place, "next": held, "version": views.VIEWS_VERSION}
                connection.execute(insert(views.view_positions), values)
        begun, cpu, taken, filler = time.perf_counter(), time.process_time(), 0, ViewFiller(database)
        while step := filler.step():
            taken += step
        assert taken
        assert not filler.damage, filler.damage
        spent = time.process_time() - cpu
        elapsed = time.perf_counter() - begun
        print(f"followed {taken} records: {elapsed:.0f} s, {spent / taken * 1e6:.0f} us CPU a record")
        begun = time.perf_counter()
        fill_views(database, synthetic, range(evidence, options.records))
        print(f"records in views {options.records - evidence}: {time.perf_counter() - begun:.0f} s")
        units = evidence // OF_A_UNIT
        last = options.records // OF_A_UNIT
        measured("unit", lambda n: len(unit_history(database, f"SN-{n * units // 11:08}").records))
        for what, kind in (("lot", "L-{}"), ("tool", "T-{}"), ("operator", "B-{}")):
            top = {"lot": last // UNITS_OF_A_LOT, "tool": 20, "operator": 50}[what]
            low = {"lot": units // UNITS_OF_A_LOT + 1}.get(what, 0)

            def ask(n: int, what: Any = what, kind: str = kind, low: int = low, top: int = top) -> int:
                return len(where_used(database, what, kind.format(low + n * (top - low) // 10)).rows)

            measured(f"where-used --{what}", ask)
        day = AskedSpan(to_rfc3339(START_NS + (options.records - 1000) * 50_000_000))
        measured(
            "where-used --tool, of a minute",
            lambda n: len(where_used(database, "tool", f"T-{n}", span=day).rows),
        )
        database.close()


if __name__ == "__main__":
    main()
