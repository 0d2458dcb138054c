"""Numbers and confirmations on the link level, without a socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.devices.open_protocol.wire.link_level import (
    WRONG_SEQUENCE,
    LinkLevel,
    SequenceCheck,
    following,
)
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.telegram import Telegram
from support.present import present


def numbered(sequence: int, mid: int = Mid.RESULT) -> Telegram:
    return Telegram(mid=mid, sequence=sequence)


def test_numbers_go_from_1_to_99_and_begin_again_with_1() -> None:
    level = LinkLevel()
    sent = [level.number(Telegram(mid=Mid.KEEP_ALIVE)).sequence for _ in range(100)]
    assert sent == [*range(1, 100), 1]


@pytest.mark.parametrize("mid", [Mid.LINK_ACK, Mid.LINK_NACK])
def test_confirmations_keep_their_own_number(mid: Mid) -> None:
    level = LinkLevel()
    assert level.number(Telegram(mid=mid, sequence=7)).sequence == 7
    assert level.number(Telegram(mid=Mid.STOP)).sequence == 1


def test_a_confirmation_carries_the_next_number_and_the_message() -> None:
    level = LinkLevel()
    assert level.check(numbered(1, Mid.TIME)) is SequenceCheck.NEW
    ack = level.taken(numbered(1, Mid.TIME))
    assert (present(ack).mid, present(ack).sequence, present(ack).data) == (Mid.LINK_ACK, 2, b"0081")


def test_a_push_is_confirmed_only_when_it_is_durable_and_its_repeat_is_ignored_until_then() -> None:
    level = LinkLevel()
    level.check(numbered(1))
    level.wait(numbered(1))
    assert level.check(numbered(1)) is SequenceCheck.REPEATED
    assert level.again() is None
    ack = level.durable()
    assert (present(ack).sequence, present(ack).data) == (2, b"0061")
    assert level.check(numbered(1)) is SequenceCheck.REPEATED
    assert level.again() == ack


def test_an_answer_may_overtake_a_push_that_waits() -> None:
    level = LinkLevel()
    level.check(numbered(1))
    level.wait(numbered(1))
    level.check(numbered(2, Mid.TIME))
    answered = level.taken(numbered(2, Mid.TIME))
    assert present(level.durable()).sequence == 2
    assert level.check(numbered(2, Mid.TIME)) is SequenceCheck.REPEATED
    assert level.again() == answered


def test_a_push_that_belongs_to_an_answer_is_confirmed_at_once_and_the_older_one_waits() -> None:
    level = LinkLevel()
    for number in (1, 2):
        level.check(numbered(number, Mid.OPERATION_OBJECT))
        level.wait(numbered(number, Mid.OPERATION_OBJECT))
    assert present(level.release()).sequence == 3
    assert present(level.durable()).sequence == 2


def test_what_has_no_number_is_not_confirmed_here() -> None:
    level = LinkLevel()
    assert level.check(Telegram(mid=Mid.RESULT)) is SequenceCheck.NEW
    level.wait(Telegram(mid=Mid.RESULT))
    assert level.durable() is None


@given(st.integers(1, 99), st.integers(1, 99))
def test_only_the_expected_number_is_new_and_only_the_last_one_is_a_repeat(steps: int, sequence: int) -> None:
    level = LinkLevel()
    for number in range(1, steps + 1):
        assert level.check(numbered(number)) is SequenceCheck.NEW
    expected = following(steps)
    wanted = SequenceCheck.REPEATED if following(sequence) == expected else SequenceCheck.OUT_OF_SEQUENCE
    assert level.check(numbered(sequence)) is (SequenceCheck.NEW if sequence == expected else wanted)
    if wanted is SequenceCheck.OUT_OF_SEQUENCE and sequence != expected:
        refusal = level.refusal(numbered(sequence), WRONG_SEQUENCE)
        assert (refusal.sequence, refusal.data) == (expected, b"00610003")
