"""One transaction of the ledger: what it decides, and what is answered once it is committed."""

from dataclasses import dataclass, field

from sqlalchemy import Connection

from linewitness.base.clock import NS_PER_S, to_rfc3339
from linewitness.evidence.format.accusation import Accusation, Subject
from linewitness.store.keys import Cosigner
from linewitness.store.stream import Stream


@dataclass(frozen=True, slots=True)
class LedgerAnswer:
    """What is published, retained, once the transaction is committed."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class ConflictFound:
    """A signed statement of a gateway that contradicts what is held, and what is held; see `Accusation`."""

    subject: Subject
    at: int
    reason: str
    held: bytes
    sent: bytes


@dataclass(slots=True)
class LedgerTurn:
    """One transaction: its connection, its time, and what is to be answered after the commit."""

    connection: Connection
    now_ns: int
    boottime_ns: int
    tenant: str = ""
    receipts: dict[str, Stream] = field(default_factory=dict)
    conflicts: dict[str, tuple[Stream, ConflictFound]] = field(default_factory=dict)

    @property
    def at(self) -> str:
        """The time of acceptance."""
        return to_rfc3339(self.now_ns)

    def answers(self, cosigner: Cosigner) -> list[LedgerAnswer]:
        """Return one answer a gateway; a conflict carries the newest receipt, and so stands for both.

        Where there is no receipt yet, the empty message asks for all, and takes away what the broker
        retained of a store that this one replaces.
        """
        payloads = {topic: stream.receipt_note.encode() for topic, stream in self.receipts.items()}
        for topic, (stream, found) in self.conflicts.items():
            accusation = Accusation(
                origin=stream.enrolment.origin,
                subject=found.subject,
                at=found.at,
                reason=found.reason,
                receipt=stream.receipt_note,
                held=found.held,
                sent=found.sent,
            )
            payloads[topic] = str(cosigner.accuse(accusation, self.now_ns // NS_PER_S)).encode()
        return [LedgerAnswer(topic, payload) for topic, payload in payloads.items()]
