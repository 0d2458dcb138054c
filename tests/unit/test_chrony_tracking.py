"""What chronyc says is read exactly, and what proves nothing is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.base.clock import NS_PER_S, Stamp
from linewitness.timesources.chrony import ChronySource, parse_tracking
from linewitness.timesources.sample import Leap, Sample, SourceSilent

NOW = Stamp(1_795_222_050 * NS_PER_S, 1_000 * NS_PER_S)
LINE = (
    "C0A80001,192.168.0.1,3,1795222048.521516254,0.000106335,-0.000006948,0.000040638,"
    "-1.654,-0.118,10.669,0.002321151,0.001054324,64.0,Normal\n"
)


def parsed(text: str, *, now: Stamp = NOW) -> Sample:
    return parse_tracking(text, now, patience_s=300)


def test_a_positive_offset_means_that_the_system_is_slow() -> None:
    sample = parsed(LINE)
    assert sample.offset_ns == 106_335
    assert sample.utc_ns - NOW.realtime_ns == 106_335
    assert parsed(LINE.replace("0.000106335", "-0.000106335")).offset_ns == -106_335
    assert parsed(LINE.replace("0.000106335", "-5.000106335")).offset_ns == -5_000_106_335


def test_the_bound_is_dispersion_and_half_the_delay() -> None:
    sample = parsed(LINE)
    assert sample.half_ns == 1_054_324 + 2_321_151 // 2 + 50_000
    assert (sample.stratum, sample.reference, sample.leap) == (3, "192.168.0.1", Leap.NONE)


@pytest.mark.parametrize(("said", "leap"), [("Insert second", Leap.INSERT), ("Delete second", Leap.DELETE)])
def test_a_leap_second_is_announced(said: str, leap: Leap) -> None:
    assert parsed(LINE.replace("Normal", said)).leap is leap


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LINE.replace("Normal", "Not synchronised"), "not synchronised"),
        (LINE.replace("C0A80001,192.168.0.1", "7F7F0101,"), "its own clock only"),
        (LINE.replace("0.000106335", "nan"), "cannot be read"),
        ("", "something else"),
        ("506 Cannot talk to daemon\n", "something else"),
        (LINE.replace("1795222048", "1795221700"), "silent for 349 s"),
    ],
)
def test_what_proves_nothing_is_refused(text: str, why: str) -> None:
    with pytest.raises(SourceSilent, match=why):
        parsed(text)


def test_chrony_may_ask_its_sources_seldom() -> None:
    seldom = LINE.replace("64.0", "1024.0").replace("1795222048", "1795220000")
    assert parsed(seldom).stratum == 3


@given(st.text(max_size=200))
def test_noise_is_refused(noise: str) -> None:
    with pytest.raises(SourceSilent):
        parsed(noise)


class Hand:
    def __init__(self, *stamps: Stamp) -> None:
        self._stamps = list(stamps)

    def stamp(self) -> Stamp:
        return self._stamps.pop(0)


async def test_a_clock_set_during_the_question_spoils_the_answer() -> None:
    stepped = Stamp(NOW.realtime_ns + NS_PER_S, NOW.boottime_ns + 5_000_000)
    source = ChronySource(
        clock=Hand(NOW, stepped), timeout_s=5, patience_s=300, command=("printf", "%s", LINE)
    )
    with pytest.raises(SourceSilent, match="was set during"):
        await source.ask()


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("/nowhere/chronyc",), "cannot be run"),
        (("sh", "-c", "echo 506 Cannot talk to daemon; exit 1"), "506 Cannot talk"),
        (("sleep", "60"), "no answer within"),
        (("false",), "exit code 1"),
    ],
)
async def test_a_chronyc_that_fails_says_how(command: tuple[str, ...], why: str) -> None:
    source = ChronySource(clock=Hand(NOW, NOW), timeout_s=0.3, patience_s=300, command=command)
    with pytest.raises(SourceSilent, match=why):
        await source.ask()
