from typing import Any, cast

import pytest

from linewitness_simulators.torque.options import TorqueFaults, TorqueOptions
from linewitness_simulators.torque.variable import VariableEntry, curve, fields
from linewitness_simulators.torque.wire import LinkNumbering, encode, following, pieces


def test_values_are_cut_to_their_width_and_unknown_ones_left_out() -> None:
    telegram = encode(TorqueFaults(), 52, 1, {"vin": "x" * 30, "identifier_2": "left out"})
    assert telegram == b"00450052001         " + b"x" * 25


def test_a_telegram_without_layout_is_an_error_here() -> None:
    with pytest.raises(KeyError, match="0061 revision 500"):
        encode(TorqueFaults(), 61, 500, {})


def test_pieces_put_together_are_the_telegrams_with_their_end_marks() -> None:
    telegrams = [encode(TorqueFaults(), 5, 1, {"accepted_mid": n}) for n in (60, 62)]
    cut = list(pieces(TorqueFaults(split_bytes=7), telegrams))
    assert max(len(piece) for piece in cut) == 7
    assert b"".join(cut) == b"".join(telegram + b"\0" for telegram in telegrams)
    assert list(pieces(TorqueFaults(), [])) == []


def test_a_binary_tail_has_no_end_mark() -> None:
    assert list(pieces(TorqueFaults(), [b"00220900001         ab"])) == [b"00220900001         ab"]


def test_sequence_numbers_wrap_and_stay_on_what_is_sent_again() -> None:
    link = LinkNumbering()
    plain = b"00200062001         "
    assert link.number(plain) == plain
    link.active = True
    numbered = [link.number(plain) for _ in range(100)]
    assert [numbered[n][16:18] for n in (0, 98, 99)] == [b"01", b"99", b"01"]
    assert link.number(numbered[4]) == numbered[4]
    assert following(99) == 1


def test_a_variable_field_says_how_long_it_is() -> None:
    assert (
        fields([VariableEntry(30, 1, 0, "17")])
        == b"001" + b"00030" + b"002" + b"01" + b"000" + b"0000" + b"17"
    )


def test_revisions_are_capped_and_special_ones_fall_with_them() -> None:
    options = TorqueOptions()
    capped = TorqueOptions(max_revision=2)
    assert [options.supports(60, n) for n in (999, 11, 12)] == [True, True, False]
    assert [capped.supports(60, n) for n in (999, 2, 3)] == [False, True, False]
    assert options.highest(9000) is None


def test_a_trace_rises_to_what_the_result_says() -> None:
    class Made:
        torque = 2512
        angle = 47

    assert curve(cast(Any, Made), 2)[-1] == 2512
    assert curve(cast(Any, Made), 1)[-1] == 470
    assert curve(cast(Any, Made), 2) == sorted(curve(cast(Any, Made), 2))
