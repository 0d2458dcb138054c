"""Weigh a conflict that the store has signed: whether it proves another history than this journal's."""

from dataclasses import dataclass
from typing import Final

from linewitness.base.errors import EvidenceError
from linewitness.evidence.format.accusation import Accusation
from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.evidence.format.merkle import root_at
from linewitness.evidence.format.note import BadNote, Vkey
from linewitness.evidence.format.record import parse
from linewitness.evidence.format.signed_run import vouched_for
from linewitness.journal.reader import JournalReader

OTHERS: Final = "another gateway writes this stream with its keys: look for a copy of this box or its journal"
ASK: Final = "compare `linewitness store conflicts` at the store with this journal"


@dataclass(frozen=True, slots=True)
class WeighedAccusation:
    """What is left of an accusation: `proven` where this journal contradicts it by the stream's own keys."""

    proven: bool
    what: str
    hint: str


def weigh(accusation: Accusation, reader: JournalReader, *, receipted: int) -> WeighedAccusation:
    """Compare an accusation with the journal; good receipts of the store cover its first `receipted` records.

    Only a record can prove it: one that a key of this stream has signed at a position where this journal
    holds another one. A checkpoint shows that the log key signed another history, and not which is the
    store's: the store's receipts do, and they are judged apart. A good receipt outweighs: the store has
    attested this journal's records there.
    """
    if accusation.subject == "checkpoint":
        return _of_checkpoint(accusation, reader)
    return _of_record(accusation, reader, receipted)


def _of_record(accusation: Accusation, reader: JournalReader, receipted: int) -> WeighedAccusation:
    reported = f"the store reports a conflict {accusation.reason}"
    position = _position(accusation)
    if position is None:
        return WeighedAccusation(False, f"{reported}; what it shows is no record of this stream", ASK)
    own = next((data for seq, data in reader.records(position, position + 1) if seq == position), None)
    held = accusation.held.split(b"\n")
    if own == held[0]:
        if _sent_by_us(accusation, reader):
            return WeighedAccusation(False, f"{reported}; it holds this journal's records before it", ASK)
        return WeighedAccusation(False, f"{reported}; it holds this journal's records, not that", OTHERS)
    if position < receipted:
        what = f"{reported}; it holds another record {position} than its own receipts over {receipted} attest"
        return WeighedAccusation(False, what, ASK)
    key = _event_key_at(reader, position)
    if own is None or not vouched_for(held, stream=accusation.origin, event_key=key):
        return WeighedAccusation(False, f"{reported}; this journal cannot compare record {position}", ASK)
    what = (
        f"the store holds another record {position} than this journal, signed by this stream's key: this "
        "journal was restored from an older copy and went on, or another gateway writes this stream too"
    )
    return WeighedAccusation(True, what, OTHERS)


def _of_checkpoint(accusation: Accusation, reader: JournalReader) -> WeighedAccusation:
    reported = f"the store reports a conflict {accusation.reason}"
    try:
        checkpoint, _ = open_checkpoint(accusation.sent.decode("utf-8", "replace"), reader.log_vkey)
    except BadNote:
        return WeighedAccusation(False, f"{reported}; it shows no checkpoint of this stream's log key", ASK)
    ours = checkpoint.size <= reader.size() and checkpoint.root == root_at(
        checkpoint.size, reader.tree().subtree
    )
    if ours:
        return WeighedAccusation(False, f"{reported}; the checkpoint is this journal's own", ASK)
    return WeighedAccusation(False, f"{reported}; the checkpoint is not this journal's", OTHERS)


def _position(accusation: Accusation) -> int | None:
    """Return the position of the record that the store holds: that of the one sent, or the one before."""
    try:
        members = parse(accusation.held.partition(b"\n")[0])
    except EvidenceError:
        return None
    position = int(members["sequence_no"])
    if members["integrity"]["stream"] != accusation.origin:
        return None
    return position if position in (accusation.at, accusation.at - 1) else None


def _sent_by_us(accusation: Accusation, reader: JournalReader) -> bool:
    sent = accusation.sent.split(b"\n")
    return sent == [data for _, data in reader.records(accusation.at, accusation.at + len(sent))]


def _event_key_at(reader: JournalReader, position: int) -> Vkey:
    """Return the key that signs the record at a position of this journal."""
    return [vkey for first, vkey in reader.event_keys() if first <= position][-1]
