from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

import linewitness.devices.modbus
from linewitness.devices.modbus.options import Forbidden, ModbusOptions
from linewitness.devices.modbus.points import ModbusPoint
from linewitness.devices.modbus.polling.plan import Limits, RegisterBlock, explain, limits_of, plan, split
from linewitness.devices.modbus.wire.protocol import reference


def point(name: str, address: int, **settings: Any) -> ModbusPoint:
    settings = {"type": "uint16", "record": "change"} | settings
    return ModbusPoint(id=name, address=address, **settings)


def limits(**settings: Any) -> Limits:
    return Limits(
        **(cast(Any, {"max_registers": 125, "max_bits": 2000, "gap": 8, "forbidden": ()} | settings))
    )


def spans(blocks: tuple[RegisterBlock[Any], ...]) -> list[tuple[str, int, int]]:
    return [(block.table, block.first, block.last) for block in blocks]


def test_complaint_12_registers_are_read_in_blocks_not_one_by_one() -> None:
    points = [point(f"p{address}", address) for address in range(100)]
    assert spans(plan(points, limits())) == [("holding", 0, 99)]


def test_gaps_are_read_through_up_to_the_limit() -> None:
    points = [point("a", 0), point("b", 9), point("c", 19)]
    assert spans(plan(points, limits(gap=8))) == [("holding", 0, 9), ("holding", 19, 19)]
    assert len(plan(points, limits(gap=9))) == 1
    assert len(plan(points, limits(gap=0))) == 3


def test_a_block_never_exceeds_what_one_request_may_hold() -> None:
    points = [point(f"p{address}", address, type="float32") for address in range(0, 300, 2)]
    blocks = plan(points, limits())
    assert spans(blocks) == [("holding", 0, 123), ("holding", 124, 247), ("holding", 248, 299)]


def test_forbidden_ranges_are_not_read_through() -> None:
    forbidden = (Forbidden(table="holding", first=3, last=4),)
    points = [point("a", 0), point("b", 6)]
    assert len(plan(points, limits(forbidden=forbidden))) == 2
    assert len(plan(points, limits(forbidden=(Forbidden(table="input", first=3, last=4),)))) == 1


def test_tables_are_not_mixed() -> None:
    points = [point("a", 0), point("b", 1, table="input"), point("c", 2, table="coil", type=None)]
    assert [block.table for block in plan(points, limits())] == ["coil", "holding", "input"]


def test_overlapping_points_share_a_block() -> None:
    points = [point("a", 0, type="uint64"), point("b", 1), point("c", 4)]
    assert spans(plan(points, limits(gap=0))) == [("holding", 0, 4)]


def test_a_block_is_split_at_its_gaps_first_and_then_in_halves() -> None:
    block = plan([point(f"p{at}", at) for at in (0, 1, 5, 6)], limits())[0]
    assert spans(split(block)) == [("holding", 0, 1), ("holding", 5, 6)]
    assert spans(split(split(block)[0])) == [("holding", 0, 0), ("holding", 1, 1)]


@pytest.mark.heavy
@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 400),
            st.sampled_from(["uint16", "float32", "int64"]),
            st.sampled_from(["holding", "input"]),
        ),
        min_size=1,
        max_size=60,
    ),
    st.integers(4, 125),
    st.integers(0, 30),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 10)), max_size=4),
)
def test_every_plan_reads_every_point_and_nothing_forbidden(
    places: list[tuple[int, str, str]], most: int, gap: int, ranges: list[tuple[int, int]]
) -> None:
    forbidden = tuple(Forbidden(first=first, last=first + length) for first, length in ranges)
    points = [
        point(f"p{number}", address, type=kind, table=table)
        for number, (address, kind, table) in enumerate(places)
    ]
    points = [
        each
        for each in points
        if each.table != "holding"
        or not any(each.address <= f.last and f.first < each.end for f in forbidden)
    ]
    blocks = plan(points, limits(max_registers=most, gap=gap, forbidden=forbidden))
    assert sorted(each.id for block in blocks for each in block.points) == sorted(each.id for each in points)
    for block in blocks:
        assert block.count <= most
        assert all(block.first <= each.address and each.end <= block.last + 1 for each in block.points)
        if block.table == "holding":
            assert not any(block.first <= f.last and f.first <= block.last for f in forbidden)


def options(**settings: Any) -> ModbusOptions:
    return ModbusOptions(**({"id": "oven", "host": "10.0.0.7"} | settings))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"type": "float32", "table": "coil"}, "only be bool"),
        ({"type": None}, "give a type"),
        ({"type": "string"}, "length belongs"),
        ({"type": "uint16", "bit": 2}, "bit belongs"),
        ({"type": "bits"}, "bits belongs"),
        ({"type": "bool", "scale": "0.1"}, "belong to numbers"),
        ({"type": "float32", "labels": {1: "a"}}, "integer types"),
        ({"type": "string", "length": 4, "order": "DCBA"}, "big or big-byte-swap"),
        ({"type": "uint64", "address": 65533}, "above 65535"),
        ({"address": 400001}, "ends at 65535"),
        ({"type": "uint16", "scale": "0"}, "every value 0"),
        ({"order": "middle"}, "big"),
        ({"low": "5", "high": "3"}, "above high"),
        ({"adress": 5}, "not permitted"),
    ],
)
def test_a_wrong_point_is_refused_in_words(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        point("a", settings.pop("address", 0), **settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"host": None}, "host belongs"),
        ({"transport": "serial"}, "serial belongs"),
        ({"transport": "tls"}, "tls belongs"),
        ({"max_registers": 126}, "125"),
        ({"port": 99999}, "65535"),
        ({"points": [{"id": "a", "record": "result", "address": 0, "type": "uint16"}]}, "telemetry"),
        (
            {"points": [{"id": "a", "record": "change", "address": 3, "type": "uint32"}],
             "forbidden": [{"first": 4, "last": 9}]},
            "points.a: addresses 3 to 4 are in the forbidden range 4 to 9",
        ),
        ({"points": [{"id": "a", "record": "change", "address": 0, "type": "uint16"}] * 2}, "used twice"),
        (
            {"points": [{"id": "a", "record": "change", "address": 0, "type": "uint64"}], "max_registers": 2},
            "more than max_registers",
        ),
    ],
)  # fmt: skip
def test_wrong_options_are_refused_in_words(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        options(**settings)


def test_the_sample_is_valid() -> None:
    text = (Path(linewitness.devices.modbus.__file__).parent / "sample.yaml").read_text(encoding="utf-8")
    devices = YAML(typ="safe").load(text)["devices"]
    for each in devices:
        ModbusOptions.model_validate(each)
    assert len(devices) >= 1


def test_the_plan_is_explained_with_the_references_of_manuals() -> None:
    described = options(
        points=[point("a", 0), point("b", 4, type="float32"), point("c", 0, table="coil", type=None)],
        forbidden=[{"first": 90, "last": 99}],
        pause_ms=20,
    )
    text = explain(described)
    assert "oven: unit 1 at 10.0.0.7:502 (tcp), 3 points in 2 requests every 1 s" in text
    assert "holding 0 to 5 (40001 to 40006): 2 points, 3 read through" in text
    assert "b: float32 at 4 to 5, change" in text
    assert "never reads holding 90 to 99" in text
    assert "pause of 20 ms" in text


def test_single_registers_are_counted_and_warned_of() -> None:
    described = options(points=[point("a", 0, type="float32"), point("b", 4)], one_register=True)
    assert "2 points in 3 requests" in explain(described)
    assert "torn" in explain(described)
    assert len(plan(described.points, limits_of(described))) == 2


def test_references_have_five_digits_and_six_above() -> None:
    assert reference("holding", 0) == "40001"
    assert reference("input", 9998) == "39999"
    assert reference("holding", 9999) == "410000"
    assert reference("coil", 0) == "00001"


def test_results_are_explained_too() -> None:
    fields = [
        {"id": "peak", "address": 210, "type": "float32"},
        {"id": "number", "address": 222, "type": "uint16"},
    ]
    ring = {
        "id": "cycle", "pattern": "ring", "counter": {"address": 200}, "slots": 8, "stride": 16,
        "handshake": 201, "fields": fields,
    }  # fmt: skip
    queue = {
        "id": "queue", "pattern": "fifo", "fifo": 400, "stride": 3, "number_field": "number",
        "fields": [{"id": "number", "address": 0, "type": "uint16"}],
    }  # fmt: skip
    text = explain(options(results=[ring, queue]))
    assert "result cycle: counter at holding 200, read each round; when it moves:" in text
    assert "holding 210 to 211, in each of 8 slots of 16 registers" in text
    assert "holding 222, in each of 8 slots" in text
    assert "writes the number to holding 201 when the result is durable" in text
    assert "result queue: FIFO queue at 400, read each round, number in number" in text


def test_complaint_17_a_wrong_setting_is_named_with_its_place() -> None:
    points = [{"id": "a", "record": "change", "address": 0, "type": "uint16"}]
    with pytest.raises(ValidationError) as caught:
        options(points=[*points, {"id": "b", "record": "change", "address": 70000, "type": "unit16"}])
    assert {error["loc"] for error in caught.value.errors()} == {
        ("points", 1, "address"),
        ("points", 1, "type"),
    }
