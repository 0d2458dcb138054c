"""A running gateway and texts that were made to hold it up: it goes on at once, and nothing is lost."""

from pathlib import Path

import pytest

from support.plants import Load, account, at_work, change, held, new_plant, said, settle
from support.waiting import until

#: An engine that backtracks tries 2^43 ways of dividing this text before it gives up.
EVIL, TEXT = "([A-Z0-9]+-?)+", "A" * 43 + "!"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('pattern: "SN[0-9]{4}"', f'pattern: "{EVIL}"'),
        ("driver: scanner\n", f"driver: scanner\n    pattern: '(?P<code>{EVIL})'\n"),
    ],
    ids=["station", "scanner"],
)
async def test_a_code_that_a_backtracking_engine_never_decides_stops_nobody(
    tmp_path: Path, old: str, new: str
) -> None:
    async with new_plant(tmp_path) as plant:
        change(plant, old, new)
        change(plant, "driver: scanner\n", "driver: scanner\n    settle_ms: 0\n")
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        load = Load(plant)
        await load.step()
        await plant.devices.scanner.scan(TEXT)
        async with load.going_on():
            await until(lambda: load.steps > 20, "a second of work")
        await until(lambda: set(plant.devices.torque.acked) >= load.made, said(plant), timeout_s=20)
        await settle(plant, load.made)
        account(plant, load.made).check()
        assert held(plant).kind("identifier.scanned"), "the text is on record as what is no serial number"
