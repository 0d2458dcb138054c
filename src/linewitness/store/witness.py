"""Witness checkpoints as C2SP tlog-witness describes it: cosign only what grows out of what was seen before.

A witness says less than a receipt: it need not hold a record. Its key is another than the store's, for
a cosignature with the store's key means that the store holds all records.
"""

import re
import sqlite3
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from linewitness.base.clock import NS_PER_S, Clock
from linewitness.evidence.format.checkpoint import Checkpoint, open_checkpoint
from linewitness.evidence.format.merkle import EMPTY_ROOT, BadProof, verify_consistency
from linewitness.evidence.format.note import BadNote, Note, Vkey, cosign
from linewitness.store.database.errors import StoreError
from linewitness.store.keys import Cosigner

MAX_REQUEST: Final = 65_536
#: A proof of more hashes is not of any tree that there can be.
MAX_HASHES: Final = 63
_PLAIN: Final = "text/plain; charset=utf-8"
_SIZE: Final = "text/x.tlog.size"
_ROOT_BYTES: Final = 32

_OLD: Final = re.compile(r"0|[1-9][0-9]{0,18}")

LogKeyOf = Callable[[str], Vkey | None]


@dataclass(frozen=True, slots=True)
class WitnessReply:
    """What goes back over HTTP."""

    status: int
    body: str
    content_type: str = _PLAIN


class _Refused(Exception):
    """The request ends here, with this reply."""

    def __init__(self, reply: WitnessReply) -> None:
        super().__init__(reply.body)
        self.reply = reply


class Witness:
    """The newest checkpoint of each stream, durable before it is cosigned; usable from any thread."""

    def __init__(self, state: Path, cosigner: Cosigner, *, log_key_of: LogKeyOf, clock: Clock) -> None:
        """Open or create the state; `log_key_of` returns the log key of a known origin, or None."""
        self._cosigner = cosigner
        self._log_key_of = log_key_of
        self._clock = clock
        self._lock = Lock()
        try:
            self._connection = sqlite3.connect(state, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS seen (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, "
                "root BLOB NOT NULL) STRICT"
            )
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{state}: {error}", hint="a witness must not forget: restore nothing older than this"
            ) from error

    def close(self) -> None:
        """Close the state."""
        self._connection.close()

    def add_checkpoint(self, request: bytes) -> WitnessReply:
        """Judge one request and cosign its checkpoint, or say why not."""
        try:
            old, proof, text = _parse(request)
            checkpoint, signed = self._known(text)
            with self._lock:
                self._remember(old, proof, checkpoint)
                # Still under the lock: at the time that it names, this is the largest tree that was seen.
                time_s = self._clock.stamp().realtime_ns // NS_PER_S
                line = cosign(signed.text, name=self._cosigner.name, key=self._cosigner.key, time_s=time_s)
        except _Refused as refused:
            return refused.reply
        except sqlite3.Error as error:
            return WitnessReply(503, f"the witness cannot remember this now: {error}\n")
        return WitnessReply(200, f"{line}\n")

    def _known(self, text: str) -> tuple[Checkpoint, Note]:
        try:
            origin = Checkpoint.parse(Note.parse(text).text).origin
        except BadNote as error:
            raise _Refused(WitnessReply(400, f"{error.what}\n")) from None
        log_key = self._log_key_of(origin)
        if log_key is None:
            raise _Refused(WitnessReply(404, "this stream is not known here\n"))
        try:
            return open_checkpoint(text, log_key)
        except BadNote as error:
            raise _Refused(WitnessReply(403, f"{error.what}\n")) from None

    def _remember(self, old: int, proof: list[bytes], checkpoint: Checkpoint) -> None:
        """Compare with what was seen before and remember, in one transaction: another process waits."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._extend(old, proof, checkpoint)
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _extend(self, old: int, proof: list[bytes], checkpoint: Checkpoint) -> None:
        """Write a checkpoint that extends the one seen before."""
        row = self._connection.execute(
            "SELECT size, root FROM seen WHERE origin = ?", (checkpoint.origin,)
        ).fetchone()
        size, root = row or (0, EMPTY_ROOT)
        if old > checkpoint.size:
            raise _Refused(WitnessReply(400, "the old size is larger than the checkpoint's\n"))
        if old != size or (checkpoint.size == size and checkpoint.root != root):
            raise _Refused(WitnessReply(409, f"{size}\n", _SIZE))
        if not size and proof:
            raise _Refused(WitnessReply(422, "a proof from nothing is empty\n"))
        try:
            if size:
                verify_consistency(size, root, checkpoint.size, checkpoint.root, proof)
        except BadProof as error:
            raise _Refused(WitnessReply(422, f"{error.what}\n")) from None
        # Crash here: nothing is remembered and nothing was cosigned. After the commit: it is remembered,
        # and the gateway asks again with the size that it is then told.
        self._connection.execute(
            "INSERT INTO seen VALUES (?, ?, ?) ON CONFLICT (origin) DO UPDATE SET "
            "size = excluded.size, root = excluded.root",
            (checkpoint.origin, checkpoint.size, checkpoint.root),
        )


def _parse(request: bytes) -> tuple[int, list[bytes], str]:
    """Return old size, consistency proof and note of a request."""
    try:
        head, separator, note = request.decode("utf-8").partition("\n\n")
        first, *hashes = head.split("\n")
        word, _, old = first.partition(" ")
        proof = [b64decode(line, validate=True) for line in hashes]
    except ValueError:
        raise _Refused(WitnessReply(400, "not a request of tlog-witness\n")) from None
    canonical = all(b64encode(step).decode() == line for step, line in zip(proof, hashes, strict=True))
    whole = len(proof) <= MAX_HASHES and all(len(step) == _ROOT_BYTES for step in proof)
    if word != "old" or not separator or not _OLD.fullmatch(old) or not canonical or not whole:
        raise _Refused(WitnessReply(400, "a request is `old <size>`, hashes, an empty line, a checkpoint\n"))
    return int(old), proof, note
