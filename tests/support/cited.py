"""Records that cite what other parties signed, as a gateway writes them."""

from typing import Any

from linewitness.base.clock import to_rfc3339
from linewitness.evidence.format.record import Change, sha256
from support.chain_builder import Stream


def cite(stream: Stream, note: str, time_s: int, **other: Any) -> None:
    """Append the record of a receipt, as the gateway does; `other` are further members."""
    stream.add(
        "custody.received",
        (
            Change("receipt", None, sha256(note.encode())),
            Change("cosigned_at", None, to_rfc3339(time_s * 1_000_000_000)),
        ),
        actor={"type": "service", "id": "store.example"},
        **other,
    )
