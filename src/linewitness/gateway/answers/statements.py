"""What the store says on the receipt's topic, and what of it is signed."""

from dataclasses import dataclass
from typing import Final

from linewitness.evidence.format.checkpoint import open_checkpoint
from linewitness.evidence.format.note import BadNote, Vkey

#: The first word of an answer by which stores of earlier versions contradict: nobody has signed that line.
CONFLICT_WORD: Final = b"conflict"
#: A receipt has 400 bytes; a conflict holds two records of at most 65,535 bytes and a receipt, in base64.
MAX_ANSWER: Final = 200_000


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """A receipt: the size that the store holds, its root, when it was signed, the note's exact text."""

    size: int
    root: bytes
    time_s: int
    note: str


@dataclass(frozen=True, slots=True)
class OpenAccusation:
    """A conflict that the store has signed and that this journal cannot confirm: an alarm, nothing stops."""

    what: str
    hint: str
    time_s: int


def read_receipt(payload: bytes, *, log_vkey: Vkey, store_vkey: Vkey) -> StoreAnswer:
    """Return a verified receipt; BadNote if it is not signed by log key and store."""
    text = text_of(payload)
    checkpoint, note = open_checkpoint(text, log_vkey)
    time_s = note.signed_by(store_vkey)
    if time_s is None:
        raise BadNote(f"an answer without the signature of {store_vkey.name} is no receipt")
    return StoreAnswer(checkpoint.size, checkpoint.root, time_s, text)


def without_unsigned_line(payload: bytes) -> tuple[bytes, str]:
    """Return an answer without the line `conflict …` before it, and that line or nothing.

    Stores of earlier versions put it before their newest receipt. No signature covers it.
    """
    if not payload.startswith(CONFLICT_WORD):
        return payload, ""
    line, _, rest = payload.partition(b"\n\n")
    return rest, line.decode("utf-8", "replace")


def text_of(payload: bytes) -> str:
    """Return an answer as text; BadNote if it is none, or larger than any answer of a store."""
    if len(payload) > MAX_ANSWER:
        raise BadNote(f"an answer of {len(payload)} bytes is none of a store")
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        raise BadNote("an answer that is not UTF-8 is none of a store") from None
