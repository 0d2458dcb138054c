"""What a line means: a code, the same code again, or evidence that binds nothing."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from linewitness.base.clock import NS_PER_MS, Stamp
from linewitness.devices import scanner
from linewitness.devices.options import DeviceOptions
from linewitness.devices.scanner.framing import ReaderLine
from linewitness.devices.scanner.options import ScannerOptions
from linewitness.devices.scanner.reading import Again, Interpreter, Meaning, NoCode, Read, Why


def options(**settings: Any) -> ScannerOptions:
    return ScannerOptions.model_validate(
        {"id": "reader-1", "driver": "scanner", "host": "10.0.0.21", "port": 2001, **settings}
    )


def line(data: bytes, at_ms: int = 1000, *, whole: bool = True) -> ReaderLine:
    stamp = Stamp(at_ms * NS_PER_MS, at_ms * NS_PER_MS)
    return ReaderLine(data=data, begun=stamp, ended=stamp, whole=whole)


def meaning(data: bytes, **settings: Any) -> Meaning:
    return Interpreter(options(**settings)).meaning(line(data), stale_until_ns=0)


def test_prefix_suffix_and_pattern_leave_the_code() -> None:
    found = meaning(b"\x02SN0001;17\x03", prefix="\x02", suffix="\x03", pattern=r"(?P<code>SN\d+)(;\d+)?")
    assert found == Read("SN0001")


@pytest.mark.parametrize("data", [b"SN0001\x03", b"\x02SN0001", b"\x02XX\x03", b"\x02SN0001x\x03"])
def test_a_line_of_another_form_is_not_guessed_at(data: bytes) -> None:
    found = meaning(data, prefix="\x02", suffix="\x03", pattern=r"(?P<code>SN\d+)")
    assert found == NoCode(Why.MISFIT, 1)


def test_an_empty_group_is_not_a_code() -> None:
    assert meaning(b"x", pattern="(?P<code>y*)x") == NoCode(Why.MISFIT, 1)


@pytest.mark.parametrize("data", [b"NOREAD", b"\x02NOREAD"])
def test_no_read_is_said_with_or_without_framing(data: bytes) -> None:
    assert meaning(data, no_read="NOREAD", prefix="\x02") == NoCode(Why.NO_READ, 1)


def test_a_heartbeat_means_nothing() -> None:
    assert meaning(b"ALIVE", heartbeat="ALIVE") is None


def test_text_is_decoded_as_configured_or_not_at_all() -> None:
    assert meaning("Prüf-1".encode("latin-1"), encoding="latin-1") == Read("Prüf-1")
    assert meaning("Prüf-1".encode("latin-1"), encoding="utf-8") == NoCode(Why.UNDECODABLE, 1)


def test_the_group_separator_of_a_gs1_code_stays() -> None:
    assert meaning(b"0104\x1d21SN1") == Read("0104\x1d21SN1")


def test_what_is_not_whole_is_not_a_code() -> None:
    reader = Interpreter(options(max_line=8))
    assert reader.meaning(line(b"SN0001", whole=False), stale_until_ns=0) == NoCode(Why.CUT_OFF, 1)
    assert reader.meaning(line(b"SN000123", whole=False), stale_until_ns=0) == NoCode(Why.TOO_LONG, 1)


def test_a_line_begun_before_the_connection_settled_is_never_bound() -> None:
    reader = Interpreter(options())
    begun, ended = (Stamp(ms * NS_PER_MS, ms * NS_PER_MS) for ms in (150, 400))
    late = ReaderLine(data=b"SN0001", begun=begun, ended=ended)
    assert reader.meaning(late, stale_until_ns=200 * NS_PER_MS) == NoCode(Why.STALE, 1)
    assert reader.meaning(line(b"SN0001", 450), stale_until_ns=200 * NS_PER_MS) == Read("SN0001")


def test_the_window_runs_from_the_last_sighting() -> None:
    reader = Interpreter(options(duplicate_s=1.0))
    said = [(b"A", 0), (b"A", 900), (b"A", 1800), (b"A", 2800), (b"B", 2801), (b"A", 2802)]
    meanings = [reader.meaning(line(data, at), stale_until_ns=0) for data, at in said]
    assert meanings == [Read("A"), Again("A"), Again("A"), Read("A"), Read("B"), Read("A")]


def test_without_a_window_each_read_counts() -> None:
    reader = Interpreter(options(duplicate_s=0))
    assert [reader.meaning(line(b"A", 0), stale_until_ns=0) for _ in range(2)] == [Read("A")] * 2


def test_a_flood_of_misfits_is_counted_and_reported_once_a_second() -> None:
    reader = Interpreter(options(pattern="(?P<code>SN.*)"))
    found = [reader.meaning(line(b"junk", at), stale_until_ns=0) for at in range(0, 1500, 10)]
    assert [m for m in found if isinstance(m, NoCode) and m.count] == [
        NoCode(Why.MISFIT, 1),
        NoCode(Why.MISFIT, 100),
    ]
    assert reader.held_back() == [NoCode(Why.MISFIT, 49)]
    assert reader.held_back() == []


def test_a_misfit_after_a_code_is_told_although_its_report_is_held_back() -> None:
    reader = Interpreter(options(pattern="(?P<code>SN.*)"))
    lines = [b"junk", b"SN1", b"junk", b"junk", b"SN1"]
    found = [reader.meaning(line(data, at), stale_until_ns=0) for at, data in enumerate(lines)]
    misfit = Why.MISFIT
    assert found == [
        NoCode(misfit, 1),
        Read("SN1"),
        NoCode(misfit, 0, follows_code=True),
        NoCode(misfit, 0),
        Read("SN1"),
    ]


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("pattern", "(?P<serial>.+)", "group named code"),
        ("pattern", "(", "regular expression"),
        ("encoding", "utf-16", "contains ASCII"),
        ("encoding", "klingon", "contains ASCII"),
        ("encoding", "base64", "contains ASCII"),
        ("prefix", "ü", "ASCII"),
        ("terminator", "", "at least 1"),
        ("silence_s", 5, "heartbeat"),
        ("keeps_connection", False, "listen"),
        ("port", 0, "greater than or equal to 1"),
    ],
)
def test_wrong_settings_are_refused_with_advice(setting: str, value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        options(**{setting: value})


def test_the_sample_is_accepted() -> None:
    sample = Path(scanner.__file__).parent / "sample.yaml"
    (device,) = YAML(typ="safe").load(sample)["devices"]
    assert ScannerOptions.model_validate(device).terminator == "\r\n"


@pytest.mark.parametrize(
    "setting", sorted(set(ScannerOptions.model_fields) - set(DeviceOptions.model_fields))
)
def test_every_setting_stands_on_the_page(setting: str) -> None:
    page = Path(__file__).parents[2] / "docs/drivers/scanner.md"
    assert f"`{setting}`" in page.read_text().partition("## Settings")[2]
