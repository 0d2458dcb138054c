"""What the processes do that the selftest kills, fails or stops: the gateway's own work on a journal.

A job's folder holds `journal`, the ledger `told`, and the store's newest `receipt`.
"""

import asyncio
import random
import resource
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Final

from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.continuity import Continuity
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.journal import database
from linewitness.journal.file import JournalFile
from linewitness.journal.journal import Journal, open_journal
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.options import JournalOptions
from linewitness.journal.pruning.prune import Pruner
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness_selftest import results
from linewitness_selftest.inline import InlineJournal
from linewitness_selftest.readonly import forget_root, make_read_only
from linewitness_selftest.results import DEVICES, IDENTITY, ToldResults, state_key, submission
from linewitness_selftest.store import COSIGNER

JOURNAL: Final = "journal"
TOLD: Final = "told"
RECEIPT: Final = "receipt"
#: Results of one append.
EVENTS: Final = 3
#: Records that one step of pruning deletes.
STEP: Final = 130
#: Days after which the selftest prunes: about a twentieth of a second.
_KEEP_DAYS: Final = 6e-7
#: Pauses of the working jobs, in seconds, at most.
_BETWEEN_RESULTS_S: Final = 0.01
_BETWEEN_ROTATIONS_S: Final = 0.08
_BEFORE_RECEIPT_S: Final = 0.05
_CLOCK: Final = SystemClock()


def options(folder: Path) -> JournalOptions:
    """Return what a YAML would say of the journal in a job's folder."""
    return JournalOptions(
        directory=folder / JOURNAL, keep_days=_KEEP_DAYS, prune_requires="receipt", min_free=0
    )


async def work(folder: Path, told: ToldResults, *, seed: int) -> None:
    """Take results of all devices, receipts, key rotations and prunes, all at once, until killed."""
    chance = random.Random(seed)
    async with open_journal(options(folder), clock=_CLOCK, clock_state=SharedClockState()) as journal:
        following = await journal.read(_following)
        async with asyncio.TaskGroup() as group:
            group.create_task(journal.run(), name="journal")
            for slot, device in enumerate(DEVICES):
                seeded = random.Random(chance.random())
                group.create_task(_device(journal, told, slot, following[device], seeded), name=device)
            group.create_task(_rotations(journal, told, chance.random()), name="rotations")
            group.create_task(_receipts(journal, folder, told, chance.random()), name="receipts")
            pruner = Pruner(journal, options=options(folder), clock=_CLOCK, step=STEP)
            group.create_task(pruner.run(), name="pruner")


async def _device(
    journal: Journal, told: ToldResults, slot: int, following: int, chance: random.Random
) -> None:
    """Let a device say its results from the last confirmed one on; what is on record is confirmed only."""
    number = told[slot]
    while True:
        if number >= following:
            await journal.submit_all(submission(DEVICES[slot], number, _CLOCK))
        number += 1
        told[slot] = number
        await asyncio.sleep(chance.uniform(0, _BETWEEN_RESULTS_S))


async def _rotations(journal: Journal, told: ToldResults, seed: float) -> None:
    chance = random.Random(seed)
    while True:
        await asyncio.sleep(chance.uniform(0, _BETWEEN_ROTATIONS_S))
        await journal.submit_all(Submission(rotate=True))
        told[results.ROTATED] += 1


async def _receipts(journal: Journal, folder: Path, told: ToldResults, seed: float) -> None:
    signer = CheckpointSigner(journal, Keyring(folder / JOURNAL).load(LOG_KEY))
    continuity = Continuity(journal, clock=_CLOCK)
    judge = ReceiptJudge(journal, continuity, store_vkey=COSIGNER.vkey, clock=_CLOCK)
    await judge.recall()
    answer = folder / RECEIPT
    await asyncio.sleep(random.Random(seed).uniform(0, _BEFORE_RECEIPT_S))
    await signer.sign(journal.head.size)
    if answer.exists():
        told[results.RECEIPT] = await judge.judge(answer.read_bytes())


def _following(reader: JournalReader) -> dict[str, int]:
    return {device: int(reader.state_value(state_key(device)) or 0) for device in DEVICES}


async def create(folder: Path, told: ToldResults) -> None:
    """Begin a stream."""
    JournalFile.create(folder / JOURNAL, IDENTITY, clock=_CLOCK, clock_state=SharedClockState()).close()
    told[results.CREATED] = 1


async def prefill(folder: Path, told: ToldResults, *, records: int) -> None:
    """Begin a stream that has worked for a while already: whole tiles of records, and a rotation."""
    await create(folder, told)
    file = JournalFile.open(folder / JOURNAL, clock=_CLOCK, clock_state=SharedClockState())
    each = records // len(DEVICES)
    for slot, device in enumerate(DEVICES):
        file.append(
            [*(submission(device, number, _CLOCK) for number in range(each)), Submission(rotate=True)]
        )
        told[slot] = each
    # Left open: the process ends with the log not yet in the main file, as a crash leaves it.


async def append(folder: Path, told: ToldResults) -> None:
    """Take a few results of one device, each in its own commit."""
    journal = InlineJournal(folder / JOURNAL, clock=_CLOCK)
    following = (await journal.read(_following))[DEVICES[0]]
    for number in range(following, following + EVENTS):
        journal.append([submission(DEVICES[0], number, _CLOCK)])
        told[0] = number + 1
    journal.close()


async def receipt(folder: Path, told: ToldResults) -> None:
    """Put a receipt of the store on record."""
    journal = InlineJournal(folder / JOURNAL, clock=_CLOCK)
    Keyring(folder / JOURNAL).load(LOG_KEY)  # the gateway reads every key at its start
    continuity = Continuity(journal.as_journal, clock=_CLOCK)
    judge = ReceiptJudge(journal.as_journal, continuity, store_vkey=COSIGNER.vkey, clock=_CLOCK)
    await judge.recall()
    told[results.RECEIPT] = await judge.judge((folder / RECEIPT).read_bytes())
    journal.close()


async def rotate(folder: Path, told: ToldResults) -> None:
    """Replace the event key."""
    journal = InlineJournal(folder / JOURNAL, clock=_CLOCK)
    journal.append([Submission(rotate=True)])
    told[results.ROTATED] += 1
    journal.close()


async def prune(folder: Path, told: ToldResults) -> None:
    """Delete what the store holds, in several steps."""
    journal = InlineJournal(folder / JOURNAL, clock=_CLOCK)
    pruner = Pruner(journal.as_journal, options=options(folder), clock=_CLOCK, step=STEP)
    plan = await pruner.prune()
    told[results.PRUNED] = plan.boundary if plan else 0
    journal.close()


async def checkpoint(folder: Path, told: ToldResults) -> None:
    """Move the log into the main file, as happens now and then within a commit."""
    with database.translated(folder), database.Lock(folder / JOURNAL):
        connection = database.open_for_writing(folder / JOURNAL)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    await append(folder, told)


async def fill(folder: Path, told: ToldResults, *, file_bytes: int = 0) -> None:
    """Take results of one device for as long as there is room; files may grow to `file_bytes`."""
    if file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    journal = InlineJournal(folder / JOURNAL, clock=_CLOCK)
    number = (await journal.read(_following))[DEVICES[0]]
    while True:
        journal.writer.append([submission(DEVICES[0], number, _CLOCK)])
        number += 1
        told[0] = number


async def hold(folder: Path, told: ToldResults) -> None:
    """Be the gateway that runs on this journal."""
    async with open_journal(options(folder), clock=_CLOCK, clock_state=SharedClockState()) as journal:
        following = await journal.read(_following)
        async with asyncio.TaskGroup() as group:
            group.create_task(journal.run(), name="journal")
            chance = random.Random(0)
            group.create_task(_device(journal, told, 0, following[DEVICES[0]], chance), name=DEVICES[0])


async def start_without_rights(folder: Path, told: ToldResults) -> None:
    """Start where the files may not be written."""
    forget_root()
    await append(folder, told)


async def start_on_read_only(folder: Path, told: ToldResults) -> None:
    """Start where the file system is read-only."""
    make_read_only(folder / JOURNAL)
    await append(folder, told)


JOBS: Final[Mapping[str, Callable[..., Coroutine[None, None, None]]]] = {
    job.__name__: job
    for job in (
        work,
        create,
        prefill,
        append,
        receipt,
        rotate,
        prune,
        checkpoint,
        fill,
        hold,
        start_without_rights,
        start_on_read_only,
    )
}
