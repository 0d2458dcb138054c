"""The store's tables. Records and receipts are written once; the schema refuses to change or delete them.

Records lie in runs, compressed together as they came, and each has a narrow entry by which it is found.
"""

from typing import Any, Final

from sqlalchemy import (
    DDL,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    event,
)
from sqlalchemy.schema import SchemaItem

from linewitness.store.database.text import StoredText as Text

SCHEMA: Final = 3

metadata: Final = MetaData()


def _table(name: str, *parts: SchemaItem, **settings: Any) -> Table:
    return Table(name, metadata, *parts, sqlite_strict=True, **settings)


def _stream() -> Column[int]:
    return Column("stream_id", Integer, ForeignKey("streams.id"), nullable=False)


store: Final = _table("store", Column("schema", Integer, nullable=False))

#: Who owns streams; no query crosses from one to another.
tenants: Final = _table(
    "tenants", Column("tenant", Text, primary_key=True), Column("created_at", Text, nullable=False)
)

#: One row an enrolled stream. Its head is where its newest run ends: nothing of it is ever changed.
streams: Final = _table(
    "streams",
    Column("id", Integer, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("log_vkey", Text, nullable=False),
    Column("record0_hash", Text, nullable=False),
    Column("enrolled_at", Text, nullable=False),
    UniqueConstraint("tenant", "origin"),
    Index("streams_by_gateway", "tenant", "gateway"),
)

#: From which record on an event key signs.
event_keys: Final = _table(
    "event_keys",
    _stream(),
    Column("first_seq", Integer, nullable=False),
    Column("vkey", Text, nullable=False),
    PrimaryKeyConstraint("stream_id", "first_seq"),
)

#: Consecutive records as they came in one batch; `codec` says how `data` is packed, see `stored_records`.
runs: Final = _table(
    "runs",
    _stream(),
    Column("first_seq", Integer, nullable=False),
    Column("count", Integer, nullable=False),
    Column("accepted_at", Text, nullable=False),
    Column("codec", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("stream_id", "first_seq"),
)

#: What a record is found by; its bytes are in the run that has its number.
entries: Final = _table(
    "entries",
    _stream(),
    Column("seq", Integer, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("unit", Text),
    Column("occurred_at", Text, nullable=False),
    PrimaryKeyConstraint("stream_id", "seq"),
    UniqueConstraint("stream_id", "event_id"),
    sqlite_with_rowid=False,
)
Index("entries_by_unit", entries.c.unit, sqlite_where=entries.c.unit.is_not(None))

#: The tree's complete subtrees of 256, 65536 … leaves; what lies below is computed from the records.
nodes: Final = _table(
    "nodes",
    _stream(),
    Column("level", Integer, nullable=False),
    Column("idx", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("stream_id", "level", "idx"),
)

receipts: Final = _table(
    "receipts",
    _stream(),
    Column("size", Integer, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
    Column("cosigned_at", Text, nullable=False),
    PrimaryKeyConstraint("stream_id", "size"),
)

#: Signed statements of a gateway that contradict what we hold: evidence, so the bytes are kept.
conflicts: Final = _table(
    "conflicts",
    Column("id", Integer, primary_key=True),
    _stream(),
    Column("seq", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("seen_at", Text, nullable=False),
    UniqueConstraint("stream_id", "digest"),
)

#: Streams at their end: no record of theirs is accepted any more.
retirements: Final = _table(
    "retirements",
    Column("stream_id", Integer, ForeignKey("streams.id"), primary_key=True),
    Column("size", Integer, nullable=False),
    Column("retired_at", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

#: For how many days a tenant's records are kept; null for ever. The last one counts.
retentions: Final = _table(
    "retentions",
    Column("id", Integer, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("days", Integer),
    Column("changed_at", Text, nullable=False),
)

#: How far a gateway's stream was when record `seq` of the tenant's own stream `own_id` said so.
custody: Final = _table(
    "custody",
    Column("own_id", Integer, ForeignKey("streams.id"), nullable=False),
    _stream(),
    Column("size", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("taken_at", Text, nullable=False),
    PrimaryKeyConstraint("own_id", "stream_id", "size"),
)

#: What was not accepted and proves nothing: unknown gateways, unsigned or malformed data.
refusals: Final = _table(
    "refusals",
    Column("id", Integer, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("first_at", Text, nullable=False),
    Column("last_at", Text, nullable=False),
    UniqueConstraint("tenant", "gateway", "origin", "reason"),
)

#: The largest checkpoint of each gateway that came before its records: what is still on its way.
heads: Final = _table(
    "heads",
    Column("stream_id", Integer, ForeignKey("streams.id"), primary_key=True),
    Column("size", Integer, nullable=False),
    Column("note", Text, nullable=False),
    Column("seen_at", Text, nullable=False),
)

#: Notices of records that had not come; `note` is empty once the record, or another in its place, is held.
notices: Final = _table(
    "notices",
    Column("id", Integer, primary_key=True),
    _stream(),
    Column("seq", Integer, nullable=False),
    Column("record_hash", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("unit", Text),
    Column("occurred_at", Text, nullable=False),
    Column("seen_at", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("settled_at", Text),
    Column("bytes", Integer, nullable=False),
    Column("note", Text, nullable=False),
    UniqueConstraint("stream_id", "seq", "record_hash"),
    Index("notices_by_state", "stream_id", "state", "seq"),
)

#: How many notices of a gateway were not taken, and why.
notice_refusals: Final = _table(
    "notice_refusals",
    Column("tenant", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("first_at", Text, nullable=False),
    Column("last_at", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "gateway", "reason"),
)

#: What was handed over of ended streams: records from `first` on that the receipted stream does not have.
handovers: Final = _table(
    "handovers",
    Column("id", Integer, primary_key=True),
    _stream(),
    Column("first", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("end", Text, nullable=False),
    Column("begun_at", Text, nullable=False),
    UniqueConstraint("stream_id", "size", "root"),
)

#: When all records of a handover were here, with our statement. `fork`: the stream has others in their place.
handover_ends: Final = _table(
    "handover_ends",
    Column("handover_id", Integer, ForeignKey("handovers.id"), primary_key=True),
    Column("fork", Integer, nullable=False),
    Column("held_at", Text, nullable=False),
    Column("note", Text, nullable=False),
)

#: Never mixed with `entries`, of which each stream has one for each number.
handover_records: Final = _table(
    "handover_records",
    Column("handover_id", Integer, ForeignKey("handovers.id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("unit", Text),
    Column("occurred_at", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("handover_id", "seq"),
)
Index("handover_records_by_unit", handover_records.c.unit, sqlite_where=handover_records.c.unit.is_not(None))

#: What is evidence: written once, never changed, never deleted.
EVIDENCE: Final = (
    tenants,
    streams,
    event_keys,
    runs,
    entries,
    nodes,
    receipts,
    conflicts,
    handovers,
    handover_ends,
    handover_records,
    retirements,
    retentions,
    custody,
)

for _written_once in EVIDENCE:
    for _deed in ("UPDATE", "DELETE"):
        _name = _written_once.name
        event.listen(
            _written_once,
            "after_create",
            DDL(  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
                f"CREATE TRIGGER {_name}_no_{_deed.lower()} BEFORE {_deed} ON {_name} "
                f"BEGIN SELECT RAISE(ABORT, '{_name} are evidence: they are never changed'); END"
            ).execute_if(dialect="sqlite"),
        )
