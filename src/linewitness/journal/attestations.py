"""What lies in the journal beside the records: its head, receipts, attestations, how far it was pruned."""

from dataclasses import dataclass
from typing import Final

#: The key of the state under which the boundary of pruning is kept: an integer as text.
PRUNED: Final = "journal/pruned"
#: Before the name of a place that does not take checkpoints; the value is since when.
FAILING: Final = "anchor/"
#: Before the name of a time-stamping authority, in the source of an attestation.
TIME_STAMP: Final = "time stamp "


@dataclass(frozen=True, slots=True)
class JournalHead:
    """Where the stream stands after a commit."""

    size: int
    record_hash: str
    root: bytes


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """A verified receipt of the store: the size that it covers, the note's exact text, when it came."""

    size: int
    note: str
    received_at: str


@dataclass(frozen=True, slots=True)
class StoredAttestation:
    """A checkpoint that is out of our reach: `source` names the place or the witness, `proof` what it gave.

    `note` is the checkpoint's text as it lies there, cosignatures included.
    """

    size: int
    source: str
    note: str
    proof: bytes | None
    at: str


def is_time_stamp(source: str) -> bool:
    """Return whether the proof of an attestation from this source is an RFC 3161 token."""
    return source.startswith(TIME_STAMP)
