"""Lines of a scale are read exactly, and only what is a stable weight is a weight."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from linewitness.base.clock import Stamp
from linewitness.devices import mt_sics
from linewitness.devices.mt_sics.dialogue import judge
from linewitness.devices.mt_sics.link import ScaleLine
from linewitness.devices.mt_sics.options import MtSicsOptions
from linewitness.devices.mt_sics.replies import ScaleReply, Weight, parse, quoted, weight
from linewitness.devices.options import DeviceOptions


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("S S     100.00 g", ScaleReply("S", "S", "100.00 g")),
        ("S D      12.3 kg", ScaleReply("S", "D", "12.3 kg")),
        ("S I", ScaleReply("S", "I", "")),
        ("S +", ScaleReply("S", "+", "")),
        ('I4 A "B021002593"', ScaleReply("I4", "A", '"B021002593"')),
        ('I0 B 0 "@"', ScaleReply("I0", "B", '0 "@"')),
        ("ES", ScaleReply("ES", "", "")),
        ("T S     100.00 g", ScaleReply("T", "S", "100.00 g")),
    ],
)
def test_replies_are_read(line: str, reply: ScaleReply) -> None:
    assert parse(line) == reply


@pytest.mark.parametrize("line", ["", "hello", "S", "s s 1.0 g", "S X 1.0 g", "EX", "\x00\xff", "S S" * 99])
def test_anything_else_is_no_reply(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    ("rest", "found"),
    [
        ("100.00 g", Weight("100.00", "g")),
        ("-0.10 g", Weight("-0.10", "g")),
        ("-    0.10 g", Weight("-0.10", "g")),
        ("+5 kg", Weight("5", "kg")),
        ("100.00", None),
        ("1,000.0 g", None),
        ("1.0.0 g", None),
        ("1e3 g", None),
        ("", None),
    ],
)
def test_a_weight_keeps_its_text(rest: str, found: Weight | None) -> None:
    assert weight(ScaleReply("S", "S", rest)) == found


@pytest.mark.heavy
@given(st.text(max_size=80) | st.from_regex(r"S [SD] .{0,20}", fullmatch=True))
def test_noise_is_a_weight_only_where_it_reads_like_one(noise: str) -> None:
    reply = parse(noise)
    found = weight(reply) if reply else None
    if found is not None:
        assert Decimal(found.value).is_finite()
        assert found.value.lstrip("-") in noise


def test_texts_stand_in_quotes() -> None:
    assert quoted(ScaleReply("I4", "A", '"0123 "')) == "0123"
    assert quoted(ScaleReply("I4", "A", "0123")) is None
    assert quoted(ScaleReply("I1", "A", '"01" "2.30" "2.22" "" ""')) == "01 2.30 2.22"


@pytest.mark.parametrize(
    ("text", "reason", "beyond"),
    [
        ("S D 12.30 g", "not stable", ""),
        ("S +", "overload", "high"),
        ("S -", "underload", "low"),
        ("S S garbage", "not a weight", ""),
    ],
)
def test_only_a_stable_weight_is_a_weight(text: str, reason: str, beyond: str) -> None:
    reply = parse(text)
    assert reply is not None
    outcome = judge(ScaleLine(text.encode(), Stamp(0, 0)), reply)
    assert outcome.weight is None
    assert reason in outcome.reason
    assert outcome.beyond == beyond


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"low": 2, "high": 1, "unit": "g"}, "above"),
        ({"low": 2}, "need a unit"),
        ({"serial": ""}, "at least 1"),
        ({"trigger": "always"}, "interval"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MtSicsOptions.model_validate(
            {"id": "scale-1", "driver": "mt_sics", "host": "h", "port": 4305, **settings}
        )


def test_the_sample_is_accepted() -> None:
    sample = Path(mt_sics.__file__).parent / "sample.yaml"
    (device,) = YAML(typ="safe").load(sample)["devices"]
    assert MtSicsOptions.model_validate(device).serial == "0123456789"


@pytest.mark.parametrize("setting", sorted(set(MtSicsOptions.model_fields) - set(DeviceOptions.model_fields)))
def test_every_setting_stands_on_the_page(setting: str) -> None:
    page = Path(__file__).parents[2] / "docs/drivers/mt_sics.md"
    assert f"`{setting}`" in page.read_text().partition("## Settings")[2]
