"""A shift of the assembly line: every mistake, the gateway killed, the broker away half of the time."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from linewitness_selftest.outcome import FaultOutcome
from support.assembly.oracle import compare
from support.assembly.story import Plan, told
from support.assembly.worker import ANYWHERE, MISTAKES

SEED = int(os.environ.get("LINEWITNESS_SEED", "500"))
#: `LINEWITNESS_UNITS=100 LINEWITNESS_KILLS=10 make fault` makes it shorter.
UNITS = int(os.environ.get("LINEWITNESS_UNITS", "500"))
KILLS = int(os.environ.get("LINEWITNESS_KILLS", "50"))
#: Of units enough, each mistake is made.
ENOUGH = 300


@pytest.mark.slow
@pytest.mark.timeout(300 + 10 * UNITS)
async def test_a_shift_of_mistakes_kills_and_outages_is_on_record_as_it_was(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    plan = Plan(units=UNITS, kills=KILLS, outages=True, seed=SEED)
    async with told(tmp_path, plan) as story:
        found = compare(story)
    print(story.summary())
    assert not found, f"seed {SEED}: " + "\n".join(found)
    assert story.killed == KILLS
    assert 0.3 < story.broker_away_s / story.took_s < 0.6
    if UNITS >= ENOUGH:
        made = {name for name, count in story.truth.mistakes.items() if count}
        on_the_way = {"shared_badge", "comes_back", "skips_a_station", "read_elsewhere", "scrap_brought_back"}
        assert made >= ANYWHERE.keys() | set().union(*MISTAKES.values()) | on_the_way
        assert story.truth.walks_seen
    account(
        FaultOutcome(
            fault="assembly line: mistakes, SIGKILL, no broker",
            injected=KILLS,
            survived=KILLS,
            lost=0,
            duplicated=0,
            note=f"{UNITS} units, {story.truth.mistakes.total()} mistakes",
        )
    )
