"""What is concluded from three clocks that do not agree."""

from datetime import UTC, datetime, timedelta

from asyncua.ua.uatypes import DataValue

from linewitness.base.clock import NS_PER_MS, NS_PER_S, Stamp
from linewitness.devices.base import When
from linewitness.devices.opcua.decoding.times import (
    ClockWitness,
    Offset,
    ServerClock,
    from_verbatim,
    moment_of,
    unix_ns,
    verbatim,
)
from linewitness_simulators.press.library import ua

NOW = 1_800_000_000 * NS_PER_S
HERE = Stamp(NOW, 5_000 * NS_PER_S)


def witness(ahead_ms: int = 0, *, known: bool = True) -> ClockWitness:
    offset = Offset(ahead_ms * NS_PER_MS, 3 * NS_PER_MS, HERE.setting_ns) if known else None
    return ClockWitness(offset=offset, tolerance_ms=2000, delivery_ms=500)


def value(source: float | None = None, server: float | None = None) -> DataValue:
    found: DataValue = ua.DataValue(
        ua.Variant(1, ua.VariantType.Int32),
        SourceTimestamp=None if source is None else moment_of(NOW + int(source * NS_PER_S)),
        ServerTimestamp=None if server is None else moment_of(NOW + int(server * NS_PER_S)),
    )
    return found


def told(when: When) -> tuple[str, float]:
    return when.occurred_from, (when.occurred_ns - NOW) / NS_PER_S


def test_source_time_is_taken_where_the_clocks_agree() -> None:
    when = witness(ahead_ms=20).live(value(-0.3, -0.2), HERE)
    assert told(when) == ("device", -0.3)
    assert (when.unc_ms, when.device_offset_ms) == (24, 20)


def test_server_time_is_taken_where_the_source_gives_none() -> None:
    assert told(witness().live(value(None, -0.2), HERE)) == ("server", -0.2)


def test_our_time_is_taken_where_nobody_gives_one() -> None:
    when = witness().live(value(), HERE)
    assert told(when) == ("gateway", 0)
    assert (when.unc_ms, when.device_time) == (500, None)


def test_measured_error_of_the_server_is_taken_off_and_its_stamp_kept() -> None:
    when = witness(ahead_ms=-3_600_000).live(value(-3600.3, -3600.2), HERE)
    assert told(when) == ("device", -0.3)
    assert when.device_time == verbatim(moment_of(NOW - int(3600.3 * NS_PER_S)))
    assert when.device_offset_ms == -3_600_000


def test_source_with_a_clock_of_its_own_that_is_wrong_is_not_believed() -> None:
    years = -26 * 365 * 86_400
    when = witness().live(value(years, -0.2), HERE)
    assert told(when) == ("server", -0.2)
    assert when.device_time == verbatim(moment_of(NOW + years * NS_PER_S))


def test_source_from_the_future_is_not_believed() -> None:
    assert told(witness().live(value(60.0), HERE))[0] == "gateway"


def test_value_found_on_connecting_is_dated_by_the_device_if_it_changed_meanwhile() -> None:
    contact = NOW - 100 * NS_PER_S
    assert told(witness().initial(value(-40), HERE, contact)) == ("device", -40.0)


def test_value_found_on_connecting_that_is_older_than_the_last_contact_is_dated_by_us() -> None:
    when = witness().initial(value(-4000), HERE, NOW - 100 * NS_PER_S)
    assert told(when) == ("gateway", 0)
    assert when.unc_ms == 100_500


def test_value_found_on_connecting_after_our_clock_was_set_back_has_no_known_uncertainty() -> None:
    when = witness().initial(value(-4000), HERE, NOW + 3600 * NS_PER_S)
    assert told(when) == ("gateway", 0)
    assert when.unc_ms is None
    assert told(witness().initial(value(-1), HERE, NOW + 3600 * NS_PER_S)) == ("device", -1.0)


def test_largest_sample_counts_because_servers_update_their_time_once_a_second() -> None:
    clock = ServerClock()
    for lag in (0.9, 0.1, 0.5):
        server = moment_of(NOW + 7 * NS_PER_S - int(lag * NS_PER_S))
        best = clock.measure(asked=HERE, answered=HERE, server=server)
    assert best.ahead_ns == 6_900_000_000


def test_round_trip_is_halved_and_said() -> None:
    asked, answered = Stamp(NOW, 0), Stamp(NOW + 80 * NS_PER_MS, 80 * NS_PER_MS)
    best = ServerClock().measure(asked=asked, answered=answered, server=moment_of(NOW + 40 * NS_PER_MS))
    assert (best.ahead_ns, best.unc_ns) == (0, 41 * NS_PER_MS)


def test_stamps_come_back_from_their_text() -> None:
    moment = datetime(2026, 2, 3, 4, 5, 6, 789_012, tzinfo=UTC)
    assert from_verbatim(verbatim(moment)) == unix_ns(moment)
    assert moment_of(unix_ns(moment)) == moment
    assert unix_ns(moment.replace(tzinfo=None)) == unix_ns(moment)
    assert unix_ns(moment - timedelta(days=40_000)) < 0
