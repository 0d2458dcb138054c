"""A line whose journal was restored from an older copy, its audit store, and what both make of it."""

import shutil
from pathlib import Path
from typing import Literal

from linewitness.base.clock import SystemClock
from linewitness.cli.sources import load_store
from linewitness.evidence.format.accusation import Accusation
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.merkle import root_at
from linewitness.evidence.policy.policy import Attester, Policy
from linewitness.journal.attestations import PRUNED, StoredReceipt
from linewitness.journal.generations.generation import CONFLICT, Conflict
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission
from linewitness.store.database.database import Database
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import StoreLedger
from linewitness.uplink.topics import Topics
from support.clocks import ManualClock
from support.databases import url_of
from support.journals import create, reopen, result_event
from support.lines import call, write_line

STORE_YAML = """\
database: DATABASE
name: store.example
key: {file: store.key}
mqtt: {url: mqtt://127.0.0.1}
"""
AT = "2026-03-01T08:00:00.000Z"
TOPICS = Topics("acme", "gw-02")
Proof = Literal["receipt", "conflict", "place"]


class EndedLine:
    """One line and its store; the journal's records are results of the units that the test names."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self.folder, self.clock = folder, clock
        self.directory = folder / "journal"
        self.package = folder / "ended.zip"
        self.store_file = self.write_store(folder)
        self.good("store", "init", self.store_file)
        create(self.directory, clock)
        self.enroll()

    def write_store(self, folder: Path) -> Path:
        """Write the YAML of a store in a folder, and return the file."""
        file = folder / "store.yaml"
        file.write_text(STORE_YAML.replace("DATABASE", url_of(folder / "store.db")))
        return file

    def good(self, *arguments: object) -> str:
        """Run a command that succeeds, and return what it printed."""
        result = call(*arguments)
        assert result.exit_code == (3 if arguments[0] == "status" else 0), (result.output, result.exception)
        return str(result.output)

    @property
    def line_file(self) -> Path:
        """The YAML of the second generation."""
        return write_line(self.folder, generation=2, more=f"store: {{vkey: '{self.cosigner.vkey}'}}\n")

    @property
    def cosigner(self) -> Cosigner:
        """The store's key."""
        store = load_store(self.store_file)
        return Cosigner.load(store.name, store.key)

    def enroll(self) -> None:
        """Let the store know the stream that the journal has now."""
        with JournalReader(self.directory) as reader:
            vkey, record_0 = reader.log_vkey, reader.record_0_hash
        self.good(
            *("store", "enroll", self.store_file, "--tenant", "acme", "--gateway", "gw-02"),
            *("--log-vkey", vkey, "--record0", record_0),
        )

    def work(self, *units: str, rotate: bool = False) -> None:
        """Record a result for each unit."""
        file = reopen(self.directory, self.clock)
        size = file.head.size
        events = tuple(result_event(size + n, self.clock, unit) for n, unit in enumerate(units))
        file.append([Submission(events=events, rotate=rotate)])
        file.close()

    def receipt(self) -> str:
        """Send all to the store and keep its receipt, which is returned."""
        with JournalReader(self.directory) as reader:
            records = [data for _, data in reader.records()]
            size, origin = reader.size(), reader.identity.stream
            root = root_at(size, reader.tree().subtree)
        signed = str(Checkpoint(origin, size, root).sign(Keyring(self.directory).load(LOG_KEY)))
        database = Database(load_store(self.store_file).database_url)
        ledger = StoreLedger(database=database, cosigner=self.cosigner, clock=SystemClock())
        answers = ledger.process(
            [(TOPICS.records, b"\n".join(records)), (TOPICS.checkpoint, signed.encode())]
        )
        database.close()
        note = answers[-1].payload.decode()
        file = reopen(self.directory, self.clock)
        file.append([Submission(receipt=StoredReceipt(size, note, AT))])
        file.close()
        return note

    def image(self) -> None:
        """Take an image of the journal."""
        shutil.copytree(self.directory, self.folder / "image")

    def restore(self) -> None:
        """Put the image in the place of the journal."""
        shutil.rmtree(self.directory)
        (self.folder / "image").rename(self.directory)

    def freeze(self, note: str, *, proof: Proof = "receipt") -> None:
        """Freeze the stream, as a gateway does that gets the store's receipt of another history.

        `proof` is what it gets instead: the checkpoint of a place, or the store's conflict about a record.
        """
        checkpoint = Checkpoint.parse(note.partition("\n\n")[0] + "\n")
        if proof == "place":
            text, separator, lines = note.rpartition("\n\n")
            note = text + separator + lines.splitlines(keepends=True)[0]
        elif proof == "conflict":
            accusation = Accusation(
                origin=checkpoint.origin,
                subject="record",
                at=4,
                reason="at record 4: another record is held",
                receipt=note,
                held=b"{}",
                sent=b"{}",
            )
            note = str(accusation.sign(name=self.cosigner.name, key=self.cosigner.key, time_s=1_772_352_000))
        file = reopen(self.directory, self.clock)
        conflict = Conflict(
            at=AT,
            what="the store holds another history",
            hint="do this",
            proven=True,
            own_size=file.head.size,
            store_size=checkpoint.size if proof == "receipt" else None,
            store_root="sha256:" + checkpoint.root.hex() if proof == "receipt" else None,
            note=note,
        )
        file.append([Submission(freeze=True, state={CONFLICT: conflict.to_json()})])
        file.close()

    def end(self, *reason: str) -> str:
        """Begin the next generation, enrol it at the store, and return what the operator was told."""
        said = self.good("init", self.line_file, "--continue", *reason)
        self.enroll()
        return said

    def hand_over(self) -> str:
        """Write the package of the ended stream."""
        return self.good("handover", self.line_file, "--output", self.package)

    def take_over(self) -> str:
        """Let the store take the package over."""
        return self.good("store", "take-over", self.store_file, self.package)

    @property
    def ended(self) -> Path:
        """The folder of the ended journal."""
        return self.directory / "ended-1"

    def policy(self) -> Policy:
        """Return the policy of the stream that ended."""
        with JournalReader(self.ended) as reader:
            return Policy(
                origin=reader.identity.stream,
                record_0=reader.record_0_hash,
                log_key=reader.log_vkey,
                gateway_party="the plant",
                attesters=(Attester("the customer", "store", self.cosigner.vkey),),
            )


def pruned_to_its_receipt(folder: Path, clock: ManualClock) -> EndedLine:
    """Return a line whose ended journal holds nothing before its receipt but what is never pruned."""
    line = EndedLine(folder, clock)
    line.work("SN-0", rotate=True)
    line.work(*(f"SN-{number}" for number in range(253)))
    line.receipt()
    clock.advance_ns(31 * 86_400 * 1_000_000_000)
    file = reopen(line.directory, clock)
    file.append([Submission(events=(result_event(1, clock, "SN-REST"),), state={PRUNED: "256"})])
    while not file.prune(256, most=500):
        pass
    file.close()
    line.end("--reason", "the gateway was replaced")
    return line


def restored(folder: Path, clock: ManualClock, *, before: int = 3, proof: Proof = "receipt") -> EndedLine:
    """Return a line that worked, was restored to `before` results, worked on, and has begun anew.

    The store holds SN-KEPT; only the ended journal holds SN-FORK and SN-LATER. `proof` is what showed the
    restore to the gateway.
    """
    line = EndedLine(folder, clock)
    if before:
        line.work(*(f"SN-{number}" for number in range(before)))
        line.receipt()
    line.image()
    line.work("SN-KEPT", "SN-KEPT")
    newest = line.receipt()
    line.restore()
    line.work("SN-FORK", rotate=True)
    line.freeze(newest, proof=proof)
    line.work("SN-FORK", "SN-LATER")
    line.end()
    return line
