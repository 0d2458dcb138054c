"""Judge a journal after one of its operations was cut short or refused by the disk."""

import asyncio
import shutil
from pathlib import Path
from typing import Final

from linewitness.base.clock import SystemClock
from linewitness.base.errors import LinewitnessError
from linewitness.evidence.format.raw import RAW_HMAC, keyed_hash
from linewitness.evidence.format.record import parse
from linewitness.journal import database
from linewitness.journal.keyring import LOG_KEY
from linewitness.journal.reader import JournalReader
from linewitness_selftest import jobs, results
from linewitness_selftest.audit import Findings, audit, audit_store
from linewitness_selftest.jobs import JOURNAL, TOLD
from linewitness_selftest.results import Count, ToldResults
from linewitness_selftest.store import AuditStore

_CLOCK = SystemClock()
#: Records whose raw bytes are looked at.
_NEWEST: Final = 20


def judge(operation: str, template: Path, folder: Path, count: Count) -> Findings:
    """Return what is wrong with the journal in `folder`; then go on with it, and judge again."""
    found = Findings()
    try:
        if operation == "create" and not _was_begun(folder, found):
            asyncio.run(_with_told(folder, "create"))
        with AuditStore(folder, clock=_CLOCK) as store:
            found.join(audit(folder, store, count))
            _check(operation, template, folder, found)
            asyncio.run(_with_told(folder, "append" if operation == "create" else operation))
            asyncio.run(_with_told(folder, "append"))
            found.join(audit(folder, store, count))
            _check(operation, template, folder, found)
            found.join(audit_store(folder, store))
    except LinewitnessError as error:
        found.problems.append(f"it did not go on: {error}")
    return found


async def _with_told(folder: Path, job: str) -> None:
    with ToldResults(folder / TOLD) as told:
        await jobs.JOBS[job](folder, told)


def _was_begun(folder: Path, found: Findings) -> bool:
    """Say whether `init` came to its end; what it did not finish is refused in words, and taken away."""
    with ToldResults(folder / TOLD) as told:
        if told[results.CREATED]:
            return True
    try:
        with JournalReader(folder / JOURNAL) as reader:
            whole = reader.size() > 0
        asyncio.run(_with_told(folder, "append"))
    except LinewitnessError as error:
        found.require(error.hint, f"a half-made journal is refused without a hint: {error}")
        shutil.rmtree(folder / JOURNAL, ignore_errors=True)
        return False
    return whole


def _check(operation: str, template: Path, folder: Path, found: Findings) -> None:
    """Check what belongs to one operation."""
    with JournalReader(folder / JOURNAL) as reader, ToldResults(folder / TOLD) as told:
        if operation == "receipt" and told[results.RECEIPT]:
            newest = reader.newest_receipt()
            found.require(newest and newest[0] >= told[results.RECEIPT], "a receipt on record is gone")
        if operation == "rotate":
            rotations = len(reader.event_keys()) - 1
            found.require(rotations >= told[results.ROTATED], "a key rotation on record is gone")
        if operation == "prune":
            _check_pruned(reader, template, told, found)
        found.require(
            all(_has_raw(reader, data) for data in _newest(reader)), "raw bytes of a record are gone"
        )
    keys = {path.stem for path in (folder / JOURNAL / "keys").glob("*.key")}
    found.require(LOG_KEY in keys, "the log key is gone")


def _check_pruned(reader: JournalReader, template: Path, told: ToldResults, found: Findings) -> None:
    """All leaf hashes stay, and of the records those that must."""
    found.require(reader.pruned >= told[results.PRUNED], "the boundary of a prune is gone")
    with database.translated(template), JournalReader(template / JOURNAL) as before:
        size = before.size()
        now, then = reader.tree(), before.tree()
        same = all(now.subtree(0, number) == then.subtree(0, number) for number in range(size))
        found.require(same, "leaf hashes have changed")
        kept = [number for number, _ in reader.records(reader.pruned, size)]
        found.require(kept == list(range(reader.pruned, size)), "records above the boundary are gone")
        found.require(
            list(before.key_records()) == list(reader.key_records())[: len(list(before.key_records()))],
            "keys are gone",
        )


def _newest(reader: JournalReader) -> list[bytes]:
    return [data for _, data in reader.records(max(reader.pruned, reader.size() - _NEWEST))]


def _has_raw(reader: JournalReader, data: bytes) -> bool:
    """Return whether the bytes that a record names are there, with the salt of their hash."""
    members = parse(data)
    named = members["context"].get(RAW_HMAC)
    found = reader.raw_of(members["sequence_no"])
    return named is None or (found is not None and keyed_hash(*found) == named)
