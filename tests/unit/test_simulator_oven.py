import pytest

from linewitness_simulators.oven import wire
from linewitness_simulators.oven.device import BadValue, NoSuchAddress, Oven


def test_the_same_seed_and_time_give_the_same_oven() -> None:
    first, second, other = Oven(seed=3), Oven(seed=3), Oven(seed=4)
    for oven in (first, second, other):
        oven.advance(33.0)
    assert first.read("input", 0, 12) == second.read("input", 0, 12)
    assert first.read("holding", 110, 13) != other.read("holding", 110, 13)


def test_zones_follow_their_set_points() -> None:
    oven = Oven()
    oven.write("holding", 1, [2000])
    oven.advance(600)
    assert oven.temperature_c(0) == pytest.approx(200, abs=1)


def test_results_end_cycles_and_stay_in_the_ring() -> None:
    oven = Oven(cycle_s=10)
    oven.advance(95)
    assert oven.read("holding", 200, 1) == [9]
    assert oven.read("holding", 210 + 9 % 8 * 16, 13) == oven.result(9).registers()
    assert oven.read("holding", 210 + 2 % 8 * 16, 13) == oven.result(2).registers()


def test_with_a_handshake_no_result_is_published_before_the_last_was_taken_over() -> None:
    oven = Oven(cycle_s=10, handshake=True)
    oven.advance(55)
    assert oven.read("holding", 100, 1) == [1]
    oven.write("holding", 101, [1])
    assert oven.read("holding", 100, 1) == [2]


def test_the_queue_holds_the_newest_until_they_are_taken_over() -> None:
    oven = Oven(cycle_s=1)
    oven.advance(12.5)
    assert oven.queue(400)[0::3] == list(range(3, 13))
    oven.write("holding", 401, [11])
    assert oven.queue(400)[0::3] == [12]


def test_what_does_not_exist_is_refused() -> None:
    oven = Oven()
    with pytest.raises(NoSuchAddress):
        oven.read("holding", 4, 2)
    with pytest.raises(NoSuchAddress):
        oven.write("holding", 100, [1])
    with pytest.raises(BadValue):
        oven.write("holding", 0, [100])


def test_frames_are_those_of_the_specification() -> None:
    assert wire.rtu_frame(1, bytes.fromhex("0300000002"[0:10])).hex() == "010300000002c40b"
    assert wire.mbap_frame(1, 17, bytes.fromhex("03006b0003")).hex() == "0001000000061103006b0003"
    assert wire.read_answer(3, [555, 0, 100]).hex() == "0306022b00000064"
    assert wire.pack_bits([1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1]).hex() == "cd6b05"
