from pathlib import Path

import pytest

from linewitness_simulators.torque.device import tighten
from linewitness_simulators.torque.memory import Acked, Forgotten, MemoryDamagedError, ResultMemory
from linewitness_simulators.torque.model import Inputs, Setup, State, Tool
from linewitness_simulators.torque.options import JOBS, PARAMETER_SETS
from support.present import present

SETUP = Setup({p.id: p for p in PARAMETER_SETS}, {j.id: j for j in JOBS}, Tool())


def fill(memory: ResultMemory, count: int, state: State | None = None) -> State:
    state = state or State()
    for _ in range(count):
        state, made = tighten(SETUP, state, 1, (0, "1970-01-01:00:00:00"), Inputs(vin="SN1"))
        memory.append(made, state)
    return state


def test_what_was_appended_comes_back(tmp_path: Path) -> None:
    with ResultMemory(tmp_path / "memory") as memory:
        state = fill(memory, 3)
        memory.append(Acked(2))
        memory.append(Forgotten(below=2))
    with ResultMemory(tmp_path / "memory") as again:
        assert again.state == state
        assert again.made == memory.made
        assert list(again.stored) == [2, 3]
        assert again.acked == [2]


def test_without_a_file_it_remembers_while_it_lives() -> None:
    memory = ResultMemory()
    fill(memory, 2)
    memory.append(Forgotten(below=None))
    assert (len(memory.made), memory.stored) == (2, {})


def test_a_file_cut_at_any_byte_holds_whole_entries_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    with ResultMemory(path) as memory:
        fill(memory, 2)
    whole = path.read_bytes()
    first_line = whole.index(b"\n") + 1
    lengths = {*range(0, len(whole), 61), first_line - 1, first_line, len(whole) - 1}
    for length in lengths:
        path.write_bytes(whole[:length])
        with ResultMemory(path) as cut:
            expected = 1 if length >= first_line else 0
            assert len(cut.made) == expected
            assert (cut.state.next_id if cut.state else 1) == expected + 1
            fill(cut, 1, cut.state)
        with ResultMemory(path) as again:
            assert len(again.made) == expected + 1


def test_a_damaged_line_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    with ResultMemory(path) as memory:
        fill(memory, 2)
    path.write_bytes(path.read_bytes().replace(b'"Result"', b'"Rumour"', 1))
    with pytest.raises(MemoryDamagedError, match=r"byte 0: .*Rumour"):
        ResultMemory(path)


def test_the_newest_and_the_one_at_or_before() -> None:
    memory = ResultMemory()
    assert (memory.newest(), memory.at_or_before(9)) == (None, None)
    fill(memory, 2, State(next_id=5))
    assert present(memory.newest()).id == 6
    assert [memory.at_or_before(n) and present(memory.at_or_before(n)).id for n in (4, 5, 9)] == [None, 5, 6]
