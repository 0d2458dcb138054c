"""One stream as the store holds it: the verified head in memory, everything else in the database."""

from typing import Final

from sqlalchemy import Connection, insert, select, update

from linewitness.evidence.format.checkpoint import Checkpoint, open_checkpoint
from linewitness.evidence.format.columns import read_together
from linewitness.evidence.format.merkle import root_at
from linewitness.evidence.format.note import Note, Vkey
from linewitness.evidence.verify.chain import Broken
from linewitness.store.acceptance import Accepted, ReadLine
from linewitness.store.database import tables
from linewitness.store.database.enrolments import Enrolment, newest_receipt
from linewitness.store.database.errors import StoreError, StoreMoved
from linewitness.store.database.statements import statements_for
from linewitness.store.database.stored_records import StoredRecords, store_run
from linewitness.store.heads import acceptance_at, event_key_at
from linewitness.store.tree import StoreTree

_ADD_RECEIPT: Final = insert(tables.receipts)


class Stream:
    """A stream's head; it is thrown away whenever a transaction fails, and loaded again."""

    def __init__(self, connection: Connection, enrolment: Enrolment) -> None:
        """Load the head from the database."""
        self.enrolment = enrolment
        #: The largest signed checkpoint that waits for its records; it survives a restart.
        self.pending: tuple[Checkpoint, Note] | None = None
        #: When (boottime) the last records were accepted.
        self.grown_ns = 0
        #: At which size, and when (boottime), the gateway was last told of a hole.
        self.hole_told = (-1, 0)
        #: Records after the last one held, for which no signature vouches yet.
        self.waiting: list[bytes] = []
        statements = statements_for(connection)
        # Nobody moves the head while it is read: another's commit between two queries would look like damage.
        statements.lock(connection, enrolment.stream_id)
        statements.settle(connection)
        size = statements.size(connection, enrolment.stream_id)
        self._acceptance = acceptance_at(connection, enrolment, size)
        self.receipt_size, self.receipt_note = newest_receipt(connection, enrolment.stream_id)
        if self.receipt_size > self.size:
            raise StoreError(
                f"{self.receipt_size} records of {enrolment.origin} were receipted, {self.size} are there",
                hint="`linewitness store check` says what is damaged; restore the newest sound backup",
            )
        self._recall_pending(connection)

    @property
    def size(self) -> int:
        """The number of records held."""
        return self._acceptance.size

    @property
    def reach(self) -> int:
        """The position of the record that comes next: those that wait for a signature are here, not held."""
        return self.size + len(self.waiting)

    def take_waiting(self, first: int) -> list[bytes]:
        """Return what waits before record `first`, which is here now; nothing waits any more."""
        waiting, self.waiting = self.waiting, []
        return waiting[: max(0, first - self.size)]

    def held(self, connection: Connection, first: int, count: int) -> list[bytes]:
        """Return the exact bytes of the records from `first` on, at most `count`."""
        self._fence(connection)
        if first >= self.size:
            return []
        records = StoredRecords(connection, self.enrolment.stream_id)
        return [line for _, line in records.between(first, min(first + count, self.size))]

    def is_retired(self, connection: Connection) -> bool:
        """Return whether the stream is at its end; to be asked after `held`, which keeps others out."""
        retired = tables.retirements
        mine = select(retired.c.size).where(retired.c.stream_id == self.enrolment.stream_id)
        return connection.execute(mine).first() is not None

    def event_key_at(self, connection: Connection, seq: int) -> Vkey | None:
        """Return the key that signs the record at `seq`, or None before record 0 is held."""
        return event_key_at(connection, self.enrolment, seq)

    def root_at(self, connection: Connection, size: int) -> bytes:
        """Return the Merkle root over the first `size` records, all of which are held."""
        if size == self.size:
            return self._acceptance.root()
        return root_at(size, StoreTree(connection, self.enrolment.stream_id).subtree)

    def accept(self, connection: Connection, lines: list[bytes], accepted_at: str) -> Accepted:
        """Verify the lines from the head on and store those that follow."""
        accepted = self._accept_together(connection, lines) or self._accept_singly(connection, lines)
        if accepted.records:
            store_run(connection, self.enrolment.stream_id, accepted.records, accepted_at)
            self._store_edges(connection, accepted)
        return accepted

    def _accept_together(self, connection: Connection, lines: list[bytes]) -> Accepted | None:
        """Verify lines as columns; None, and nothing is accepted, where one needs a look of its own."""
        records = read_together(lines)
        if records is None or self._repeated(connection, records.event_ids) is not None:
            return None
        return self._acceptance.accept_together(records)

    def _accept_singly(self, connection: Connection, lines: list[bytes]) -> Accepted:
        read = [ReadLine.of(line) for line in lines]
        repeated = self._repeated(connection, [line.event_id for line in read])
        accepted = self._acceptance.accept(read[:repeated])
        if repeated is not None and accepted.stopped is None:
            accepted.stopped = Broken(self.size, "its event_id is that of an earlier record")
        return accepted

    def expect(self, connection: Connection, checkpoint: Checkpoint, signed: Note, at: str) -> None:
        """Keep a signed checkpoint whose records are still to come, if it is the largest."""
        if self.pending is not None and checkpoint.size <= self.pending[0].size:
            return
        self.pending = (checkpoint, signed)
        heads, values = tables.heads, {"size": checkpoint.size, "note": str(signed), "seen_at": at}
        mine = heads.c.stream_id == self.enrolment.stream_id
        if not connection.execute(update(heads).where(mine).values(**values)).rowcount:
            connection.execute(insert(heads).values(stream_id=self.enrolment.stream_id, **values))

    def add_receipt(self, connection: Connection, checkpoint: Checkpoint, receipt: Note, at: str) -> None:
        """Store a receipt, which is now the newest."""
        self._fence(connection)
        self.receipt_size, self.receipt_note = checkpoint.size, str(receipt)
        values = {
            "stream_id": self.enrolment.stream_id,
            "size": checkpoint.size,
            "root": checkpoint.root,
            "note": self.receipt_note,
            "cosigned_at": at,
        }
        connection.execute(_ADD_RECEIPT, values)

    def _recall_pending(self, connection: Connection) -> None:
        heads = tables.heads
        mine = heads.c.stream_id == self.enrolment.stream_id
        found = connection.execute(select(heads.c.note).where(mine, heads.c.size > self.size))
        note = found.scalar_one_or_none()
        if note is not None:
            self.pending = open_checkpoint(note, self.enrolment.log_vkey)

    def _repeated(self, connection: Connection, event_ids: list[str]) -> int | None:
        """Return the position of the first event_id that is held already or stands there before."""
        held = statements_for(connection).events_held(connection, self.enrolment.stream_id, event_ids)
        if not held and len(set(event_ids)) == len(event_ids):
            return None
        for position, event_id in enumerate(event_ids):
            if event_id in held:
                return position
            held.add(event_id)
        return None

    def _store_edges(self, connection: Connection, accepted: Accepted) -> None:
        stream_id = self.enrolment.stream_id
        nodes = [
            {"stream_id": stream_id, "level": level, "idx": index, "hash": node}
            for level, index, node in accepted.nodes
        ]
        if nodes:
            connection.execute(insert(tables.nodes), nodes)
        keys = [
            {"stream_id": stream_id, "first_seq": first, "vkey": vkey} for first, vkey in accepted.event_keys
        ]
        if keys:
            connection.execute(insert(tables.event_keys), keys)

    def _fence(self, connection: Connection) -> None:
        """Keep other writers of the stream out until the commit, and require that none has moved its head."""
        statements, stream_id = statements_for(connection), self.enrolment.stream_id
        statements.lock(connection, stream_id)
        if statements.size(connection, stream_id) != self.size:
            raise StoreMoved(
                f"another program moved the head of {self.enrolment.origin}",
                hint="only one store may run on a database",
            )
