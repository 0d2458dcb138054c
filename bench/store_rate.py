"""Measure the audit store: records verified, committed and receipted, in processor time, without a broker.

The same records are canonicalised, hashed and signed by a bare loop in the same run; see `append.py`. Usage:

    python bench/store_rate.py [--records 40000] [--batch 256] [--messages 4] [--database URL]

`--batch` records are one message and one commit of the gateway, `--messages` of them one transaction of the
store, as when the store is busy. With `--batch 4 --messages 2` it has what a line sends at ordinary rates.

Without `--database` the store is a SQLite file. With the URL of an empty store in PostgreSQL on this machine
(`linewitness store init` makes one), the processor time of the server's backend counts as the store's.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import psutil
from append import IDENTITY, bare, tightening

from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.merkle import root_at
from linewitness.journal.file import JournalFile
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.keys import create_key
from linewitness.store.ledger import StoreLedger
from linewitness.uplink.topics import Topics

TOPICS = Topics(IDENTITY.tenant, "bench")
#: Records of the bare loop, measured before, between and after the store's.
BARE = 2000
Messages = list[tuple[str, bytes]]


def written(folder: Path, records: int, batch: int) -> None:
    """Write a journal in commits of `batch` records."""
    clock = SystemClock()
    JournalFile.create(folder, IDENTITY, clock=clock, clock_state=SharedClockState()).close()
    journal = JournalFile.open(folder, clock=clock, clock_state=SharedClockState())
    for start in range(0, records, batch):
        numbers = range(start, start + batch)
        journal.append([Submission(events=(tightening(n, clock.stamp().realtime_ns),)) for n in numbers])
    journal.close()


def messages(reader: JournalReader, key_folder: Path, batch: int) -> Iterator[Messages]:
    """Yield the records of a commit and the checkpoint over them, as they come from the broker."""
    key = Keyring(key_folder).load(LOG_KEY)
    tree = reader.tree()
    first = reader.size() % batch
    for start in range(first, reader.size(), batch):
        begin = start if start > first else 0
        lines = b"\n".join(data for _, data in reader.records(begin, start + batch)) + b"\n"
        size = start + batch
        checkpoint = Checkpoint(IDENTITY.stream, size, root_at(size, tree.subtree)).sign(key)
        yield [(TOPICS.records, lines), (TOPICS.checkpoint, str(checkpoint).encode())]


def server_of(database: Database) -> psutil.Process:
    """Return the server's process that serves the ledger's connection."""
    with database.reading() as connection:
        return psutil.Process(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())


def seconds_of(process: psutil.Process | None) -> float:
    """Return the processor time that a process has used."""
    if process is None:
        return 0.0
    times = process.cpu_times()
    return float(times.user + times.system)


def bytes_of(database: Database) -> int:
    """Return what the tables of the store take on the server's disk, with their indexes."""
    with database.reading() as connection:
        return int(
            connection.exec_driver_sql(
                "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n "
                "ON n.oid = c.relnamespace WHERE nspname IN ('evidence', 'views') AND relkind = 'r'"
            ).scalar_one()
        )


def main() -> None:
    """Write a journal, feed it to a store, and print rates, their ratio and the bytes on disk."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=int, default=40_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--messages", type=int, default=4)
    parser.add_argument("--database")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written(folder / "journal", options.records, options.batch)
        file = folder / "store.db"
        database = Database(options.database or f"sqlite:///{file}")
        database.create()
        server = server_of(database) if options.database else None
        with JournalReader(folder / "journal") as reader:
            enroll(
                database, clock=SystemClock(), tenant=TOPICS.tenant, gateway=TOPICS.gateway,
                log_vkey=str(reader.log_vkey), record0_hash=reader.record_0_hash,
            )  # fmt: skip
            sent = list(messages(reader, folder / "journal", options.batch))
            sample = [data for _, data in reader.records(1, BARE)]
        cosigner = create_key("store.bench.example", folder / "key" / "store.key")
        ledger = StoreLedger(database=database, cosigner=cosigner, clock=SystemClock())
        bare_us, store_us = [1e6 / bare(sample, time.process_time)], []
        server_us: list[float] = []
        for at in range(0, len(sent), options.messages):
            turn = sent[at : at + options.messages]
            began, there = time.process_time(), seconds_of(server)
            answers = ledger.process(message for pair in turn for message in pair)
            spent = time.process_time() - began
            server_us.append(1e6 * (seconds_of(server) - there))
            if not answers:
                raise SystemExit("the store gave no receipt")
            store_us.append(1e6 * spent / sum(pair[0][1].count(b"\n") for pair in turn))
            if at % (16 * options.messages) == 0:
                bare_us.append(1e6 / bare(sample, time.process_time))
        held = sum(pair[0][1].count(b"\n") for pair in sent)
        size = bytes_of(database) if options.database else file.stat().st_size
        database.close()
        beside = sum(server_us) / held
        store, loop = median(store_us) + beside, median(bare_us)
        if server:
            print(f"of it in the server's backend: {beside:.1f} us a record")
        print(f"store: {store:.1f} us a record, {1e6 / store:,.0f} records a core second")
        print(f"bare loop: {loop:.1f} us a record; the store's rate is {loop / store:.2f} of it")
        print(f"on disk: {size / held:.0f} bytes a record of {len(sample[-1])}")


if __name__ == "__main__":
    main()
