"""Event keys are replaced when their time is over and when a person asks; the old ones are gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from linewitness.base.clock import NS_PER_S
from linewitness.base.errors import ExitCode
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.record import draft, parse
from linewitness.evidence.verify.stream import verify
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.keys.exposure import COMMITS, LEAST_S, KeyExposure
from linewitness.gateway.keys.rotation import KeyRotation
from linewitness.journal.journal import Journal
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader
from linewitness.journal.requests import ROTATE, Requests
from support.clocks import ManualClock
from support.journals import create, members_of, result_event, running, verdict_of
from support.lines import call, write_line
from support.present import present
from support.waiting import until

pytestmark = pytest.mark.heavy

HOUR_S = 3600.0


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    create(tmp_path / "journal", clock)
    return tmp_path / "journal"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rotation look all the time."""
    monkeypatch.setattr("linewitness.gateway.keys.rotation.LOOK_S", 0.01)


@dataclass
class World:
    """What was observed, and what others have seen of it."""

    observed: int = 0
    receipted: int = 0
    alone: int = 0
    looks: int = 0

    def count(self) -> None:
        self.alone += 1

    def seen(self) -> int:
        self.looks += 1
        return self.receipted

    async def looked(self) -> None:
        """Wait until the rotation has looked at what is there now."""
        before = self.looks
        await until(lambda: self.looks >= before + 2, "a look")


@asynccontextmanager
async def rotating(
    directory: Path, clock: ManualClock, period_s: float = HOUR_S, world: World | None = None
) -> AsyncIterator[Journal]:
    world = world or World()
    async with running(directory, clock) as journal:
        signer = CheckpointSigner(journal, Keyring(directory).load(LOG_KEY))
        exposure = KeyExposure(journal, limit_s=60, observed=lambda: world.observed, receipted=world.seen)
        rotation = KeyRotation(
            journal,
            signer,
            requests=Requests(directory),
            clock=clock,
            period_s=period_s,
            exposure=exposure,
            alone=world.count,
        )
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


def forged_from(first: int, records: list[bytes], key: SigningKey) -> list[bytes]:
    """Return the records with other reasons from a place on, hashed, chained and signed with a key."""
    forged = records[:first]
    for data in records[first:]:
        members = parse(data)
        integrity = members.pop("integrity")
        before = parse(forged[-1])["integrity"]["record_hash"]
        if members["kind"] == "tightening.result":
            members["reason"] = "invented"
        drafted = draft(members, stream=integrity["stream"], key_id=integrity["key_id"], prev_hash=before)
        forged.append(drafted.data(key.sign(drafted.message).signature))
    return forged


async def results(journal: Journal, clock: ManualClock, world: World, count: int = 1) -> None:
    """Store results, each in a commit of its own."""
    for _ in range(count):
        await journal.submit([result_event(world.observed, clock)])
        world.observed += 1


async def test_without_a_receipt_the_key_lives_for_a_minute_after_its_first_result(
    directory: Path, clock: ManualClock, quick: None
) -> None:
    world = World()
    async with rotating(directory, clock, world=world) as journal:
        await results(journal, clock, world)
        await world.looked()
        clock.advance_ns(59 * NS_PER_S)
        await world.looked()
        assert len(keys_of(directory)) == 1
        clock.advance_ns(NS_PER_S)
        await until(lambda: world.alone == 1)
        clock.advance_ns(600 * NS_PER_S)  # nothing more was observed
        await world.looked()
        await results(journal, clock, world)
        await world.looked()
        assert len(keys_of(directory)) == 2
        clock.advance_ns(60 * NS_PER_S)
        await until(lambda: world.alone == 2)
    active = keys_of(directory)[-1][1].key_id
    assert sorted(path.stem for path in (directory / "keys").iterdir()) == sorted([active, "log"])
    assert verdict_of(directory).status == "INTACT"


async def test_with_all_keys_that_are_left_nothing_before_the_last_rotation_is_rewritten_unseen(
    directory: Path, clock: ManualClock, quick: None
) -> None:
    """Who has root now takes every key file, and signs another result 2 and all that follows it."""
    world = World()
    async with rotating(directory, clock, world=world) as journal:
        await results(journal, clock, world, 3)
        await world.looked()
        clock.advance_ns(60 * NS_PER_S)
        await until(lambda: world.alone == 1)
        await results(journal, clock, world, 2)
    with JournalReader(directory) as reader:
        records = [data for _, data in reader.records()]
    for name in sorted(path.stem for path in (directory / "keys").iterdir()):
        verdict = verify(forged_from(2, records, Keyring(directory).load(name)))
        assert (verdict.status, verdict.broken_at) == ("BROKEN", 2)


@pytest.mark.parametrize("why", ["no store", "frozen"])
async def test_where_no_receipt_can_come_the_key_is_replaced_as_ever(
    directory: Path, clock: ManualClock, why: str
) -> None:
    async with running(directory, clock) as journal:
        exposure = KeyExposure(
            journal,
            limit_s=60,
            observed=lambda: journal.observed,
            receipted=None if why == "no store" else (lambda: 0),
        )
        assert not exposure.exceeded(0)
        await journal.observe("wrench-10", [result_event(1, clock)], state={}, raw={})
        journal.frozen = why == "frozen"
        assert not exposure.exceeded(NS_PER_S)
        assert not exposure.exceeded(100 * NS_PER_S)
        assert journal.observed == 1


async def test_what_is_receipted_in_time_needs_no_new_key(
    directory: Path, clock: ManualClock, quick: None
) -> None:
    world = World()
    async with rotating(directory, clock, world=world) as journal:
        for _ in range(5):
            await results(journal, clock, world, COMMITS)
            await world.looked()
            clock.advance_ns(int(LEAST_S / 2) * NS_PER_S)
            world.receipted = journal.head.size
            await world.looked()
    assert len(keys_of(directory)) == 1


async def test_without_a_receipt_the_key_signs_64_commits(
    directory: Path, clock: ManualClock, quick: None
) -> None:
    world = World()
    async with rotating(directory, clock, world=world) as journal:
        await results(journal, clock, world, COMMITS - 1)
        await world.looked()
        clock.advance_ns(int(LEAST_S) * NS_PER_S)
        await world.looked()
        assert len(keys_of(directory)) == 1
        await results(journal, clock, world)
        await until(lambda: world.alone == 1)
    assert len(keys_of(directory)) == 2


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
