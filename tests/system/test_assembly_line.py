"""A line of three stations whose people make every mistake: what really happened is what is on record."""

import os
from pathlib import Path

import pytest

from support.assembly.oracle import compare
from support.assembly.story import Plan, told

#: `LINEWITNESS_SEED=7 pytest tests/system/test_assembly_line.py` lets other things go wrong.
SEED = int(os.environ.get("LINEWITNESS_SEED", "15"))


async def test_a_line_that_is_worked_without_mistakes_is_on_record_as_it_was(tmp_path: Path) -> None:
    async with told(tmp_path, Plan(units=5, faultless=True, seed=SEED)) as story:
        found = compare(story)
    assert not found, f"seed {SEED}: " + "\n".join(found)


@pytest.mark.heavy
async def test_no_mistake_no_kill_and_no_outage_lets_a_unit_leave_that_lacks_anything(tmp_path: Path) -> None:
    async with told(tmp_path, Plan(units=30, kills=3, outages=True, seed=SEED)) as story:
        found = compare(story)
    print(story.summary())
    assert not found, f"seed {SEED}: " + "\n".join(found)
    assert story.truth.mistakes.total() > 30
