"""Read what was handed over once a day with everything else, so that damage to it is known as well."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, Row, select

from linewitness.evidence.format import record
from linewitness.evidence.format.ended import open_taken
from linewitness.evidence.format.merkle import Frontier, leaf_hash
from linewitness.evidence.format.note import BadNote, Vkey
from linewitness.evidence.format.tiles import TILE_LEAVES
from linewitness.store.database import tables
from linewitness.store.tree import StoreTree


class HandoverInspection:
    """One handover: its records are read some at a time, and must lead to the root of our statement."""

    def __init__(self, row: Row[Any], store_key: Vkey) -> None:
        """Take the row; nothing is read yet."""
        self._row = row
        self._store_key = store_key
        self._tree: Frontier | None = None

    def looks(self) -> Iterator[Callable[[Connection], str]]:
        """Yield what is to be looked at, each in a short transaction; a look returns damage, or nothing."""
        yield self._look_at_statement
        for first in range(self._row.first, self._row.size, TILE_LEAVES):
            yield partial(self._look_at_records, first)

    def _look_at_statement(self, connection: Connection) -> str:
        row = self._row
        self._tree = Frontier(row.first, StoreTree(connection, row.stream_id).subtree)
        try:
            taken, _ = open_taken(row.note, self._store_key)
        except BadNote as error:
            return f"the statement on {self._name} is damaged: {error.what}"
        if (taken.origin, taken.first, taken.size, taken.root) != (row.origin, row.first, row.size, row.root):
            return f"the statement on {self._name} is not the one that was written"
        return ""

    def _look_at_records(self, first: int, connection: Connection) -> str:
        last = min(first + TILE_LEAVES, self._row.size)
        records = tables.handover_records
        query = select(records).where(
            records.c.handover_id == self._row.id, records.c.seq >= first, records.c.seq < last
        )
        rows = connection.execute(query.order_by(records.c.seq)).all()
        if self._tree is None or self._tree.size != first:
            return ""  # what is missing before was told
        if [row.seq for row in rows] != list(range(first, last)):
            return f"of the records {first} to {last - 1} of {self._name}, {len(rows)} are there"
        for row in rows:
            self._tree.append(leaf_hash(row.data))
            if not _is_found(row):
                return f"record {row.seq} of {self._name} is not found by what it says"
        if last == self._row.size and self._tree.root() != self._row.root:
            return f"the records of {self._name} are not those that were written"
        return ""

    @property
    def _name(self) -> str:
        return f"the {'fork' if self._row.fork else 'end'} of {self._row.origin} that was handed over"


def _is_found(row: Row[Any]) -> bool:
    try:
        members = orjson.loads(row.data)
        said = (members["kind"], record.unit_of(members), members["occurred_at"])
    except (ValueError, TypeError, KeyError):
        return False
    return said == (row.kind, row.unit, row.occurred_at)
