"""Ids that are there twice are found, in whatever order they come and whatever is kept on disk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.evidence.verify.unique_ids import UniqueIds

IDS = st.lists(st.lists(st.integers(0, 60), max_size=5), max_size=12)


def found_in(chunks: list[list[int]]) -> tuple[int, int] | None:
    with UniqueIds(run=4) as ids:
        first = 0
        for chunk in chunks:
            ids.extend("".join(f"{number:026d}" for number in chunk).encode(), first)
            first += len(chunk)
        return ids.first_duplicate()


def first_by_hand(numbers: list[int]) -> tuple[int, int] | None:
    for later, number in enumerate(numbers):
        if number in numbers[:later]:
            return later, max(at for at in range(later) if numbers[at] == number)
    return None


@given(IDS)
def test_the_first_duplicate_is_found(chunks: list[list[int]]) -> None:
    assert found_in(chunks) == first_by_hand([number for chunk in chunks for number in chunk])


@pytest.mark.heavy
@given(st.sets(st.integers(0, 10**6), max_size=40), st.integers(0, 40))
def test_ids_that_rise_from_chunk_to_chunk_are_unique_unless_an_old_one_comes_back(
    numbers: set[int], place: int
) -> None:
    rising = sorted(numbers)
    chunks = [rising[at : at + 5][::-1] for at in range(0, len(rising), 5)]
    assert found_in(chunks) is None
    for old in rising[place : place + 1]:
        after = [number for chunk in chunks for number in chunk]
        assert found_in([*chunks, [old]]) == (len(rising), after.index(old))
