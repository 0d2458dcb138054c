"""Damage a journal as disks and people do: it is refused in words, untouched, and never begun anew."""

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from linewitness.base.clock import SystemClock
from linewitness.base.compression.records import unpack_record
from linewitness.base.errors import ExitCode
from linewitness.journal.database import FILE_NAME
from linewitness.journal.keyring import LOG_KEY
from linewitness_selftest.audit import FaultTally, Findings, audit
from linewitness_selftest.jobs import JOURNAL
from linewitness_selftest.outcome import FaultOutcome
from linewitness_selftest.results import Count
from linewitness_selftest.store import AuditStore
from linewitness_selftest.workers import SelftestFailed, Worker, running_worker

FAULT: Final = "damaged files"
_WAL: Final = f"{FILE_NAME}-wal"
_PAGE: Final = 4096
_RECORDS: Final = 30
_KEYS: Final = "keys"


def _pages_of(table: str) -> Callable[[Path], None]:
    def overwrite(journal: Path) -> None:
        file = journal / FILE_NAME
        connection = sqlite3.connect(file)
        row = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        connection.close()
        with file.open("r+b") as handle:
            handle.seek(_PAGE * (row[0] - 1))
            handle.write(b"\xa5" * _PAGE)

    return overwrite


def _newest_record(journal: Path) -> None:
    """Change one digit of a record, where the rest of the file stays right."""
    connection = sqlite3.connect(journal / FILE_NAME)
    connection.create_function("plain", 1, unpack_record, deterministic=True)
    connection.execute("DROP TRIGGER record_is_final")
    connection.execute(
        "UPDATE record SET bytes = CAST(replace(plain(bytes), '\"11.00\"', '\"11.01\"') AS BLOB) "
        "WHERE seq = (SELECT MAX(seq) - 1 FROM record)"
    )
    connection.commit()
    connection.close()


def _drop_newest_record(journal: Path) -> None:
    connection = sqlite3.connect(journal / FILE_NAME)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("DELETE FROM record WHERE seq = (SELECT MAX(seq) FROM record)")
    connection.commit()
    connection.close()


def _header(journal: Path) -> None:
    with (journal / FILE_NAME).open("r+b") as handle:
        handle.write(b"\x5a" * 100)


def _cut_in_half(journal: Path) -> None:
    file = journal / FILE_NAME
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _emptied(journal: Path) -> None:
    (journal / FILE_NAME).write_bytes(b"")


def _deleted(journal: Path) -> None:
    (journal / FILE_NAME).unlink()


def _folder_deleted(journal: Path) -> None:
    shutil.rmtree(journal)


def _foreign(journal: Path) -> None:
    (journal / FILE_NAME).unlink()
    connection = sqlite3.connect(journal / FILE_NAME)
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()


def _event_key_garbled(journal: Path) -> None:
    for key in (journal / _KEYS).iterdir():
        if key.stem != LOG_KEY:
            key.write_text("nonsense\n", encoding="ascii")


def _log_key_deleted(journal: Path) -> None:
    (journal / _KEYS / f"{LOG_KEY}.key").unlink()


def _keys_deleted(journal: Path) -> None:
    shutil.rmtree(journal / _KEYS)


#: What is done to a journal whose gateway was stopped in order: it must be refused.
REFUSED: Final[Mapping[str, Callable[[Path], None]]] = {
    **{f"page of {table}": _pages_of(table) for table in ("record", "head", "stream", "event_key", "state")},
    "one digit of a record": _newest_record,
    "newest record gone": _drop_newest_record,
    "header": _header,
    "cut in half": _cut_in_half,
    "emptied": _emptied,
    "deleted": _deleted,
    "folder deleted": _folder_deleted,
    "foreign database": _foreign,
    "event key garbled": _event_key_garbled,
    "log key deleted": _log_key_deleted,
    "keys deleted": _keys_deleted,
}


def _wal_cut(journal: Path) -> None:
    file = journal / _WAL
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _wal_deleted(journal: Path) -> None:
    (journal / _WAL).unlink()


def _wal_page(journal: Path) -> None:
    file = journal / _WAL
    with file.open("r+b") as handle:
        handle.seek(file.stat().st_size // 2)
        handle.write(b"\xa5" * _PAGE)


#: What is done to a journal after a crash: an older state is left, which looks whole from here.
FOUND_BY_THE_STORE: Final[Mapping[str, Callable[[Path], None]]] = {
    "log cut in half": _wal_cut,
    "log deleted": _wal_deleted,
    "page of the log": _wal_page,
}


@dataclass(frozen=True, slots=True)
class _Interrupted:
    """A journal that was stopped in order, and one that was not, both receipted in full."""

    clean: Path
    crashed: Path


async def damages(folder: Path, *, tick: Callable[[int], None] = lambda _: None) -> FaultOutcome:
    """Do all of it, each to a copy, and try to start."""
    tally = FaultTally(FAULT)
    async with running_worker() as worker:
        before = await _make(worker, folder)
        for name, damage in REFUSED.items():
            found = await _must_be_refused(worker, before.clean, folder / "damaged", damage)
            tally.add(found, name)
            tick(tally.injected)
        for name, damage in FOUND_BY_THE_STORE.items():
            found = await _must_be_found(worker, before.crashed, folder / "damaged", damage)
            tally.add(found, name)
            tick(tally.injected)
    shutil.rmtree(before.clean)
    shutil.rmtree(before.crashed)
    return tally.outcome("refused with what to do; an older log is found at the store's first word")


async def _make(worker: Worker, folder: Path) -> _Interrupted:
    """Make both journals: the log of the second has what the first has in its main file, and more."""
    clean, crashed = folder / "stopped", folder / "crashed"
    await worker.make("prefill", clean, records=_RECORDS)
    await worker.make("append", clean)
    with AuditStore(clean, clock=SystemClock()) as store:
        count = Count()
        _require(audit(clean, store, count))
        await worker.make("checkpoint", clean)
        shutil.copytree(clean, crashed)
    enough = 3 * _RECORDS
    await worker.run_until("work", crashed, lambda told: told[0] > enough, seed=1)
    with AuditStore(crashed, clock=SystemClock()) as store:
        _require(audit(crashed, store, count.copy()))
    return _Interrupted(clean, crashed)


def _require(found: Findings) -> None:
    if not found.clean:
        raise SelftestFailed(f"a journal without any damage is not as it should be: {found}")


async def _must_be_refused(
    worker: Worker, template: Path, folder: Path, damage: Callable[[Path], None]
) -> Findings:
    shutil.copytree(template, folder)
    damage(folder / JOURNAL)
    before = _files(folder / JOURNAL)
    ended = await worker.run("receipt", folder)  # which reads every key, as the gateway does
    found = Findings()
    found.require(ended.code == ExitCode.JOURNAL, f"not refused: {ended}")
    found.require("(" in ended.said, f"refused without what to do: {ended}")
    after = _files(folder / JOURNAL)
    found.require(before == after, f"files were touched: {sorted(set(before.items()) ^ set(after.items()))}")
    shutil.rmtree(folder)
    return found


async def _must_be_found(
    worker: Worker, template: Path, folder: Path, damage: Callable[[Path], None]
) -> Findings:
    """Refused at the start, or contradicted by the store's receipt: never believed."""
    shutil.copytree(template, folder)
    damage(folder / JOURNAL)
    ended = await worker.run("receipt", folder)
    found = Findings()
    found.require(ended.code == ExitCode.JOURNAL, f"not found: {ended}")
    found.require("(" in ended.said, f"found without what to do: {ended}")
    shutil.rmtree(folder)
    return found


def _files(journal: Path) -> dict[str, str]:
    """Return the hashes of the files of the journal and its keys; the locks of SQLite are no content."""
    files = [path for path in journal.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
    return {
        str(path.relative_to(journal)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.stat().st_size or path.name == FILE_NAME
    }
