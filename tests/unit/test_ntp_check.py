"""An NTP answer is believed only after each check, and its interval holds the truth."""

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from linewitness.base.clock import NS_PER_S, Stamp
from linewitness.timesources.ntp import Exchange, check, question
from linewitness.timesources.options import ClockOptions, split_server
from linewitness.timesources.sample import Leap, SourceDeclined, SourceSilent
from linewitness_simulators.ntp.device import NtpDevice

UTC_NS = 1_795_000_000 * NS_PER_S  # in 2026
BOOT_NS = 5_000 * NS_PER_S


def exchange(
    device: NtpDevice | None = None,
    *,
    out_ns: int = 1_000_000,
    back_ns: int = 1_000_000,
    ahead_ns: int = 0,
    utc_ns: int = UTC_NS,
    alter: Callable[[bytes], bytes] = lambda reply: reply,
) -> Exchange:
    """Ask a simulated server; `ahead_ns` is how far our CLOCK_REALTIME is ahead of true time."""
    packet, mark = question()
    sent = Stamp(utc_ns + ahead_ns, BOOT_NS)
    reply = (device or NtpDevice()).answer(packet, utc_ns + out_ns)
    assert reply is not None
    total = out_ns + back_ns
    return Exchange(mark, sent, alter(reply), Stamp(sent.realtime_ns + total, BOOT_NS + total))


def test_a_good_answer_gives_offset_delay_and_bound() -> None:
    sample = check(exchange(ahead_ns=3_000_000), "ntp-1")
    assert abs(sample.offset_ns + 3_000_000) < 1_000
    assert abs(sample.delay_ns - 2_000_000) < 1_000
    # half the round trip, half the root delay, the dispersion: 1 + 1 + 1 ms, and what reading costs
    assert 3_000_000 <= sample.half_ns < 3_100_000
    assert (sample.stratum, sample.reference, sample.leap) == (2, "127.127.1.2", Leap.NONE)


def test_the_question_tells_nobody_our_time_and_cannot_be_guessed() -> None:
    (one, mark), (other, _) = question(), question()
    assert one[:40] == other[:40]
    assert one[40:] == mark != other[40:]
    assert one[0] == 4 << 3 | 3  # version 4, client


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"wrong_origin": True}, "another question"),
        ({"leap": 3}, "not synchronised"),
        ({"stratum": 16}, "stratum 16"),
        ({"stratum": 200}, "stratum 200"),
        ({"mode": 5}, "mode 5"),
        ({"mode": 3}, "mode 3"),
        ({"kiss": "INIT"}, "does not know the time: INIT"),
        ({"root_dispersion_s": 16.0}, "root distance"),
        ({"root_delay_s": 32.0}, "root distance"),
    ],
)
def test_an_answer_that_proves_nothing_is_refused(fault: dict[str, Any], why: str) -> None:
    with pytest.raises(SourceSilent, match=why):
        check(exchange(NtpDevice(**fault)), "ntp-1")


@pytest.mark.parametrize("code", ["RATE", "DENY", "RSTR"])
def test_a_kiss_of_death_is_heard(code: str) -> None:
    with pytest.raises(SourceDeclined) as declined:
        check(exchange(NtpDevice(kiss=code)), "ntp-1")
    assert declined.value.code == code


def set_time(position: int, value: int) -> Callable[[bytes], bytes]:
    def altered(reply: bytes) -> bytes:
        return reply[:position] + struct.pack("!Q", value) + reply[position + 8 :]

    return altered


@pytest.mark.parametrize("position", [32, 40])
def test_a_server_without_a_time_is_refused(position: int) -> None:
    with pytest.raises(SourceSilent, match="contradict"):
        check(exchange(alter=set_time(position, 0)), "ntp-1")


def test_an_answer_before_its_question_arrived_is_refused() -> None:
    def swapped(reply: bytes) -> bytes:
        arrived = int.from_bytes(reply[32:40], "big")
        return set_time(40, arrived - (1 << 20))(reply)

    with pytest.raises(SourceSilent, match="contradict"):
        check(exchange(alter=swapped), "ntp-1")


def test_a_reference_from_the_future_is_refused() -> None:
    def later(reply: bytes) -> bytes:
        return set_time(16, int.from_bytes(reply[40:48], "big") + 1)(reply)

    with pytest.raises(SourceSilent, match="contradict"):
        check(exchange(alter=later), "ntp-1")


def test_a_stay_longer_than_the_round_trip_is_refused() -> None:
    def stayed(reply: bytes) -> bytes:
        left = int.from_bytes(reply[40:48], "big") + (1 << 32)
        return set_time(40, left)(reply)

    with pytest.raises(SourceSilent, match="longer than"):
        check(exchange(alter=stayed), "ntp-1")


def test_a_step_during_the_question_spoils_nothing() -> None:
    asked = exchange()
    stepped = Stamp(asked.received.realtime_ns + 3_600 * NS_PER_S, asked.received.boottime_ns)
    after = check(Exchange(asked.mark, asked.sent, asked.reply, stepped), "ntp-1")
    assert (after.utc_ns, after.half_ns) == (check(asked, "ntp-1").utc_ns, check(asked, "ntp-1").half_ns)


@pytest.mark.parametrize("short", [0, 47])
def test_a_short_packet_is_refused(short: int) -> None:
    with pytest.raises(SourceSilent):
        check(exchange(alter=lambda reply: reply[:short]), "ntp-1")


@given(st.binary(max_size=80))
def test_noise_is_refused_and_harms_nothing(noise: bytes) -> None:
    with pytest.raises(SourceSilent):
        check(exchange(alter=lambda _: noise), "ntp-1")


@given(st.binary(min_size=24, max_size=24), st.binary(min_size=16, max_size=16))
def test_noise_with_our_mark_is_judged_without_a_crash(head: bytes, times: bytes) -> None:
    asked = exchange()
    forged = Exchange(asked.mark, asked.sent, head + asked.mark + times, asked.received)
    with contextlib.suppress(SourceSilent):
        check(forged, "ntp-1")


def test_the_next_era_begins_in_2036_and_a_clock_in_1970_still_learns_the_time() -> None:
    in_2040 = 2_220_000_000 * NS_PER_S
    assert abs(check(exchange(utc_ns=in_2040), "ntp-1").offset_ns) < 1_000
    unset = check(exchange(ahead_ns=-UTC_NS), "ntp-1")
    assert abs(unset.offset_ns - UTC_NS) < 1_000


@given(
    ways_ns=st.tuples(st.integers(0, 2 * NS_PER_S), st.integers(0, 2 * NS_PER_S)),
    root_delay_us=st.integers(0, 500_000),
    root_dispersion_us=st.integers(0, 500_000),
    error=st.floats(-1, 1),
    ahead_ns=st.integers(-(10**15), 10**15),
)
def test_truth_lies_inside_for_any_delays_and_any_error_within_the_servers_claim(
    ways_ns: tuple[int, int], root_delay_us: int, root_dispersion_us: int, error: float, ahead_ns: int
) -> None:
    claim_s = root_delay_us / 2e6 + root_dispersion_us / 1e6
    device = NtpDevice(
        offset_s=error * claim_s,
        root_delay_s=root_delay_us / 1e6,
        root_dispersion_s=root_dispersion_us / 1e6,
    )
    sample = check(exchange(device, out_ns=ways_ns[0], back_ns=ways_ns[1], ahead_ns=ahead_ns), "ntp-1")
    truth_ns = UTC_NS + (sample.boottime_ns - BOOT_NS)
    assert abs(sample.utc_ns - truth_ns) <= sample.half_ns


@pytest.mark.parametrize(
    ("server", "found"),
    [
        ("ntp.plant.example", ("ntp.plant.example", 123)),
        ("10.0.0.1:1123", ("10.0.0.1", 1123)),
        ("[fd00::1]", ("fd00::1", 123)),
        ("[fd00::1]:1123", ("fd00::1", 1123)),
    ],
)
def test_servers_are_named_with_or_without_a_port(server: str, found: tuple[str, int]) -> None:
    assert split_server(server) == found


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ntp": ["a:0"]}, "no port 0"),
        ({"ntp": ["a:70000"]}, "no port 70000"),
        ({"ntp": ["http://a"]}, "pattern"),
        ({"ntp": ["fd00::1"]}, "pattern"),
        ({"ntp": ["a", "a"]}, "twice"),
        ({"chrony": "off"}, "at least one server"),
        ({"warn_ms": 2000}, "above fail_ms"),
        ({"poll_s": 600}, "longer than poll_s"),
    ],
)
def test_wrong_settings_are_refused_with_advice(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ClockOptions.model_validate(settings)


def test_nothing_need_be_set() -> None:
    assert ClockOptions().chrony == "auto"


@pytest.mark.parametrize("setting", ClockOptions.model_fields)
def test_every_setting_stands_on_the_page(setting: str) -> None:
    page = Path(__file__).parents[2] / "docs/time.md"
    assert f"| `{setting}` |" in page.read_text()
