"""Pruning: only what others hold and is old; on record first; and every proof still works afterwards."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import NS_PER_S, to_rfc3339
from linewitness.evidence.format import merkle
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.keys import cosigner_vkey, new_key
from linewitness.evidence.format.note import cosign
from linewitness.evidence.format.proof import TlogProof
from linewitness.evidence.policy.policy import Attester, Policy
from linewitness.evidence.verify.selection.selection import verify_selection
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.continuity import Continuity
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.journal.attestations import PRUNED, StoredAttestation, StoredReceipt
from linewitness.journal.journal import Journal
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.pruning.prune import Plan, Pruner, plan_of
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import StoreLedger
from linewitness.store.reports import read_records
from linewitness.uplink.topics import Topics
from support.clocks import START_NS, ManualClock
from support.journals import create, forger, members_of, options, reopen, result_event, running
from support.lines import call
from support.present import present
from support.waiting import until

pytestmark = pytest.mark.heavy

STORE = new_key()
MIB = 1024**2
DAY_NS = 86_400 * NS_PER_S
AT = "2026-03-01T08:00:00.000Z"


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    create(tmp_path / "journal", clock)
    return tmp_path / "journal"


def fill(directory: Path, clock: ManualClock, count: int = 1000, *, raw_bytes: int = 2000) -> None:
    """Write results with raw bytes of their own, rotations, and one telegram that comes again and again."""
    submissions = [
        Submission(
            events=(result_event(number, clock, unit=f"SN{number // 100}"),),
            raw={f"{number:064x}": bytes(raw_bytes), "ff" * 32: b"again and again"},
            rotate=number in (100, 800),
        )
        for number in range(count)
    ]
    file = reopen(directory, clock)
    for start in range(0, count, 100):
        file.append(submissions[start : start + 100])
    file.close()


def receipt(
    directory: Path, clock: ManualClock, size: int | None = None, *, attested: int | None = None
) -> str:
    """Let the store have `size` records, and a place `attested` of them."""
    file = reopen(directory, clock)
    with JournalReader(directory) as reader:
        size = size or reader.size()
        root = merkle.root_at(size, reader.tree().subtree)
        origin = reader.identity.stream
    note = Checkpoint(origin, size, root).sign(Keyring(directory).load(LOG_KEY))
    signed = note.with_signature(cosign(note.text, name="store.example", key=STORE, time_s=1_772_352_000))
    submissions = [Submission(receipt=StoredReceipt(size, str(signed), AT))]
    if attested:
        submissions.append(Submission(attestation=StoredAttestation(attested, "a place", "note", None, AT)))
    file.append(submissions)
    file.close()
    return str(signed)


def receipted(directory: Path, clock: ManualClock, *sizes: int) -> None:
    """Let receipts over these sizes come now."""
    file = reopen(directory, clock)
    at = to_rfc3339(clock.stamp().realtime_ns)
    file.append([Submission(receipt=StoredReceipt(size, f"receipt over {size}", at)) for size in sizes])
    file.close()


def policy_of(reader: JournalReader) -> Policy:
    return Policy(
        origin=reader.identity.stream,
        record_0=reader.record_0_hash,
        log_key=reader.log_vkey,
        gateway_party="the plant",
        attesters=(Attester("the customer", "store", cosigner_vkey("store.example", STORE)),),
    )


async def pruned(directory: Path, clock: ManualClock, *, step: int = 100, **settings: Any) -> Plan | None:
    settings = {"keep_days": 30, "prune_requires": "receipt"} | settings
    async with running(directory, clock, **settings) as journal:
        pruner = Pruner(journal, options=options(directory, **settings), clock=clock, step=step)
        return await pruner.prune()


def kept(directory: Path) -> list[int]:
    with JournalReader(directory) as reader:
        return [number for number, _ in reader.records()]


async def test_only_whole_tiles_that_are_old_and_receipted_go(directory: Path, clock: ManualClock) -> None:
    fill(directory, clock)
    receipt(directory, clock, 700)
    clock.advance_ns(31 * DAY_NS)
    plan = await pruned(directory, clock)
    assert plan == Plan(1, 512, 700, None)
    numbers = kept(directory)
    assert numbers == [0, 102, *range(512, 1004)]
    last = members_of(directory)[-1]
    assert last["kind"] == "journal.pruned"
    assert {change["field"]: change["after"] for change in last["changes"]} == {
        "first": 1,
        "last": 511,
        "receipt_size": 700,
        "attested_by": None,
        "keep_days": "30.0",
    }


async def test_a_receipt_alone_is_not_enough_unless_the_customer_says_so(
    directory: Path, clock: ManualClock
) -> None:
    fill(directory, clock)
    receipt(directory, clock, 700)
    clock.advance_ns(31 * DAY_NS)
    assert await pruned(directory, clock, prune_requires="anchor") is None
    receipt(directory, clock, 701, attested=300)
    assert await pruned(directory, clock, prune_requires="anchor") == Plan(1, 256, 701, "a place")


@pytest.mark.parametrize("days", [0, 29])
async def test_what_is_younger_stays(directory: Path, clock: ManualClock, days: int) -> None:
    fill(directory, clock, 300)
    receipt(directory, clock)
    clock.advance_ns(days * DAY_NS)
    assert await pruned(directory, clock) is None
    assert len(kept(directory)) == 302


async def test_only_the_tiles_before_the_first_young_record_go(directory: Path, clock: ManualClock) -> None:
    fill(directory, clock, 400)
    clock.advance_ns(31 * DAY_NS)
    fill(directory, clock, 400)
    receipt(directory, clock)
    assert (present(await pruned(directory, clock))).boundary == 256


async def test_the_last_tile_stays_even_when_it_is_full_and_the_journal_opens_again(
    directory: Path, clock: ManualClock
) -> None:
    fill(directory, clock, 510)
    receipt(directory, clock)
    with JournalReader(directory) as reader:
        assert reader.size() == 512
    clock.advance_ns(31 * DAY_NS)
    assert (present(await pruned(directory, clock))).boundary == 256
    reopen(directory, clock).close()
    assert (present(await pruned(directory, clock))).boundary == 512  # journal.pruned is a newer record
    reopen(directory, clock).close()
    assert kept(directory) == [0, 102, 512, 513]


async def test_proofs_of_kept_records_and_of_pruned_leaves_still_lead_to_the_receipt(
    directory: Path, clock: ManualClock
) -> None:
    fill(directory, clock)
    note = receipt(directory, clock)
    with JournalReader(directory) as reader:
        before = {number: merkle.leaf_hash(data) for number, data in reader.records()}
    clock.advance_ns(31 * DAY_NS)
    assert (present(await pruned(directory, clock))).boundary == 768
    with JournalReader(directory) as reader:
        subtree = reader.tree().subtree
        checkpoint = Checkpoint.parse(note.partition("\n\n")[0] + "\n")
        for number in (1, 255, 256, 700, 800, 1002):
            path = merkle.inclusion_proof(number, checkpoint.size, subtree)
            merkle.verify_inclusion(before[number], number, checkpoint.size, checkpoint.root, path)
        policy = policy_of(reader)
        left = [data for _, data in reader.records(768, checkpoint.size)]
        verdict = verify_selection(
            left,
            [data for _, data in reader.key_records()],
            lambda number: str(TlogProof.make(number, note, subtree)),
            policy=policy,
        )
    assert verdict.status == "INCLUDED", verdict
    assert verdict.selected == len(left) == 1003 - 768


async def test_the_command_verifies_what_a_pruned_journal_keeps(
    tmp_path: Path, directory: Path, clock: ManualClock
) -> None:
    fill(directory, clock, 1100)
    receipt(directory, clock, 1000)
    clock.advance_ns(31 * DAY_NS)
    await pruned(directory, clock)
    assert "--policy" in call("verify", directory).exception.hint
    with JournalReader(directory) as reader:
        (tmp_path / "policy.json").write_bytes(policy_of(reader).canonical)
    verdict = call("verify", directory, "--policy", tmp_path / "policy.json", "--json")
    assert verdict.exit_code == 0, verdict.output
    assert (json.loads(verdict.output)["status"], json.loads(verdict.output)["selected"]) == ("INCLUDED", 232)
    connection = forger(directory)
    connection.execute("DROP TRIGGER record_is_final")
    changed = "CAST(replace(plain(bytes), '12.30', '12.31') AS BLOB)"
    connection.execute(f"UPDATE record SET bytes = {changed} WHERE seq = 900")  # noqa: S608 (a forger)
    connection.commit()
    connection.close()
    forged = call("verify", directory, "--policy", tmp_path / "policy.json")
    assert forged.exit_code == 1
    assert "BROKEN at record 900" in forged.output


async def test_receipts_go_with_the_records_of_their_time_but_for_the_first_over_each_key(
    directory: Path, clock: ManualClock
) -> None:
    fill(directory, clock, 200)
    receipted(directory, clock, 50, 100, 102, 200)
    clock.advance_ns(3600 * NS_PER_S)
    fill(directory, clock, 200)
    clock.advance_ns(31 * DAY_NS)
    fill(directory, clock, 400)
    receipted(directory, clock, 150, 250, 350, 600)
    with JournalReader(directory) as reader:
        assert [first for first, _ in reader.event_keys()][:2] == [0, 103]
    assert (present(await pruned(directory, clock, step=40))).boundary == 256
    with JournalReader(directory) as reader:
        left = [size for size, _ in reader.receipts()]
    # 150 and 250 cover only what is gone, but came late: newer records cite them.
    assert left == [50, 150, 250, 350, 600]


async def test_the_salt_of_a_telegram_goes_with_its_record(directory: Path, clock: ManualClock) -> None:
    """One telegram comes again and again: its bytes stay for the newest records, older salts do not."""
    file = reopen(directory, clock)
    again = replace(result_event(1, clock), raw=b"again and again")
    for _ in range(10):
        file.append([Submission(events=(again,) * 100)])
    file.close()
    receipt(directory, clock)
    clock.advance_ns(31 * DAY_NS)
    await pruned(directory, clock)
    with JournalReader(directory) as reader:
        assert reader.figures().oldest == 768
        assert reader.raw_of(767) is None
        assert present(reader.raw_of(768))[1] == b"again and again"


async def test_raw_bytes_go_with_the_last_record_that_names_them_and_the_file_shrinks(
    directory: Path, clock: ManualClock
) -> None:
    fill(directory, clock, raw_bytes=8000)
    receipt(directory, clock)
    with JournalReader(directory) as reader:
        large = reader.figures().bytes_on_disk
    clock.advance_ns(31 * DAY_NS)
    await pruned(directory, clock)
    with JournalReader(directory) as reader:
        assert reader.raw(f"{10:064x}") is None
        assert reader.raw(f"{900:064x}") is not None
        assert reader.raw("ff" * 32) == b"again and again"
        assert reader.figures().oldest == 768
        assert reader.figures().bytes_on_disk < large / 2


async def test_what_a_crash_left_undone_is_finished_at_the_next_start(
    directory: Path, clock: ManualClock
) -> None:
    fill(directory, clock)
    receipt(directory, clock)
    file = reopen(directory, clock)
    file.append([Submission(state={PRUNED: "512"})])
    file.prune(512, most=200)
    file.close()
    assert len(kept(directory)) > 600
    reopen(directory, clock).close()
    async with running(directory, clock) as journal, asyncio.TaskGroup() as group:
        task = group.create_task(Pruner(journal, options=options(directory), clock=clock).run())
        await until(lambda: kept(directory) == [0, 102, *range(512, 1003)])
        task.cancel()


async def test_records_are_committed_between_the_steps(directory: Path, clock: ManualClock) -> None:
    fill(directory, clock, 600)
    receipt(directory, clock)
    clock.advance_ns(31 * DAY_NS)
    settings = {"keep_days": 30, "prune_requires": "receipt"}
    async with running(directory, clock, **settings) as journal, asyncio.TaskGroup() as group:
        pruner = Pruner(journal, options=options(directory, **settings), clock=clock, step=50)
        pruning = group.create_task(pruner.prune())
        await journal.wait_beyond(602)
        for number in range(3):
            await journal.submit([result_event(number, clock)])
        assert not pruning.done()
    assert kept(directory)[-1] == 605


class Store:
    """An audit store's own ledger, which a journal sends its records to and takes receipts from."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.database = Database(f"sqlite:///{folder}/store.db")
        self.database.create()
        self.cosigner = Cosigner("store.example", STORE)
        self.ledger = StoreLedger(database=self.database, cosigner=self.cosigner, clock=clock)
        self.clock = clock
        self.topics = Topics("acme", "gw-02")

    async def receive(self, journal: Journal, directory: Path) -> None:
        """Take all records as they come, and let the journal judge each receipt; for ever."""
        with JournalReader(directory) as reader:
            enroll(
                self.database,
                clock=self.clock,
                tenant=self.topics.tenant,
                gateway=self.topics.gateway,
                log_vkey=str(reader.log_vkey),
                record0_hash=reader.record_0_hash,
            )
        signer = CheckpointSigner(journal, Keyring(directory).load(LOG_KEY))
        continuity = Continuity(journal, clock=self.clock)
        judge = ReceiptJudge(journal, continuity, store_vkey=self.cosigner.vkey, clock=self.clock)
        while True:
            batch = await journal.read(lambda reader: reader.batch(judge.held, 500_000))
            size = judge.held + len(batch)
            messages = [
                (self.topics.records, b"\n".join(batch) + b"\n"),
                (self.topics.checkpoint, (await signer.at(size)).encode()),
            ]
            for answer in self.ledger.process(messages):
                assert await judge.judge(answer.payload) == size
            await journal.wait_beyond(size)

    def sizes(self) -> tuple[int, int]:
        """Return how many records are held, and how many different ones."""
        held = [record.data for record in read_records(self.database)]
        return len(held), len(set(held))


FULL: dict[str, Any] = {"max_size": 16 * MIB, "min_free": 0}


async def made_room(directory: Path, clock: ManualClock, *, anchored: bool = False, **settings: Any) -> Any:
    """Look once whether there is room enough, and return what was pruned and what is left then."""
    settings = FULL | settings
    async with running(directory, clock, **settings) as journal:
        pruner = Pruner(
            journal, options=options(directory, **settings), clock=clock, anchored=anchored, step=100
        )
        await journal.pressure.measure(journal.read)
        plan = await pruner.make_room()
        return plan, journal.pressure.room_left


async def test_the_oldest_receipted_records_give_way_when_less_than_the_reserve_is_left(
    directory: Path, clock: ManualClock
) -> None:
    fill(directory, clock, raw_bytes=13_000)
    receipt(directory, clock)
    plan, room = await made_room(directory, clock)
    assert plan == Plan(1, 256, 1003, None)
    assert room.left > 4 * MIB
    assert kept(directory) == [0, 102, *range(256, 1004)]
    last = members_of(directory)[-1]
    assert last["kind"] == "journal.pruned"
    assert last["reason"].startswith("less room than the reserve is left and these records are the oldest")
    assert {change["field"]: change["after"] for change in last["changes"]}["reserve"] == 4 * MIB
    assert await made_room(directory, clock) == (None, room)


async def test_no_more_goes_than_the_store_holds_and_that_this_is_too_little_is_said_once(
    directory: Path, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(directory, clock, raw_bytes=13_000)
    receipt(directory, clock, 200)
    async with running(directory, clock, **FULL) as journal, asyncio.TaskGroup() as group:
        pruner = Pruner(journal, options=options(directory, **FULL), clock=clock)
        watching = group.create_task(journal.pressure.watch(journal.read, journal.submit, clock=clock))
        task = group.create_task(pruner.run())
        await until(lambda: "journal cannot be pruned" in capsys.readouterr().out)
        assert await pruner.make_room() is None
        task.cancel()
        watching.cancel()
    assert "journal cannot be pruned" not in capsys.readouterr().out
    assert set(range(1003)) <= set(kept(directory))


async def test_pruning_can_be_switched_off(directory: Path, clock: ManualClock) -> None:
    fill(directory, clock, raw_bytes=13_000)
    receipt(directory, clock)
    plan, room = await made_room(directory, clock, prune="never")
    assert plan is None
    assert room.left < 4 * MIB
    with pytest.raises(ValueError, match="keep_days has no effect with prune: never"):
        options(directory, prune="never", keep_days=3)


async def test_a_line_with_anchors_waits_for_them_and_one_without_does_not(
    directory: Path, clock: ManualClock
) -> None:
    fill(directory, clock, raw_bytes=13_000)
    receipt(directory, clock)
    assert (await made_room(directory, clock, anchored=True))[0] is None
    assert (await made_room(directory, clock, prune_requires="anchor"))[0] is None
    receipt(directory, clock, 1002, attested=600)
    assert (await made_room(directory, clock, anchored=True))[0] == Plan(1, 256, 1003, "a place")


async def test_a_journal_whose_records_the_store_receipts_never_fills(
    directory: Path, clock: ManualClock, tmp_path: Path
) -> None:
    store, written = Store(tmp_path, clock), 0
    async with running(directory, clock, **FULL) as journal, asyncio.TaskGroup() as group:
        pruner = Pruner(journal, options=options(directory, **FULL), clock=clock)
        tasks = [
            group.create_task(journal.pressure.watch(journal.read, journal.submit, clock=clock)),
            group.create_task(pruner.run()),
            group.create_task(store.receive(journal, directory)),
        ]
        while written < 3 * 16 * MIB:
            async with asyncio.timeout(60):
                await journal.pressure.gate()
            number = journal.head.size
            await journal.submit(
                [result_event(number + more, clock) for more in range(10)],
                raw={f"{number + more:064x}": bytes(20_000) for more in range(10)},
            )
            written += 10 * 21_400
        measured = journal.pressure.room_left
        await until(
            lambda: journal.pressure.room_left is not measured and journal.pressure.room_left.left > 4 * MIB
        )
        for task in tasks:
            task.cancel()
    pruned_by = [record for record in members_of(directory) if record["kind"] == "journal.pruned"]
    assert pruned_by[-1]["sequence_no"] > 1000
    with JournalReader(directory) as reader:
        held, different = store.sizes()
        assert held == different >= reader.pruned > 1000
        assert reader.figures().bytes_used < 16 * MIB, "the log beside it, of which much may be free, aside"
    store.database.close()


async def test_nothing_of_a_frozen_stream_goes(directory: Path, clock: ManualClock) -> None:
    fill(directory, clock, 600)
    receipt(directory, clock)
    file = reopen(directory, clock)
    file.append([Submission(freeze=True)])
    file.close()
    clock.advance_ns(31 * DAY_NS)
    assert await pruned(directory, clock) is None
    assert len(kept(directory)) == 602


def test_a_stream_without_receipts_has_nothing_to_prune(directory: Path, clock: ManualClock) -> None:
    fill(directory, clock, 600)
    with JournalReader(directory) as reader:
        assert plan_of(reader, START_NS + 99 * DAY_NS, receipt_is_enough=True) is None
