"""What becomes durable together: events, and what the journal stores besides their records."""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from linewitness.base.mappings import EMPTY
from linewitness.evidence.format.record import Change, Event
from linewitness.evidence.format.value_changes import ValueChanges, count_records
from linewitness.journal.attestations import StoredAttestation, StoredReceipt
from linewitness.journal.records.raws import store_unrecorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What is to become durable together, or not at all.

    `state` maps keys to new values (None deletes); `raw` maps the hex SHA-256 of a device's own bytes that
    no event carries to the bytes; `receipt` and `checkpoint` (size, note) are stored besides the records, and
    the receipt over `replaced_receipt` records gives way; `rotate` makes a new event key take over from the
    next record on; `freeze` marks the stream as contradicted, for ever. `clock_setting_ns` is how the clock
    was set when it was submitted, see `Event`.
    """

    events: tuple[Event | ValueChanges, ...] = ()
    state: Mapping[str, str | None] = field(default_factory=lambda: EMPTY)
    raw: Mapping[str, bytes] = field(default_factory=lambda: EMPTY)
    receipt: StoredReceipt | None = None
    replaced_receipt: int | None = None
    checkpoint: tuple[int, str] | None = None
    rotate: bool = False
    freeze: bool = False
    attestation: StoredAttestation | None = None
    clock_setting_ns: int | None = None

    @property
    def count(self) -> int:
        """How many records the events become."""
        return count_records(self.events)

    def stamped_events(self) -> Iterator[Event | ValueChanges]:
        """Yield the events; those that do not say how the clock was set then get it from the submission."""
        for event in self.events:
            if isinstance(event, ValueChanges):
                yield event
            elif event.clock_setting_ns is None and self.clock_setting_ns is not None:
                yield replace(event, clock_setting_ns=self.clock_setting_ns)
            else:
                yield event


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """How a new generation begins: `heads` stand in record 0, `changes` and `reason` in record 1."""

    heads: tuple[Change, ...]
    changes: tuple[Change, ...]
    reason: str
    state: Mapping[str, str]


def store_beside(connection: sqlite3.Connection, submission: Submission, *, size: int) -> None:
    """Write all but the events of a submission within the transaction; `size` is the stream's by then."""
    if submission.state:
        _store_state(connection, submission.state)
    if submission.raw:
        store_unrecorded(connection, submission.raw, max(size - 1, 0))
    if submission.receipt is not None:
        receipt = submission.receipt
        connection.execute(
            "INSERT INTO receipt VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (receipt.size, receipt.note, receipt.received_at),
        )
        connection.execute("DELETE FROM receipt WHERE size = ?", (submission.replaced_receipt,))
    if submission.checkpoint is not None:
        connection.execute("INSERT OR REPLACE INTO checkpoint VALUES (0, ?, ?)", submission.checkpoint)
    if submission.attestation is not None:
        attested = submission.attestation
        connection.execute(
            "INSERT INTO attestation (size, source, note, proof, at) VALUES (?, ?, ?, ?, ?)",
            (attested.size, attested.source, attested.note, attested.proof, attested.at),
        )
    if submission.freeze:
        connection.execute("UPDATE stream SET state = 'frozen'")


def _store_state(connection: sqlite3.Connection, state: Mapping[str, str | None]) -> None:
    connection.executemany(
        "INSERT INTO state VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [(key, value) for key, value in state.items() if value is not None],
    )
    connection.executemany(
        "DELETE FROM state WHERE key = ?", [(key,) for key, value in state.items() if value is None]
    )
