"""A controller's clock is set only where the YAML says so, and what came of it is on record."""

from typing import Any

import pytest
from pydantic import ValidationError

from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness_simulators.torque import TorqueOptions, serve, without
from support.open_protocol_rig import Journal, gateway
from support.waiting import until


def moves(journal: Any) -> Any:
    return [
        {name: (before, after) for name, before, after in notice.changes}
        for notice in journal.notices("parameter.changed")
        if any(name == "clock_set_to" for name, _, _ in notice.changes)
    ]


async def test_a_clock_that_is_off_is_set_and_measured_again() -> None:
    journal = Journal()
    async with serve(TorqueOptions(zone="Europe/Berlin")) as simulator:
        simulator.jump_clock(3600)
        async with gateway(simulator, journal, timezone="Europe/Berlin", set_clock_beyond_s=5):
            await until(lambda: moves(journal))
    [move] = moves(journal)
    before, after = move["clock_offset_ms"]
    assert abs(before - 3_600_000) < 3000
    assert abs(after) < 3000


async def test_a_clock_within_the_limit_and_one_without_the_setting_are_left_alone() -> None:
    for settings in ({"set_clock_beyond_s": 7200}, {}):
        journal = Journal()
        async with serve() as simulator:
            simulator.jump_clock(3600)
            async with gateway(simulator, journal, timezone="UTC", **settings) as running:
                await until(lambda: simulator.subscribed() and running.connected)
                simulator.tighten("SN")
                await until(lambda: journal.ids)  # noqa: B023 (awaited at once)
        assert moves(journal) == []


async def test_a_controller_that_does_not_let_its_clock_be_set_is_on_record_with_its_reason() -> None:
    journal = Journal()
    async with serve(TorqueOptions(revisions=without(82))) as simulator:
        simulator.jump_clock(3600)
        async with gateway(simulator, journal, timezone="UTC", set_clock_beyond_s=5):
            await until(lambda: moves(journal))
    [notice] = [
        notice for notice in journal.notices("parameter.changed") if "could not be set" in notice.reason
    ]
    assert notice.changes[0][1] == notice.changes[0][2]


def test_setting_a_clock_needs_its_zone() -> None:
    with pytest.raises(ValidationError, match="which zone"):
        OpenProtocolOptions(id="w", driver="open_protocol", host="h", set_clock_beyond_s=5)
