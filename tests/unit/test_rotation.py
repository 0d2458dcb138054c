"""Event keys are replaced when their time is over and when a person asks; the old ones are gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from linewitness.base.clock import NS_PER_S
from linewitness.base.errors import ExitCode
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.evidence.format.note import Vkey
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.key_rotation import KeyRotation
from linewitness.journal.journal import Journal
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader
from linewitness.journal.requests import ROTATE, Requests
from support.clocks import ManualClock
from support.journals import create, members_of, result_event, running, verdict_of
from support.lines import call, write_line
from support.present import present

HOUR_S = 3600.0


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    create(tmp_path / "journal", clock)
    return tmp_path / "journal"


@asynccontextmanager
async def rotating(directory: Path, clock: ManualClock, period_s: float = HOUR_S) -> AsyncIterator[Journal]:
    async with running(directory, clock) as journal:
        signer = CheckpointSigner(journal, Keyring(directory).load(LOG_KEY))
        rotation = KeyRotation(journal, signer, requests=Requests(directory), clock=clock, period_s=period_s)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(rotation.run())
            yield journal
            task.cancel()


def keys_of(directory: Path) -> list[tuple[int, Vkey]]:
    with JournalReader(directory) as reader:
        return reader.event_keys()


async def test_a_key_whose_time_is_over_is_replaced_erased_and_sealed(
    directory: Path, clock: ManualClock
) -> None:
    async with rotating(directory, clock) as journal:
        await asyncio.sleep(0)
        clock.advance_ns(int(HOUR_S) * NS_PER_S)
        async with asyncio.timeout(10):
            size = await journal.wait_beyond(1)
            with JournalReader(directory) as reader:
                while reader.newest_checkpoint() is None:  # noqa: ASYNC110 (a file has no event)
                    await asyncio.sleep(0.01)
                sealed, note = present(reader.newest_checkpoint())
        assert sealed == size == 2
        assert open_checkpoint(note, journal.log_vkey)[0].size == 2
    assert members_of(directory)[1]["kind"] == "key.rotated"
    active = keys_of(directory)[-1][1].key_id
    assert sorted(path.stem for path in (directory / "keys").iterdir()) == sorted([active, "log"])
    assert verdict_of(directory).status == "INTACT"


async def test_a_key_whose_time_is_not_over_stays(directory: Path, clock: ManualClock) -> None:
    async with rotating(directory, clock) as journal:
        await asyncio.sleep(0)
        clock.advance_ns(int(HOUR_S / 2) * NS_PER_S)
        await asyncio.sleep(1.2)
        await journal.submit([result_event(1, clock)])
    assert [record["kind"] for record in members_of(directory)] == ["stream.created", "tightening.result"]


async def test_a_running_gateway_rotates_when_asked(
    tmp_path: Path, directory: Path, clock: ManualClock
) -> None:
    before = keys_of(directory)[-1][1]
    file = write_line(tmp_path)
    async with rotating(directory, clock) as journal:
        result = await asyncio.to_thread(call, "keys", "rotate", file)
        assert result.exit_code == 0, result.output
        await journal.submit([result_event(1, clock)])
    first, now = keys_of(directory)[-1]
    assert f"{before.key_id} is retired; {now.key_id} signs from record {first} on" in result.output
    assert not Requests(directory).waiting(ROTATE)
    assert verdict_of(directory).status == "INTACT"


def test_without_a_gateway_the_command_rotates_itself(tmp_path: Path, directory: Path) -> None:
    result = call("keys", "rotate", write_line(tmp_path))
    assert result.exit_code == 0, result.output
    assert len(keys_of(directory)) == 2
    assert not Requests(directory).waiting(ROTATE)


async def test_a_gateway_that_does_not_answer_is_said(
    tmp_path: Path, directory: Path, clock: ManualClock
) -> None:
    async with running(directory, clock):
        result = await asyncio.to_thread(call, "keys", "rotate", write_line(tmp_path), "--wait-s", "0.2")
    assert result.exception.exit_code == ExitCode.JOURNAL
    assert Requests(directory).waiting(ROTATE)


def test_keys_are_shown_with_the_records_that_they_sign(tmp_path: Path, directory: Path) -> None:
    file = write_line(tmp_path)
    call("keys", "rotate", file)
    (_, old), (_, new) = keys_of(directory)
    shown = call("keys", "show", file).output
    assert f"event key  {old.key_id}  {old}  from record 0 to 1" in shown
    assert f"event key  {new.key_id}  {new}  from record 2 on" in shown
    with JournalReader(directory) as reader:
        assert str(reader.log_vkey) in shown
        assert call("keys", "export-vkey", file).output == f"{reader.log_vkey}\n"


def test_a_certificate_for_opcua_is_made_once(tmp_path: Path) -> None:
    files = ("--certificate", tmp_path / "own.der", "--key", tmp_path / "own.pem")
    made = call("keys", "opcua", *files, "--host", "gw-02")
    assert made.exit_code == 0, made.output
    assert (tmp_path / "own.pem").stat().st_mode & 0o777 == 0o600
    assert b"urn:gw-02:linewitness" in (tmp_path / "own.der").read_bytes()
    assert "exists already" in str(call("keys", "opcua", *files).exception)
