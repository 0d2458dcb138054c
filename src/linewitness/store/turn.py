"""One transaction of the ledger: what it decides, and what is answered once it is committed."""

from dataclasses import dataclass, field

from sqlalchemy import Connection

from linewitness.base.clock import to_rfc3339
from linewitness.store.stream import Stream


@dataclass(frozen=True, slots=True)
class LedgerAnswer:
    """What is published, retained, once the transaction is committed."""

    topic: str
    payload: bytes


@dataclass(slots=True)
class LedgerTurn:
    """One transaction: its connection, its time, and what is to be answered after the commit."""

    connection: Connection
    now_ns: int
    boottime_ns: int
    receipts: dict[str, Stream] = field(default_factory=dict)
    conflicts: dict[str, tuple[Stream, str]] = field(default_factory=dict)

    @property
    def at(self) -> str:
        """The time of acceptance."""
        return to_rfc3339(self.now_ns)

    def answers(self) -> list[LedgerAnswer]:
        """Return one answer a gateway; a conflict outweighs a receipt.

        Where there is no receipt yet, the empty message asks for all, and takes away what the broker
        retained of a store that this one replaces.
        """
        payloads = {topic: stream.receipt_note.encode() for topic, stream in self.receipts.items()}
        for topic, (stream, reason) in self.conflicts.items():
            payloads[topic] = conflict_payload(f"{stream.enrolment.origin} {reason}", stream.receipt_note)
        return [LedgerAnswer(topic, payload) for topic, payload in payloads.items()]


def conflict_payload(reason: str, newest: str) -> bytes:
    """Return the answer: `conflict <origin> <reason>`, an empty line, and the newest receipt if any."""
    return f"conflict {' '.join(reason.split())}\n\n{newest}".encode()
