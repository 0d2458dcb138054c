"""What a controller is told of a unit: the message for each command, and the refusals that send nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from linewitness.devices.open_protocol.session.commands.tool import CommandRefused
from linewitness.devices.unit_commands import DeviceBusy, UnitCommand, UnitCommandSession
from linewitness_simulators.torque import TorqueOptions, serve, without
from linewitness_simulators.torque.server import TorqueSimulator
from support.open_protocol_rig import Journal, gateway
from support.waiting import until

PROGRAMS = ({"unit": ".*", "parameter_set": 8},)
BOTH: dict[str, Any] = {"commands": ("identifier", "program"), "programs": PROGRAMS}


@asynccontextmanager
async def connected(
    options: TorqueOptions | None = None, **settings: Any
) -> AsyncIterator[tuple[TorqueSimulator, Any]]:
    async with (
        serve(options) as simulator,
        gateway(simulator, Journal(), **{**BOTH, **settings}) as running,
    ):
        await until(lambda: running.session)
        assert isinstance(running.session, UnitCommandSession)
        yield simulator, running.session


def sent(simulator: TorqueSimulator) -> list[tuple[int, str]]:
    return [(entry.mid, entry.text) for entry in simulator.ledger.entries if entry.what == "command"]


@pytest.mark.parametrize(
    ("command", "telegram"),
    [
        (UnitCommand("identifier", "SN0001"), (50, "SN0001")),
        (UnitCommand("identifier", "S" * 26), (150, "S" * 26)),
        (UnitCommand("parameter_set", "8"), (18, "008")),
        (UnitCommand("batch_size", "8:12"), (19, "00812")),
        (UnitCommand("batch_size", "8:120"), (19, "0080120")),
        (UnitCommand("job", "2"), (38, "0002")),
        (UnitCommand("abort_job", "running"), (127, "")),
    ],
    ids=lambda value: value.name if isinstance(value, UnitCommand) else "",
)
async def test_each_command_has_its_message_and_its_value_is_what_was_accepted(
    command: UnitCommand, telegram: tuple[int, str]
) -> None:
    async with connected() as (simulator, session):
        assert await session.command_unit(command) == command.value
        assert sent(simulator) == [telegram]


async def test_the_identifier_goes_by_the_message_that_the_controller_offers() -> None:
    async with connected(TorqueOptions(revisions=without(51))) as (simulator, session):
        await session.command_unit(UnitCommand("identifier", "SN0001"))
        assert sent(simulator) == [(150, "SN0001")]
    async with connected(identifiers="multiple") as (simulator, session):
        await session.command_unit(UnitCommand("identifier", "SN0001"))
        assert sent(simulator) == [(150, "SN0001")]
        assert simulator.subscribed(151) == 1
        assert simulator.subscribed(51) == 0


async def test_jobs_are_numbered_with_two_digits_where_the_controller_has_no_more() -> None:
    async with connected(TorqueOptions(max_revision=1)) as (simulator, session):
        await session.command_unit(UnitCommand("job", "2"))
        await session.command_unit(UnitCommand("restart_job", "2"))
        assert sent(simulator) == [(38, "02"), (39, "02")]
        assert simulator.controller.state.job == 2


@pytest.mark.parametrize(
    ("command", "settings", "words", "hint"),
    [
        (UnitCommand("identifier", "SN1"), {"commands": ("program",)}, "does not allow", "add identifier"),
        (
            UnitCommand("job", "1"),
            {"commands": ("identifier",), "programs": ()},
            "does not allow",
            "add program",
        ),
        (UnitCommand("reboot", "1"), {}, "does not allow the command reboot", "commands"),
        (UnitCommand("identifier", "S" * 101), {}, "longer than the 100 characters", "never cut"),
        (UnitCommand("identifier", "SÜN"), {}, "characters that a controller cannot take", "ASCII"),
        (UnitCommand("identifier", "SN\x001"), {}, "characters that a controller cannot take", "ASCII"),
    ],
    ids=["identifier off", "program off", "unknown", "too long", "not ascii", "control character"],
)
async def test_what_must_not_be_sent_is_refused_with_a_hint(
    command: UnitCommand, settings: Any, words: str, hint: str
) -> None:
    async with connected(**settings) as (simulator, session):
        with pytest.raises(CommandRefused, match=words) as caught:
            await session.command_unit(command)
        assert hint in caught.value.hint
        assert sent(simulator) == []


@pytest.mark.parametrize(
    ("missing", "command", "words"),
    [
        ((51, 151), UnitCommand("identifier", "SN1"), "0051, 0151"),
        ((10, 14), UnitCommand("parameter_set", "8"), "0010, 0014"),
        ((10, 14), UnitCommand("batch_size", "8:2"), "0010, 0014"),
        ((30, 34), UnitCommand("job", "2"), "0030, 0034"),
        ((30, 34), UnitCommand("abort_job", "running"), "0030, 0034"),
    ],
)
async def test_what_was_not_offered_is_refused_although_the_controller_would_take_it(
    missing: tuple[int, ...], command: UnitCommand, words: str
) -> None:
    async with connected(TorqueOptions(revisions=without(*missing))) as (simulator, session):
        with pytest.raises(CommandRefused, match=rf"did not offer to .*\({words}\)"):
            await session.command_unit(command)
        assert sent(simulator) == []


@pytest.mark.parametrize("missing", [(10,), (14,)])
async def test_a_list_or_the_selected_set_is_offer_enough(missing: tuple[int, ...]) -> None:
    async with connected(TorqueOptions(revisions=without(*missing))) as (simulator, session):
        await session.command_unit(UnitCommand("parameter_set", "8"))
        assert simulator.controller.state.parameter_set == 8


async def test_a_controller_that_is_busy_says_so_and_has_done_nothing() -> None:
    async with connected() as (simulator, session):
        simulator.faults.refuse_once[18] = 101
        with pytest.raises(DeviceBusy, match="a tightening is in progress"):
            await session.command_unit(UnitCommand("parameter_set", "8"))
        assert simulator.controller.state.parameter_set == 7


async def test_nothing_more_is_asked_of_a_controller_that_is_told_nothing() -> None:
    lesser = TorqueOptions(revisions=without(10, 30, 51, 151))
    nothing: dict[str, Any] = {"commands": (), "programs": ()}
    for settings, asked in ((nothing, set[int]()), (BOTH, {10, 30, 51, 151})):
        async with connected(lesser, **settings) as (simulator, _):
            refused = {entry.mid for entry in simulator.ledger.entries if entry.what == "refused"}
            assert refused & {10, 30, 51, 151} == asked
