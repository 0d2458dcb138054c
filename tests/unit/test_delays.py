"""How soon events were on record and in custody, what was late, and what the journal says of why."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from linewitness.base.clock import SystemClock
from linewitness.cli.sources import load_store
from linewitness.evidence.format.record import Change, parse
from linewitness.status.delays import Delays, measure_delays
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import StoreLedger
from support.chain_builder import START_MS, Stream, time_of
from support.databases import url_of
from support.fake_gateway import FakeGateway
from support.lines import call

LATE_S = 60


class Line:
    """A stream whose events happened `ago_s` before they were written."""

    def __init__(self) -> None:
        self.stream = Stream()
        self.stream.create()
        self.accepted: list[int | None] = []

    def event(
        self, ago_s: float = 0, *, device: str = "press-4", changes: tuple[Change, ...] = (), **clock: Any
    ) -> int:
        members = self.stream.members(changes=changes)
        members["occurred_at"] = time_of(self.stream.now_ms - round(ago_s * 1000))
        members["context"]["device_id"] = device
        members["clock"] |= clock
        return self._append(members)

    def note(self, kind: str, changes: tuple[Change, ...] = (), device: str | None = None) -> int:
        members = self.stream.members(kind, changes)
        if device:
            members["context"]["device_id"] = device
        return self._append(members)

    def receipt(self, size: int) -> None:
        now = time_of(self.stream.now_ms // 1000 * 1000)
        self.note("custody.received", (Change("size", None, size), Change("cosigned_at", None, now)))

    def wait(self, seconds: int) -> None:
        self.stream.tick(seconds * 1000)

    def _append(self, members: dict[str, Any]) -> int:
        self.stream.append(self.stream.seal(members))
        found: int = members["sequence_no"]
        return found

    def delays(self, **how: Any) -> Delays:
        records = ((parse(data), None) for data in self.stream.records)
        return measure_delays(records, late_s=LATE_S, **how)

    def cause(self) -> str:
        (cause,) = self.delays().late_by_cause
        return cause


def test_the_delay_of_each_device_has_its_spread_and_its_worst_record() -> None:
    line = Line()
    for number in range(100):
        line.event(number / 10, device="fast")
    slow = line.event(30, device="slow")
    line.event(2, device="slow")
    fast, slowly = line.delays().devices
    assert fast.to_journal is not None
    assert slowly.to_journal is not None
    figures = (
        fast.to_journal.p50_ms,
        fast.to_journal.p95_ms,
        fast.to_journal.p99_ms,
        fast.to_journal.worst_ms,
    )
    assert figures == (4900, 9400, 9800, 9900)
    assert (slowly.to_journal.worst_ms, slowly.to_journal.worst_at) == (30_000, slow)


def test_custody_begins_with_the_first_receipt_that_covers_a_record() -> None:
    line = Line()
    line.event()
    line.event()
    line.wait(100)
    line.receipt(3)
    line.event()
    found = line.delays()
    assert found.to_custody is not None
    # Record 0 was written at 0 s, the receipt signed at 103 s; the receipt's record and the last one wait.
    assert (found.to_custody.count, found.to_custody.worst_ms, found.to_custody.worst_at) == (3, 103_000, 0)
    assert found.not_in_custody == 2


def test_the_stores_own_time_counts_where_it_is_given() -> None:
    line = Line()
    line.event()
    line.event()
    first, second, third = (parse(data) for data in line.stream.records)
    taken_ns = (START_MS + 5_000) * 1_000_000
    found = measure_delays(
        [(first, taken_ns), (second, taken_ns), (third, None)], late_s=LATE_S, custody="accepted_at"
    )
    assert found.to_custody is not None
    assert (found.to_custody.count, found.to_custody.worst_ms) == (2, 5000)
    assert found.not_in_custody == 1


def test_an_event_within_the_limit_is_not_late() -> None:
    line = Line()
    line.event(LATE_S)
    assert line.delays().late == ()
    line.event(LATE_S + 0.001)
    assert [late.delay_ms for late in line.delays().late] == [60_001]


def test_a_gateway_that_started_before_it_happened_explains_nothing() -> None:
    line = Line()
    line.note("gateway.started")
    line.wait(7200)
    line.event(3600)
    assert line.cause() == "not explained"


def test_what_nothing_explains_is_said_to_be_so() -> None:
    line = Line()
    line.event(3600, occurred_from="device")
    assert line.cause() == "not explained"


def test_late_because_the_device_was_away() -> None:
    line = Line()
    line.note("device.lost", device="press-4")
    line.wait(3600)
    line.note("device.back", device="press-4")
    line.event(1800, changes=(Change("backfilled", None, after=True),))
    assert line.cause() == "the device was away"


def test_late_because_the_device_is_still_away() -> None:
    line = Line()
    line.note("device.lost", device="press-4")
    line.wait(3600)
    line.event(1800)
    assert line.cause() == "the device was away"


def test_another_devices_absence_explains_nothing() -> None:
    line = Line()
    line.note("device.lost", device="oven")
    line.wait(3600)
    line.event(1800)
    assert line.cause() == "not explained"


def test_an_absence_that_was_over_before_explains_nothing() -> None:
    line = Line()
    line.note("device.lost", device="press-4")
    line.wait(10)
    line.note("device.back", device="press-4")
    line.wait(3600)
    line.event(1800)
    assert line.cause() == "not explained"


@pytest.mark.parametrize("clean", [True, False])
def test_late_because_the_gateway_did_not_run(clean: bool) -> None:
    line = Line()
    if clean:
        line.note("gateway.stopped")
    line.wait(7200)
    line.stream.rotate()
    line.note("gateway.started")
    line.event(3600)
    assert line.cause() == "the gateway did not run"


def test_late_because_the_device_kept_it() -> None:
    line = Line()
    line.wait(7200)
    line.event(3600, changes=(Change("backfilled", None, after=True),))
    assert line.cause() == "the device handed it over later"


def test_late_because_the_clock_was_set() -> None:
    line = Line()
    line.stream.now_ms += 3_600_000
    line.note("clock.stepped")
    line.event(3590)
    assert line.cause() == "the clock was set in between"


def test_a_step_that_was_long_ago_explains_nothing() -> None:
    line = Line()
    line.stream.now_ms += 3_600_000
    line.note("clock.stepped")
    line.wait(7200)
    line.event(3590)
    assert line.cause() == "not explained"


def test_late_as_far_as_is_known() -> None:
    line = Line()
    line.event(90, occurred_from="poll", occurred_unc_ms=100_000)
    assert line.cause() == "its time is not known better"


@pytest.mark.parametrize(("ago_s", "offset_ms"), [(120, -120_000), (-120, 0)])
def test_a_devices_clock_that_is_wrong(ago_s: float, offset_ms: int) -> None:
    """Behind it makes events late; ahead it makes them happen after they were written."""
    line = Line()
    line.event(ago_s, occurred_from="device", device_offset_ms=offset_ms)
    assert line.cause() == "the device's clock"


def test_a_moment_ahead_within_what_is_known_is_not_odd() -> None:
    line = Line()
    line.event(-1.5, occurred_from="device", occurred_unc_ms=1000)
    assert line.delays().late == ()


def test_equal_stamps_in_a_row_are_a_cluster() -> None:
    line = Line()
    stamp = time_of(line.stream.now_ms)
    for _ in range(4):
        line.event((line.stream.now_ms - START_MS - 1000) / 1000)
        line.event(device="other")
    line.event()
    (cluster,) = line.delays().clusters
    assert (cluster.device, cluster.occurred_at, cluster.count) == ("press-4", stamp, 4)
    assert (cluster.first, cluster.last, line.delays().in_clusters) == (1, 7, 4)


def test_the_report_for_people_and_for_machines(tmp_path: Path) -> None:
    line = Line()
    line.event(0.25)
    line.event(7200, changes=(Change("backfilled", None, after=True),))
    line.receipt(2)
    exported = tmp_path / "line.ndjson"
    exported.write_bytes(b"".join(data + b"\n" for data in line.stream.records))
    text = call("delays", exported).output
    assert "press-4" in text
    assert "1 late" in text
    assert "record 2  measurement.result of press-4 at 2026-02-28T22:00:02.000Z: +7,200.000 s" in text
    found = orjson.loads(call("delays", exported, "--json").output)
    assert found["late_by_cause"] == {"the device handed it over later": 1}
    assert found["to_custody"]["count"] == 2


@pytest.mark.usefixtures("both_databases")
def test_the_stores_acceptance_is_read_from_the_store(tmp_path: Path) -> None:
    store = tmp_path / "store.yaml"
    store.write_text(
        f"database: {url_of(tmp_path / 'data' / 'store.db')}\nname: store.example\nkey: {{file: store.key}}\n"
        "mqtt: {url: mqtt://127.0.0.1}\n"
    )
    assert call("store", "init", store).exit_code == 0
    gateway = FakeGateway()
    gateway.grow(9)
    options = load_store(store)
    database, clock = Database(options.database_url), SystemClock()
    enroll(
        database,
        clock=clock,
        tenant=gateway.tenant,
        gateway=gateway.gateway,
        log_vkey=str(gateway.log_vkey),
        record0_hash=gateway.record0_hash,
    )
    cosigner = Cosigner.load(options.name, options.key)
    ledger = StoreLedger(database=database, cosigner=cosigner, clock=clock)
    ledger.process([(gateway.topics.records, gateway.batch(0, 6))])
    database.close()
    exported = tmp_path / "line.ndjson"
    exported.write_bytes(gateway.batch(0, None))
    found = orjson.loads(call("delays", exported, "--store", store, "--json").output)
    assert (found["custody"], found["to_custody"]["count"]) == (
        "accepted_at",
        found["records"] - found["not_in_custody"],
    )
    assert 0 < found["not_in_custody"] < found["records"]
