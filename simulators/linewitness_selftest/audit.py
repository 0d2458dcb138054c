"""The account after a fault: open the journal as ever, verify it, hand it to the store, and count."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from linewitness.base.clock import SharedClockState, SystemClock
from linewitness.base.errors import LinewitnessError
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.proof import TlogProof
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.verify.selection.selection import verify_selection
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.stream import verify
from linewitness.evidence.verify.verdict import Verdict
from linewitness.journal.file import JournalFile
from linewitness.journal.keyring import LOG_KEY, Keyring
from linewitness.journal.reader import JournalReader
from linewitness_selftest.jobs import JOURNAL, RECEIPT, TOLD
from linewitness_selftest.outcome import FaultOutcome
from linewitness_selftest.results import Count, ToldResults, state_key
from linewitness_selftest.store import AuditStore, policy_of

_CLOCK = SystemClock()


@dataclass(slots=True)
class Findings:
    """What was found wrong after one fault: nothing, if the promise held."""

    lost: int = 0
    duplicated: int = 0
    problems: list[str] = field(default_factory=list)

    def require(self, holds: object, problem: str) -> None:
        """Note a problem unless something holds."""
        if not holds:
            self.problems.append(problem)

    def join(self, more: "Findings") -> None:
        """Take over what was found in another look at the same journal; what is lost is lost once."""
        self.lost = max(self.lost, more.lost)
        self.duplicated = max(self.duplicated, more.duplicated)
        self.problems += more.problems

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not (self.lost or self.duplicated or self.problems)


@dataclass(slots=True)
class FaultTally:
    """The row that becomes of many faults of one kind."""

    fault: str
    injected: int = 0
    survived: int = 0
    lost: int = 0
    duplicated: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, findings: Findings, what: str) -> None:
        """Count one fault, described by `what`."""
        self.injected += 1
        self.survived += findings.clean
        self.lost += findings.lost
        self.duplicated += findings.duplicated
        if not findings.clean:
            problem = findings.problems[0] if findings.problems else "records are missing or there twice"
            self.notes.append(f"{what}: {problem}")

    def outcome(self, note: str = "") -> FaultOutcome:
        """Return the row; of the problems, the first."""
        notes = [*self.notes[:1], note] if self.notes else [note]
        return FaultOutcome(
            fault=self.fault,
            injected=self.injected,
            survived=self.survived,
            lost=self.lost,
            duplicated=self.duplicated,
            note="; ".join(filter(None, notes)),
        )


def audit(folder: Path, store: AuditStore, count: Count) -> Findings:
    """Judge the journal in a job's folder; `count` goes on from what it knew of it, and so does the store.

    The journal is opened as its writer does, but its log is left where it is, so that the next start has
    to read it as well.
    """
    found = Findings()
    try:
        with JournalReader(folder / JOURNAL) as reader, ToldResults(folder / TOLD) as told:
            JournalFile.open(folder / JOURNAL, clock=_CLOCK, clock_state=SharedClockState()).close()
            count.read(_kept(reader, count.size))
            _compare(reader, count, told, found)
            _hand_over(folder, reader, store, found)
    except LinewitnessError as error:
        found.problems.append(f"it does not open: {error}")
    return found


def _compare(reader: JournalReader, count: Count, told: ToldResults, found: Findings) -> None:
    """Compare what is on record with what was confirmed, and with the state that goes with it."""
    found.lost += count.lost(told)
    found.duplicated += count.repeated
    found.require(count.size == reader.size(), f"{count.size} records are there, not {reader.size()}")
    found.require(not reader.frozen, "the stream is frozen")
    for device, recorded in count.recorded.items():
        known = int(reader.state_value(state_key(device)) or 0)
        found.require(known == recorded, f"the memory of {device} says {known}, the records {recorded}")
    count.forgive(told)


def _hand_over(folder: Path, reader: JournalReader, store: AuditStore, found: Findings) -> None:
    """Let the store have all that is there, twice, and verify journal and receipt."""
    store.enroll(reader)
    head = reader.head()
    size, root = head.size, head.root
    log_key = Keyring(folder / JOURNAL).load(LOG_KEY)
    checkpoint = str(Checkpoint(reader.identity.stream, size, root).sign(log_key))
    kept = list(_kept(reader, reader.pruned))
    receipt = ""
    for _ in range(2):
        receipt = store.feed(kept, checkpoint)
    held, different = store.counts()
    found.lost += max(0, size - different)
    found.duplicated += held - different
    for objection in store.objections():
        found.problems.append(f"the store objects: {objection}")
    policy = policy_of(reader)
    if reader.pruned:
        proven = _proven(reader, size, receipt, policy)
        found.require(proven.status == "INCLUDED", f"what pruning left does not verify: {proven.text}")
    else:
        verdict = verify(kept, policy=policy, statements=[Statement("receipt", receipt)])
        found.require(verdict.status == "COMPLETE", f"it does not verify: {verdict.text}")
    (folder / RECEIPT).write_text(receipt, encoding="utf-8")


def _proven(reader: JournalReader, size: int, receipt: str, policy: Policy) -> Verdict:
    """Return the verdict on what pruning left: each record leads by its own proof to the receipt over all."""
    subtree = functools.cache(reader.tree().subtree)
    return verify_selection(
        _kept(reader, max(reader.pruned, 1)),
        (data for number, data in reader.key_records() if number < size),
        lambda number: str(TlogProof.make(number, receipt, subtree)),
        policy=policy,
    )


def audit_store(folder: Path, store: AuditStore) -> Findings:
    """Judge all that the store came to hold of one journal: whole, each result once, whatever was pruned."""
    found, count = Findings(), Count()
    with JournalReader(folder / JOURNAL) as reader, ToldResults(folder / TOLD) as told:
        policy: Policy = policy_of(reader)
        count.read(store.records())
        found.lost, found.duplicated = count.lost(told), count.repeated
    verdict = store.verdict(policy)
    found.require(verdict.status == "COMPLETE", f"the store's records do not verify: {verdict.text}")
    return found


def _kept(reader: JournalReader, first: int) -> Iterator[bytes]:
    return (data for _, data in reader.records(first))
