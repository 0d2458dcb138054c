from hypothesis import given, settings
from hypothesis import strategies as st

from linewitness.devices.modbus.numbering import Position, advance

P = Position


def test_all_that_the_device_holds_is_fresh_the_first_time() -> None:
    step = advance(None, 12, held=8, modulus=65536)
    assert [each.number for each in step.fresh] == [5, 6, 7, 8, 9, 10, 11, 12]
    assert (list(step.lost), step.reset) == ([], False)


def test_nothing_happens_without_a_new_number() -> None:
    step = advance(P(0, 7), 7, held=8, modulus=65536)
    assert (list(step.fresh), list(step.lost), step.reset) == ([], [], False)
    assert list(advance(None, 0, held=8, modulus=65536).fresh) == []


def test_what_was_overwritten_is_lost_and_the_rest_fresh() -> None:
    step = advance(P(2, 10), 15, held=3, modulus=65536)
    assert step.lost == [P(2, 11), P(2, 12)]
    assert step.fresh == [P(2, 13), P(2, 14), P(2, 15)]


def test_a_counter_that_wraps_goes_on_in_the_next_epoch() -> None:
    step = advance(P(0, 65534), 1, held=8, modulus=65536)
    assert step.fresh == [P(0, 65535), P(1, 0), P(1, 1)]
    assert not step.reset


def test_a_counter_that_falls_back_was_reset() -> None:
    step = advance(P(0, 500), 3, held=2, modulus=65536)
    assert step.reset
    assert step.lost == [P(1, 1)]
    assert step.fresh == [P(1, 2), P(1, 3)]


@settings(deadline=None)
@given(st.integers(1, 20), st.lists(st.integers(0, 30), max_size=60))
def test_each_result_is_fresh_or_lost_exactly_once(held: int, steps: list[int]) -> None:
    modulus, last, count, seen = 64, P(0, 0), 0, []
    for more in (step % (modulus // 2) for step in steps):
        count += more
        newest = count % modulus
        # A fall by more than the tolerance is a reset by definition: stay below it.
        if newest < last.number and (newest - last.number) % modulus > max(held, 16):
            count -= more
            continue
        step = advance(last, newest, held=held, modulus=modulus)
        seen += [*step.lost, *step.fresh]
        last = seen[-1] if seen else last
    assert len(seen) == len(set(seen)) == count
    assert seen == sorted(seen)


def test_a_position_reads_back() -> None:
    assert Position.parse(str(P(3, 17))) == P(3, 17)
