"""`linewitness status` says what keeps a line from its work, and its exit code does."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from linewitness.base.errors import ExitCode
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.journal.submission import Submission
from support.clocks import ManualClock
from support.journals import IDENTITY, create, reopen, result_event, running
from support.lines import call, write_line

#: More than any disk has.
NO_ROOM = f"  min_free: {2**60}"


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    create(tmp_path / "journal", clock)
    file = reopen(tmp_path / "journal", clock)
    file.append([Submission(events=(result_event(1, clock),))])
    file.close()
    return tmp_path / "journal"


def freeze(directory: Path, clock: ManualClock) -> None:
    file = reopen(directory, clock)
    file.append([Submission(freeze=True)])
    file.close()


def state_lines(output: str) -> list[str]:
    """Return the words of the report's lines about the state."""
    return [line.split()[1].strip(":") for line in output.splitlines() if line.startswith("state ")]


async def asked(directory: Path, clock: ManualClock, *arguments: object) -> Any:
    """Ask while a gateway holds the journal."""
    async with running(directory, clock):
        return await asyncio.to_thread(call, "status", *arguments)


async def test_a_running_line_is_running_and_the_code_is_0(
    tmp_path: Path, directory: Path, clock: ManualClock
) -> None:
    found = await asked(directory, clock, write_line(tmp_path))
    assert (state_lines(found.output), found.exit_code) == (["running"], ExitCode.OK)


def test_a_line_without_a_gateway_is_stopped_and_the_code_is_3(tmp_path: Path, directory: Path) -> None:
    found = call("status", write_line(tmp_path))
    assert (state_lines(found.output), found.exit_code) == (["STOPPED"], ExitCode.REFUSED)
    assert (state_lines(call("status", directory).output), found.exit_code) == (["STOPPED"], 3)


def test_the_newest_signed_size_is_printed_for_others_to_keep(directory: Path, clock: ManualClock) -> None:
    assert json.loads(call("status", directory, "--json").output)["signed"] is None
    file = reopen(directory, clock)
    size, root = file.head.size, file.head.root
    note = str(Checkpoint(IDENTITY.stream, size, root).sign(SigningKey.generate()))
    file.append([Submission(checkpoint=(size, note))])
    file.close()
    signed = json.loads(call("status", directory, "--json").output)["signed"]
    assert signed == {"size": size, "root": root.hex(), "note": note}
    assert f"signed     {size} records, root {root.hex()}" in call("status", directory).output


async def test_a_line_without_room_is_full_and_the_code_is_4(
    tmp_path: Path, directory: Path, clock: ManualClock
) -> None:
    found = await asked(directory, clock, write_line(tmp_path, journal=NO_ROOM))
    assert (state_lines(found.output), found.exit_code) == (["FULL"], ExitCode.JOURNAL)
    assert "devices are not confirmed" in found.output


async def test_a_frozen_line_is_frozen_and_the_code_is_1(
    tmp_path: Path, directory: Path, clock: ManualClock
) -> None:
    freeze(directory, clock)
    found = await asked(directory, clock, write_line(tmp_path))
    assert (state_lines(found.output), found.exit_code) == (["FROZEN"], ExitCode.BROKEN)


def test_of_several_all_are_said_and_the_worst_is_the_code(
    tmp_path: Path, directory: Path, clock: ManualClock
) -> None:
    freeze(directory, clock)
    file = write_line(tmp_path, journal=NO_ROOM)
    found = call("status", file)
    assert (state_lines(found.output), found.exit_code) == (["FROZEN", "FULL", "STOPPED"], ExitCode.BROKEN)
    machine = call("status", file, "--json")
    assert json.loads(machine.output)["troubles"] == ["frozen", "full", "stopped"]
    assert machine.exit_code == ExitCode.BROKEN
