"""The reference audit store without a broker: what a journal holds is handed to it, twice, and counted."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

from nacl.signing import SigningKey
from sqlalchemy import distinct, func, make_url, select

from linewitness.base.clock import Clock
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.policy.policy import Attester, Policy
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.stream import verify
from linewitness.evidence.verify.verdict import Verdict
from linewitness.journal.reader import JournalReader
from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import StoreLedger
from linewitness.store.reports import read_conflicts, read_receipts, read_records, read_refusals
from linewitness.uplink.topics import Topics
from linewitness_selftest.results import GATEWAY, IDENTITY

FILE: Final = "store.db"
#: A key that everybody knows: it signs nothing but the selftest's receipts.
COSIGNER: Final = Cosigner("store.selftest.example", SigningKey(b"linewitness selftest store key 1"))
_TOPICS: Final = Topics(IDENTITY.tenant, GATEWAY)


class AuditStore:
    """One audit store in a folder, with the one stream of a journal."""

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        """Open the store, or make it."""
        self._database = Database(make_url(f"sqlite:///{folder / FILE}"))
        self._database.create()
        self._ledger = StoreLedger(database=self._database, cosigner=COSIGNER, clock=clock)
        self._clock = clock

    def __enter__(self) -> Self:
        """Keep it open for the time of a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._database.close()

    def enroll(self, reader: JournalReader) -> None:
        """Let the journal's gateway write."""
        enroll(
            self._database,
            clock=self._clock,
            tenant=IDENTITY.tenant,
            gateway=GATEWAY,
            log_vkey=str(reader.log_vkey),
            record0_hash=reader.record_0_hash,
        )

    def feed(self, records: Iterable[bytes], checkpoint: str) -> str:
        """Hand over records and a checkpoint as they come from the broker, and return the answer."""
        messages = [(_TOPICS.records, b"\n".join(records)), (_TOPICS.checkpoint, checkpoint.encode())]
        answers = self._ledger.process(messages)
        return answers[-1].payload.decode() if answers else ""

    def counts(self) -> tuple[int, int]:
        """Return how many records are held, and how many different ones."""
        entries = tables.entries
        with self._database.reading() as connection:
            row = connection.execute(
                select(func.count(), func.count(distinct(entries.c.event_id))).select_from(entries)
            ).one()
        return int(row[0]), int(row[1])

    def objections(self) -> list[str]:
        """Return what the store held against the gateway: conflicts and refusals."""
        conflicts = [conflict.reason for conflict in read_conflicts(self._database)]
        return conflicts + [refusal.detail for refusal in read_refusals(self._database)]

    def records(self) -> list[bytes]:
        """Return all records, in order."""
        return [record.data for record in read_records(self._database)]

    def verdict(self, policy: Policy) -> Verdict:
        """Return the verdict on all that is held, as an auditor finds it."""
        notes = read_receipts(self._database, policy.origin)
        statements = [Statement(f"receipt {number}", note) for number, note in enumerate(notes[-1:])]
        return verify(self.records(), policy=policy, statements=statements)


def policy_of(reader: JournalReader) -> Policy:
    """Return the policy of a customer who believes this store."""
    return Policy(
        origin=reader.identity.stream,
        record_0=reader.record_0_hash,
        log_key=reader.log_vkey,
        gateway_party="the plant",
        attesters=(Attester("the customer", "store", _vkey()),),
    )


def _vkey() -> Vkey:
    return COSIGNER.vkey
