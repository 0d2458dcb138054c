"""What a controller's local time means: zones, offsets, the repeated hour, the missing one."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.base.clock import NS_PER_S, Stamp, from_datetime
from linewitness.devices.open_protocol.content.times import (
    ClockOffset,
    TimeQuality,
    measure,
    parse_time,
    resolve,
)
from support.present import present

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_NS = 3600 * NS_PER_S


#: The machine started in 2020, and nobody set its clock since.
BOOTED_NS = 1_577_836_800 * NS_PER_S


def stamp(text: str) -> Stamp:
    realtime_ns = from_datetime(datetime.fromisoformat(text))
    return Stamp(realtime_ns, realtime_ns - BOOTED_NS)


def exact(zone: ZoneInfo = BERLIN, offset_ms: int = 0) -> ClockOffset:
    return ClockOffset(offset_ms, zone, zone_measured=False, setting_ns=BOOTED_NS)


def test_a_summer_and_a_winter_time_have_their_own_utc() -> None:
    received = stamp("2026-12-31T00:00:00+00:00")
    summer = resolve("2026-07-01:12:00:00", received=received, live=False, zone=BERLIN, offset=exact())
    winter = resolve("2026-12-01:12:00:00", received=received, live=False, zone=BERLIN, offset=exact())
    assert summer.when.occurred_ns == from_datetime(datetime(2026, 7, 1, 10, tzinfo=UTC))
    assert winter.when.occurred_ns == from_datetime(datetime(2026, 12, 1, 11, tzinfo=UTC))
    assert summer.quality is TimeQuality.MEASURED
    assert summer.when.device_time == "2026-07-01:12:00:00"


@pytest.mark.parametrize(
    ("now", "hour"), [("2026-10-25T00:30:05+00:00", 0), ("2026-10-25T01:30:05+00:00", 1)]
)
def test_a_live_result_in_the_repeated_hour_is_placed_by_its_reception(now: str, hour: int) -> None:
    found = resolve("2026-10-25:02:30:00", received=stamp(now), live=True, zone=BERLIN, offset=exact())
    assert found.when.occurred_ns == from_datetime(datetime(2026, 10, 25, hour, 30, tzinfo=UTC))
    assert found.quality is TimeQuality.MEASURED


def test_a_stored_result_in_the_repeated_hour_is_placed_by_the_order_of_ids() -> None:
    received = stamp("2026-10-25T12:00:00+00:00")
    before = from_datetime(datetime(2026, 10, 25, 0, 50, tzinfo=UTC))
    found = resolve(
        "2026-10-25:02:30:00",
        received=received,
        live=False,
        zone=BERLIN,
        offset=exact(),
        not_before_ns=before,
    )
    assert found.when.occurred_ns == from_datetime(datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
    assert found.quality is TimeQuality.MEASURED


def test_a_stored_result_that_nothing_places_stays_ambiguous() -> None:
    received = stamp("2026-10-25T12:00:00+00:00")
    found = resolve("2026-10-25:02:30:00", received=received, live=False, zone=BERLIN, offset=exact())
    assert found.quality is TimeQuality.AMBIGUOUS
    assert present(found.when.unc_ms) > 3_600_000


def test_an_hour_that_does_not_exist_is_named() -> None:
    received = stamp("2026-03-29T12:00:00+00:00")
    found = resolve("2026-03-29:02:30:00", received=received, live=False, zone=BERLIN, offset=exact())
    assert found.quality is TimeQuality.NONEXISTENT


def test_a_clock_in_another_year_is_corrected_by_what_was_measured_and_said() -> None:
    now = stamp("2026-06-01T10:00:00+00:00")
    offset = measure("2000-01-01:12:00:00", now, now, BERLIN)
    found = resolve("2000-01-01:12:00:05", received=now, live=True, zone=BERLIN, offset=offset)
    assert abs(found.when.occurred_ns - now.realtime_ns) <= 5 * NS_PER_S
    assert found.when.device_offset_ms == present(offset).offset_ms
    assert found.when.device_time == "2000-01-01:12:00:05"


def test_a_live_time_far_from_its_reception_is_a_jump() -> None:
    now = stamp("2026-06-01T10:00:00+00:00")
    found = resolve("2026-06-01:09:00:00", received=now, live=True, zone=BERLIN, offset=exact())
    assert found.quality is TimeQuality.JUMP


def test_without_a_zone_the_difference_tells_it() -> None:
    now = stamp("2026-06-01T10:00:00.400+00:00")
    offset = measure("2026-06-01:12:00:03", now, now, None)
    assert present(present(offset).zone.utcoffset(None)).total_seconds() == 7200
    assert abs(present(offset).offset_ms - 2600) <= 1
    found = resolve("2026-06-01:12:00:03", received=now, live=True, zone=None, offset=offset)
    assert found.quality is TimeQuality.ASSUMED
    assert abs(found.when.occurred_ns - now.realtime_ns) < NS_PER_S


def test_without_zone_and_measurement_a_stored_time_may_be_anywhere() -> None:
    found = resolve(
        "2026-06-01:12:00:00", received=stamp("2026-06-02T00:00:00+00:00"), live=False, zone=None, offset=None
    )
    assert found.when.unc_ms == 14 * 3_600_000


@pytest.mark.parametrize("text", [None, "", "0000-00-00:00:00:00", "2026-13-01:00:00:00", "nonsense"])
def test_without_a_time_the_reception_counts(text: str | None) -> None:
    now = stamp("2026-06-01T10:00:00+00:00")
    found = resolve(text, received=now, live=True, zone=BERLIN, offset=exact())
    assert found.when.occurred_ns == now.realtime_ns
    assert found.when.occurred_from == "gateway"
    assert parse_time(text) is None


@given(st.integers(0, 10**9), st.booleans())
def test_any_time_becomes_a_moment_within_a_day(seconds: int, live: bool) -> None:
    local = datetime.fromtimestamp(10**9 + seconds, UTC)
    text = local.strftime("%Y-%m-%d:%H:%M:%S")
    now_ns = from_datetime(local) + 12 * HOUR_NS
    received = Stamp(now_ns, now_ns - BOOTED_NS)
    found = resolve(text, received=received, live=live, zone=BERLIN, offset=exact())
    assert abs(found.when.occurred_ns - from_datetime(local)) <= 3 * HOUR_NS
