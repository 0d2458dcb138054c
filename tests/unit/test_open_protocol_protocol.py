"""The protocol without a socket: bytes in, events out, and what is to be sent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.base.clock import Stamp
from linewitness.base.errors import DeviceRefused, DeviceUnavailable
from linewitness.devices.open_protocol.wire.codec import encode
from linewitness.devices.open_protocol.wire.dialogue import OutOfTurn
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.protocol import (
    AnswerReceived,
    ControllerProtocol,
    ProtocolFailed,
    PushReceived,
    QuestionRefused,
    StopAnswered,
    UnexpectedTelegram,
    UnreadableBytes,
)
from linewitness.devices.open_protocol.wire.telegram import Telegram, parse, split

STAMP = Stamp(1_772_352_000_000_000_000, 1_000_000_000)
LATER = Stamp(1_772_352_060_000_000_000, 61_000_000_000)
STARTED = encode(Mid.STARTED, 1, {"cell_id": 1, "channel_id": 1, "controller_name": "TINY"})
RESULT = encode(Mid.RESULT, 1, {"tightening_id": 7, "torque": 2500})


def started(*, numbered: bool = False) -> ControllerProtocol:
    protocol = ControllerProtocol("wrench-10")
    protocol.ask(Telegram(mid=Mid.START), frozenset({Mid.STARTED}))
    assert protocol.data_to_send() == b"00200001001         \0"
    (answer,) = receive(protocol, STARTED)
    assert isinstance(answer, AnswerReceived)
    if numbered:
        protocol.number_telegrams()
    return protocol


def receive(protocol: ControllerProtocol, *telegrams: Telegram) -> list[Any]:
    return list(protocol.receive(b"".join(each.wire() for each in telegrams), STAMP))


def sent(protocol: ControllerProtocol) -> list[Telegram]:
    return [parse(raw) for raw in protocol.data_to_send().split(b"\0") if raw]


def test_a_result_is_a_push_and_is_acknowledged_when_it_is_durable() -> None:
    protocol = started()
    (push,) = receive(protocol, RESULT)
    assert isinstance(push, PushReceived)
    assert (push.received.telegram, push.received.raw) == (RESULT, RESULT.to_bytes())
    assert push.received.stamp == STAMP
    assert protocol.data_to_send() == b""
    protocol.acknowledge(Mid.RESULT)
    assert protocol.data_to_send() == b"00200062001         \0"
    assert protocol.data_to_send() == b"", "it is sent once"


@given(st.integers(1, 60))
def test_events_do_not_depend_on_how_the_network_cut_the_bytes(width: int) -> None:
    stream = b"".join(each.wire() for each in (RESULT, Telegram(mid=Mid.KEEP_ALIVE), RESULT))
    protocol = started()
    pieces = [stream[at : at + width] for at in range(0, len(stream), width)]
    events = [event for piece in pieces for event in protocol.receive(piece, STAMP)]
    assert [type(event) for event in events] == [PushReceived, PushReceived]
    assert protocol.telegram_age_s(LATER) == 0


def test_a_telegram_in_parts_is_one_event_with_all_its_bytes() -> None:
    protocol = started()
    parts = split(RESULT, [40])
    (push,) = receive(protocol, *parts)
    assert push.received.telegram.data == RESULT.data
    assert push.received.raw == b"".join(each.to_bytes() for each in parts)


def test_a_refused_question_says_which_one_and_why() -> None:
    protocol = started()
    protocol.ask(Telegram(mid=Mid.TIME_REQUEST), frozenset({Mid.TIME}))
    (event,) = receive(protocol, encode(Mid.REFUSED, 1, {"failed_mid": 80, "error_code": 99}))
    assert isinstance(event, QuestionRefused)
    assert (event.error.mid, event.error.code) == (80, 99)


def test_an_answer_that_came_too_late_is_unexpected() -> None:
    protocol = started()
    protocol.ask(Telegram(mid=Mid.TIME_REQUEST), frozenset({Mid.TIME}))
    protocol.give_up()
    (event,) = receive(protocol, Telegram(mid=Mid.TIME))
    assert isinstance(event, UnexpectedTelegram)


def test_after_the_stop_only_its_answer_counts() -> None:
    protocol = started()
    protocol.stop()
    assert protocol.is_stopping
    assert receive(protocol, RESULT) == []
    (event,) = receive(protocol, encode(Mid.ACCEPTED, 1, {"accepted_mid": 3}))
    assert isinstance(event, StopAnswered)


def test_what_was_never_a_telegram_is_another_port_and_later_it_is_a_broken_connection() -> None:
    fresh = ControllerProtocol("wrench-10")
    unreadable, failed = fresh.receive(b"HTTP/1.1 400 Bad", STAMP)
    assert isinstance(unreadable, UnreadableBytes)
    assert isinstance(failed, ProtocolFailed)
    assert isinstance(failed.error, DeviceRefused)
    _, _, failed = started().receive(RESULT.wire() + b"HTTP/1.1 400 Bad", STAMP)
    assert isinstance(failed, ProtocolFailed)
    assert isinstance(failed.error, DeviceUnavailable)


def test_a_part_out_of_order_is_left_out_and_the_rest_goes_on() -> None:
    protocol = started()
    second = split(RESULT, [40])[1]
    unreadable, push = receive(protocol, second, RESULT)
    assert isinstance(unreadable, UnreadableBytes)
    assert push.received.raw == RESULT.to_bytes()


def test_the_sign_of_life_is_sent_only_while_the_dialogue_stands() -> None:
    protocol = ControllerProtocol("wrench-10")
    assert not protocol.is_talking
    protocol = started()
    assert protocol.is_talking
    protocol.keep_alive()
    assert [each.mid for each in sent(protocol)] == [Mid.KEEP_ALIVE]
    protocol.lost()
    assert protocol.has_ended
    with pytest.raises(OutOfTurn):
        protocol.acknowledge(Mid.RESULT)


def numbered(telegram: Telegram, sequence: int) -> Telegram:
    return Telegram(mid=telegram.mid, revision=telegram.revision, data=telegram.data, sequence=sequence)


def test_on_the_link_level_a_push_is_confirmed_when_durable_and_everything_else_at_once() -> None:
    protocol = started(numbered=True)
    receive(protocol, numbered(RESULT, 1))
    assert sent(protocol) == []
    receive(protocol, numbered(Telegram(mid=Mid.KEEP_ALIVE), 2))
    assert [(each.mid, each.sequence) for each in sent(protocol)] == [(Mid.LINK_ACK, 3)]
    assert receive(protocol, numbered(Telegram(mid=Mid.KEEP_ALIVE), 2)) == [], "a repeat is not processed"
    assert [(each.mid, each.sequence) for each in sent(protocol)] == [(Mid.LINK_ACK, 3)]
    protocol.acknowledge(Mid.RESULT)
    assert [(each.mid, each.sequence) for each in sent(protocol)] == [(Mid.LINK_ACK, 2)]


def test_on_the_link_level_a_push_that_needs_no_commit_is_released() -> None:
    protocol = started(numbered=True)
    receive(protocol, numbered(RESULT, 1), numbered(RESULT, 2))
    protocol.release()
    assert [each.sequence for each in sent(protocol)] == [3]
    protocol.acknowledge(Mid.RESULT)
    assert [each.sequence for each in sent(protocol)] == [2]


@pytest.mark.parametrize(
    ("telegram", "answered"),
    [(numbered(RESULT, 9), [Mid.LINK_NACK]), (Telegram(mid=Mid.LINK_NACK, data=b"00620003"), [])],
)
def test_on_the_link_level_a_wrong_number_and_a_formal_refusal_end_the_connection(
    telegram: Telegram, answered: list[Mid]
) -> None:
    protocol = started(numbered=True)
    (event,) = receive(protocol, telegram)
    assert isinstance(event, ProtocolFailed)
    assert [each.mid for each in sent(protocol)] == answered
