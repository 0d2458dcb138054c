"""The dialogue's table of states, and what a received telegram is taken for."""

import pytest

from linewitness.devices.open_protocol.wire.codec import encode
from linewitness.devices.open_protocol.wire.dialogue import (
    TRANSITIONS,
    ControllerDialogue,
    DialogueMessage,
    DialogueState,
    OutOfTurn,
    step,
)
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.telegram import Telegram

RESULT = Telegram(mid=Mid.RESULT, data=b"")


def started() -> ControllerDialogue:
    dialogue = ControllerDialogue()
    dialogue.ask(Telegram(mid=Mid.START), frozenset({Mid.STARTED}))
    assert dialogue.receive(Telegram(mid=Mid.STARTED)) is DialogueMessage.ANSWER
    return dialogue


def refusal(mid: int, code: int = 15) -> Telegram:
    return encode(Mid.REFUSED, 1, {"failed_mid": mid, "error_code": code})


def accepted(mid: int) -> Telegram:
    return encode(Mid.ACCEPTED, 1, {"accepted_mid": mid})


def test_every_state_ends_when_the_connection_is_lost() -> None:
    assert all(step(state, DialogueMessage.LOST) is DialogueState.ENDED for state in DialogueState)


def test_what_the_state_does_not_allow_is_named() -> None:
    with pytest.raises(OutOfTurn, match="ask while new"):
        step(DialogueState.NEW, DialogueMessage.ASK)
    assert DialogueMessage.ASK not in TRANSITIONS[DialogueState.ASKING]


def test_a_push_between_question_and_answer_is_a_push() -> None:
    dialogue = started()
    dialogue.ask(Telegram(mid=Mid.OLD_RESULT_REQUEST), frozenset({Mid.OLD_RESULT}))
    assert dialogue.receive(RESULT) is DialogueMessage.PUSH
    assert dialogue.receive(Telegram(mid=Mid.KEEP_ALIVE)) is DialogueMessage.ALIVE
    before = dialogue.state
    assert before is DialogueState.ASKING
    assert dialogue.receive(Telegram(mid=Mid.OLD_RESULT)) is DialogueMessage.ANSWER
    assert dialogue.state is DialogueState.OPEN


def test_replies_are_matched_by_the_mid_that_they_name() -> None:
    dialogue = started()
    dialogue.ask(Telegram(mid=Mid.RESULT_SUBSCRIBE), frozenset({Mid.ACCEPTED}))
    assert dialogue.receive(accepted(Mid.ALARM_SUBSCRIBE)) is DialogueMessage.STRAY
    assert dialogue.receive(refusal(Mid.ALARM_SUBSCRIBE)) is DialogueMessage.STRAY
    assert dialogue.receive(accepted(Mid.RESULT_SUBSCRIBE)) is DialogueMessage.ANSWER


@pytest.mark.parametrize("named", [Mid.GENERIC_SUBSCRIBE, Mid.OPERATION_RESULT])
def test_a_generic_question_may_be_named_by_its_inner_mid(named: Mid) -> None:
    dialogue = started()
    dialogue.ask(Telegram(mid=Mid.GENERIC_SUBSCRIBE), frozenset({Mid.ACCEPTED}), Mid.OPERATION_RESULT)
    assert dialogue.receive(refusal(named, 73)) is DialogueMessage.REFUSAL
    assert dialogue.state is DialogueState.OPEN


def test_an_answer_that_nobody_waits_for_is_a_stray_one() -> None:
    dialogue = started()
    assert dialogue.receive(Telegram(mid=Mid.OLD_RESULT)) is DialogueMessage.STRAY
    assert dialogue.receive(Telegram(mid=504)) is DialogueMessage.STRAY
    assert dialogue.state is DialogueState.OPEN


def test_a_refused_start_may_be_tried_again() -> None:
    dialogue = ControllerDialogue()
    dialogue.ask(Telegram(mid=Mid.START, revision=7), frozenset({Mid.STARTED}))
    assert dialogue.receive(refusal(Mid.START, 97)) is DialogueMessage.REFUSAL
    dialogue.ask(Telegram(mid=Mid.START, revision=6), frozenset({Mid.STARTED}))
    assert dialogue.state is DialogueState.STARTING


def test_an_answer_that_came_too_late_is_a_stray_one() -> None:
    dialogue = started()
    dialogue.ask(Telegram(mid=Mid.TIME_REQUEST), frozenset({Mid.TIME}))
    dialogue.give_up()
    assert dialogue.receive(Telegram(mid=Mid.TIME)) is DialogueMessage.STRAY
    dialogue.ask(Telegram(mid=Mid.TOOL_DATA_REQUEST), frozenset({Mid.TOOL_DATA}))
    assert dialogue.receive(Telegram(mid=Mid.TOOL_DATA)) is DialogueMessage.ANSWER


def test_an_event_is_told_from_the_answer_of_the_same_mid() -> None:
    dialogue = started()
    question = Telegram(mid=Mid.GENERIC_REQUEST)
    dialogue.ask(question, frozenset({Mid.OPERATION_RESULT}), None, lambda each: each.data == b"mine")
    assert dialogue.receive(Telegram(mid=Mid.OPERATION_RESULT, data=b"event")) is DialogueMessage.PUSH
    assert dialogue.receive(Telegram(mid=Mid.OPERATION_RESULT, data=b"mine")) is DialogueMessage.ANSWER


@pytest.mark.parametrize("data", [b"", b"    "])
def test_a_reply_that_names_no_message_is_about_the_only_open_question(data: bytes) -> None:
    dialogue = started()
    dialogue.ask(Telegram(mid=Mid.RESULT_SUBSCRIBE), frozenset({Mid.ACCEPTED}))
    assert dialogue.receive(Telegram(mid=Mid.ACCEPTED, data=data)) is DialogueMessage.ANSWER


def test_a_reply_that_names_no_message_may_be_about_a_question_that_was_given_up() -> None:
    dialogue = started()
    dialogue.ask(Telegram(mid=Mid.ALARM_SUBSCRIBE), frozenset({Mid.ACCEPTED}))
    dialogue.give_up()
    dialogue.ask(Telegram(mid=Mid.RESULT_SUBSCRIBE), frozenset({Mid.ACCEPTED}))
    assert dialogue.receive(Telegram(mid=Mid.ACCEPTED)) is DialogueMessage.STRAY
    assert dialogue.receive(accepted(60)) is DialogueMessage.ANSWER
