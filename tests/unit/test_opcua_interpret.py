"""What deliveries mean, one after the other."""

from dataclasses import replace
from typing import Any

import pytest
from asyncua.ua.uaprotocol_auto import MonitoredItemNotification
from hypothesis import given
from hypothesis import strategies as st

from linewitness.base.clock import NS_PER_S, Stamp
from linewitness.devices.base import Gap, Observation, Reading, Readings, Signals
from linewitness.devices.opcua.backlog import Delivery, Dropped
from linewitness.devices.opcua.connection.server import Server
from linewitness.devices.opcua.decoding.times import moment_of
from linewitness.devices.opcua.interpret import Interpreter
from linewitness.devices.opcua.monitor import plan
from linewitness.devices.opcua.options import OpcUaOptions as Options
from linewitness.devices.together import MOST_READINGS, together
from linewitness_simulators.press.library import ua
from support.one_by_one import singly

NOW = 1_800_000_000 * NS_PER_S
HERE = Stamp(NOW, 0)
OPTIONS = Options.model_validate(
    {
        "id": "press-4",
        "driver": "opcua",
        "endpoint": "opc.tcp://plc",
        "points": [
            {"id": "holding", "node": "ns=2;i=1", "record": "change"},
            {"id": "force", "node": "ns=2;i=2", "record": "telemetry"},
        ],
    }
)


POINTS = OPTIONS.model_copy(
    update={
        "points": [
            OPTIONS.points[0].model_copy(update={"id": f"p{n}", "node": f"ns=2;i={n}"}) for n in range(3)
        ]
    }
)


def interpreter_of(options: Options) -> Interpreter:
    items = plan(options, Server(identity={}, namespaces=("", "", "")))
    return Interpreter(options=options, session_id="S", items=items, contact_ns=None)


@pytest.fixture
def interpreter() -> Interpreter:
    return interpreter_of(OPTIONS)


def change(handle: int, value: float, *, age_ms: int = 0, status: int = 0) -> MonitoredItemNotification:
    notification = ua.MonitoredItemNotification()
    notification.ClientHandle = handle
    notification.Value = ua.DataValue(
        ua.Variant(value, ua.VariantType.Double),
        StatusCode=ua.StatusCode(status),
        SourceTimestamp=moment_of(NOW - age_ms * 1_000_000),
    )
    returned: MonitoredItemNotification = notification
    return returned


def delivery(sequence: int, *changes: MonitoredItemNotification, subscription: int = 1) -> Delivery:
    content: tuple[Any, ...] = ()
    if changes:
        part = ua.DataChangeNotification()
        part.MonitoredItems = list(changes)
        content = (part,)
    return Delivery(HERE, subscription, sequence, content)


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.integers(0, 3),
                st.sampled_from([1.0, 2.5, float("nan"), "text", [1.0, 2.0]]),
                st.integers(0, 2),
                st.sampled_from([0, 0, 0, 0x40920000, 0x80350000, 0x480]),
            ),
            max_size=200,
        ),
        max_size=3,
    )
)
def test_values_collected_as_columns_say_what_they_say_one_by_one(
    deliveries: list[list[tuple[int, Any, int, int]]],
) -> None:
    columns, one_by_one = interpreter_of(POINTS), interpreter_of(POINTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_by_one._actors, "may_know", lambda _item: True)
        for number, changes in enumerate(deliveries, 1):
            made = []
            for handle, value, age_ms, status in changes:
                made.append(change(handle, 0.0, age_ms=age_ms, status=status))
                made[-1].Value.Value = ua.Variant(value)
            held = Delivery(Stamp(NOW + number, 0), 1, number, delivery(number, *made).content)
            found = list(columns.observe(held))
            expected = [_by_nobody(r) for o in one_by_one.observe(held) for r in singly(o)]
            assert [_by_nobody(r) for o in together(found) for r in singly(o)] == expected
            assert all(len(o.points) <= MOST_READINGS for o in found if isinstance(o, Readings))


def _by_nobody(one: Observation) -> Observation:
    """Forget how it would be known who made a change, where nobody did."""
    return replace(one, operator_by="device") if isinstance(one, Reading) and not one.operator else one


def told(interpreter: Interpreter, *deliveries: Delivery | Dropped) -> list[Any]:
    return [one for held in deliveries for one in interpreter.observe(held)]


def test_missing_sequence_number_is_a_gap_before_what_follows(interpreter: Interpreter) -> None:
    found = told(interpreter, delivery(1, change(0, 1.0)), delivery(4, change(0, 2.0)))
    assert [type(one) for one in found] == [Reading, Gap, Reading]
    assert "2 to 3" in found[1].reason


def test_keep_alive_uses_no_number_up(interpreter: Interpreter) -> None:
    found = told(
        interpreter,
        delivery(1, change(0, 1.0)),
        delivery(2),
        delivery(2),
        delivery(2, change(0, 2.0)),
        delivery(3),
    )
    assert [type(one) for one in found] == [Reading, Reading]


def test_keep_alive_that_announces_a_later_number_shows_the_gap(interpreter: Interpreter) -> None:
    found = told(interpreter, delivery(1, change(0, 1.0)), delivery(3))
    assert [type(one) for one in found] == [Reading, Gap]


def test_message_that_a_keep_alive_announced_and_that_never_came_is_a_gap(interpreter: Interpreter) -> None:
    found = told(interpreter, delivery(1, change(0, 1.0)), delivery(2), delivery(3, change(0, 2.0)))
    assert [type(one) for one in found] == [Reading, Gap, Reading]


def test_numbers_begin_again_after_the_last(interpreter: Interpreter) -> None:
    found = told(interpreter, delivery(4_294_967_295, change(0, 1.0)), delivery(1, change(0, 2.0)))
    assert [type(one) for one in found] == [Reading, Reading]


def test_numbers_of_two_subscriptions_do_not_mix(interpreter: Interpreter) -> None:
    found = told(interpreter, delivery(1, change(0, 1.0)), delivery(1, change(1, 1.0), subscription=2))
    assert [type(one) for one in found] == [Reading, Signals]


def test_what_the_buffer_dropped_is_a_gap_and_not_a_missing_number_as_well(interpreter: Interpreter) -> None:
    found = told(
        interpreter, delivery(1, change(0, 1.0)), Dropped(1, HERE, HERE, 9), delivery(4, change(0, 2.0))
    )
    assert [type(one) for one in found] == [Reading, Gap, Reading]
    assert found[1].count == 9


def test_evidence_and_telemetry_of_one_delivery_are_kept_apart(interpreter: Interpreter) -> None:
    reading, block = told(interpreter, delivery(1, change(1, 5.5), change(0, 1.0), change(1, 6.5)))
    assert (reading.point, reading.value) == ("holding", "1")
    assert (block.points, block.values) == (("force", "force"), (5.5, 6.5))


def test_value_that_history_told_already_is_not_told_again(interpreter: Interpreter) -> None:
    told(interpreter, delivery(1, change(0, 1.0, age_ms=50)))
    interpreter.filled = {0: {NOW - 20 * 1_000_000}}
    found = told(interpreter, delivery(2, change(0, 2.0, age_ms=20), change(0, 3.0, age_ms=10)))
    assert [one.value for one in found] == ["3"]


def test_value_with_an_older_stamp_than_history_is_told_all_the_same(interpreter: Interpreter) -> None:
    interpreter.filled = {0: {NOW}}
    found = told(interpreter, delivery(1, change(0, 2.0, age_ms=500)))
    assert [one.value for one in found] == ["2"]


def test_telemetry_without_a_number_is_null_and_overflow_is_a_gap(interpreter: Interpreter) -> None:
    found = told(interpreter, delivery(1, change(1, float("nan")), change(1, 2.0, status=0x480)))
    assert [type(one) for one in found] == [Gap, Signals]
    assert found[1].values == (None, 2.0)
    assert "force" in found[0].reason
