"""One stream of the audit store, as evidence packages are made from it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Self

from sqlalchemy import Connection, select

from linewitness.base.errors import ConfigurationError
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.merkle import root_at
from linewitness.evidence.format.note import Note
from linewitness.evidence.package.build import CannotPack
from linewitness.evidence.package.time_stamps import StampedCheckpoint
from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import Enrolment, enrolled, find
from linewitness.store.database.statements import statements_for
from linewitness.store.database.stored_records import StoredRecords
from linewitness.store.database.tenants import the_tenant
from linewitness.store.keys import Cosigner
from linewitness.store.tree import StoreTree

_FETCH = 1000


class StoreHoldings:
    """What the store holds of one stream, in one snapshot; nothing is ever pruned here."""

    def __init__(self, connection: Connection, enrolment: Enrolment) -> None:
        """Read through a connection."""
        self._connection = connection
        self._stream_id = enrolment.stream_id
        self.origin = enrolment.origin
        self.size = statements_for(connection).size(connection, enrolment.stream_id)
        self.first = 0
        #: Whether the store itself writes it; nobody receipts such a stream.
        self.is_own = enrolment.is_own
        #: A checkpoint that was made for this export, of all records.
        self.checkpoint: str | None = None
        self.subtree = StoreTree(connection, enrolment.stream_id).subtree

    @classmethod
    @contextmanager
    def open(cls, database: Database, origin: str | None, *, tenant: str | None = None) -> Iterator[Self]:
        """Open a tenant's stream; None where there is only one. ConfigurationError otherwise."""
        tenant = the_tenant(database, tenant)
        with database.reading(tenant) as connection:
            origins = [each.origin for each in enrolled(connection, tenant)]
            if origin is None and len(origins) == 1:
                origin = origins[0]
            found = find(connection, tenant, origin) if origin else None
            if found is None:
                raise ConfigurationError(
                    f"the stream {origin} is not enrolled here"
                    if origin
                    else f"a package is about one stream, and {len(origins)} are enrolled here",
                    hint="name one with --stream; `linewitness store status` lists all",
                )
            yield cls(connection, found)

    @classmethod
    @contextmanager
    def open_all(cls, database: Database, *, tenant: str | None = None) -> Iterator[list[Self]]:
        """Open all streams of a tenant in one snapshot; ConfigurationError where that is not clear."""
        tenant = the_tenant(database, tenant)
        with database.reading(tenant) as connection:
            yield [cls(connection, each) for each in enrolled(connection, tenant)]

    def records(self) -> Iterator[tuple[int, bytes]]:
        """Yield all records."""
        return self.between(0, self.size)

    def between(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Yield the records [first, last)."""
        return StoredRecords(self._connection, self._stream_id).between(first, last)

    def of_unit(self, unit: str) -> Iterator[tuple[int, bytes]]:
        """Yield the records of one unit."""
        entries = tables.entries
        mine = entries.c.stream_id == self._stream_id, entries.c.unit == unit
        query = select(entries.c.seq).where(*mine).order_by(entries.c.seq)
        found = self._connection.execution_options(yield_per=_FETCH).execute(query)
        return self._at(found.scalars())

    def key_records(self) -> Iterator[tuple[int, bytes]]:
        """Yield record 0 and every rotation."""
        keys = tables.event_keys
        query = select(keys.c.first_seq).where(keys.c.stream_id == self._stream_id).order_by(keys.c.first_seq)
        # The first key is that of record 0 itself, any other begins after the rotation that announces it.
        firsts = self._connection.execute(query).scalars().all()
        return self._at(first and first - 1 for first in firsts)

    def notes(self) -> Iterator[str]:
        """Yield the receipts, oldest first, then the checkpoint that was made for this export."""
        receipts = tables.receipts
        query = select(receipts.c.note).where(receipts.c.stream_id == self._stream_id)
        yield from self._connection.execute(query.order_by(receipts.c.size)).scalars()
        if self.checkpoint is not None:
            yield self.checkpoint

    def held(self, cosigner: Cosigner, time_s: int) -> str | None:
        """Return the newest checkpoint, cosigned at this time: so many records are held now; or None.

        CannotPack if the records here are not those of the checkpoint: nothing is signed over others.
        """
        receipts = tables.receipts
        query = select(receipts.c.note).where(receipts.c.stream_id == self._stream_id)
        note = self._connection.execute(query.order_by(receipts.c.size.desc()).limit(1)).scalar()
        if note is None:
            return None
        signed = Note.parse(note)
        checkpoint = Checkpoint.parse(signed.text)
        if checkpoint.size > self.size or root_at(checkpoint.size, self.subtree) != checkpoint.root:
            raise CannotPack(
                f"the records here are not the {checkpoint.size} of the newest receipt",
                hint="`linewitness store check` says which are damaged",
            )
        own = [line for line in signed.signatures if line.name == self.origin]
        return str(cosigner.cosign(Note(signed.text, tuple(own)), time_s))

    def stamps(self) -> Iterator[StampedCheckpoint]:
        """Yield nothing: time stamps are with the gateway, which asked for them."""
        yield from ()

    def _at(self, numbers: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        records = StoredRecords(self._connection, self._stream_id)
        return ((seq, records.at(seq).data) for seq in numbers)
