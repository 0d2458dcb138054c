"""The views: tables derived from records, for questions. They may be dropped and are made anew from evidence.

Every table names its tenant, and every index for questions begins with it: so the same queries serve each
kind of database.
"""

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Dialect, Index, Integer, MetaData, PrimaryKeyConstraint, Table
from sqlalchemy.dialects.postgresql import TEXT
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

from linewitness.store.database.text import StoredText

#: What rows say of a record: views of another version are made again.
VIEWS_VERSION: Final = 1

metadata: Final = MetaData()
_Number: Final = Integer().with_variant(BigInteger, "postgresql")
#: A stream is of one tenant: with the tenant first, SQLite would take this for the index of every question.
_RECORD: Final = ("stream_id", "seq")


class ViewText(StoredText):
    """Text in the order of its bytes, as times and names are compared."""

    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of a column."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TEXT(collation="C"))
        return super().load_dialect_impl(dialect)


def _view(name: str, *parts: SchemaItem, key: tuple[str, ...] = _RECORD) -> Table:
    return Table(
        name,
        metadata,
        _text("tenant", required=True),
        _number("stream_id", required=True),
        *parts,
        PrimaryKeyConstraint(*key),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _text(name: str, *, required: bool = False) -> Column[Any]:
    return Column(name, ViewText, nullable=not required)


def _number(name: str, *, required: bool = False) -> Column[Any]:
    return Column(name, _Number, nullable=not required, autoincrement=False)


def _texts(*names: str) -> tuple[Column[Any], ...]:
    return tuple(map(_text, names))


def _numbers(*names: str) -> tuple[Column[Any], ...]:
    return tuple(map(_number, names))


def _index(table: str, *columns: str) -> Index:
    return Index(f"{table}_by_{'_'.join(columns)}", "tenant", *columns)


#: How far the views of each stream are: they hold all records before `next`.
view_positions: Final = _view(
    "view_positions",
    _number("next", required=True),
    _number("version", required=True),
    key=("stream_id",),
)

#: A unit at a station, as one stream tells it; `station` is empty where a record names none.
units: Final = _view(
    "units",
    _text("unit", required=True),
    _text("station", required=True),
    *_numbers("first_seq", "last_seq", "records"),
    *_texts("first_at", "last_at", "state", "product", "work_order", "batch"),
    key=("tenant", "unit", "stream_id", "station"),
)

#: Tightenings and measurements. `tool` is the tool's serial number where it is known, or else the device.
results: Final = _view(
    "results",
    _number("seq", required=True),
    *_texts("occurred_at", "kind", "unit", "station", "device", "tool", "program", "calibrated", "actor"),
    *_numbers("ok", "counts"),
    _text("measured"),
    _index("results", "unit"),
    _index("results", "tool", "calibrated", "occurred_at"),
)

#: Which units had to do with a tool, a program or an operator.
uses: Final = _view(
    "uses",
    *(_text(name, required=True) for name in ("what", "name", "unit")),
    *_numbers("first_seq", "last_seq", "records", "not_ok"),
    *_texts("first_at", "last_at", "station"),
    key=("tenant", "what", "name", "unit", "stream_id"),
)

#: Each field that was changed: of parameters, settings, tools, orders.
changes: Final = _view(
    "changes",
    *(_number(name, required=True) for name in ("seq", "nr")),
    *_texts("occurred_at", "kind", "device", "station", "point", "before", "after", "measure"),
    *_texts("actor", "actor_type", "auth_method", "unit", "reason"),
    _index("changes", "occurred_at"),
    _index("changes", "device", "occurred_at"),
    _index("changes", "point", "occurred_at"),
    _index("changes", "actor", "occurred_at"),
    key=(*_RECORD, "nr"),
)

#: Operators who signed on (`deed` on) or off at a station.
sign_ons: Final = _view(
    "sign_ons",
    _number("seq", required=True),
    *_texts("occurred_at", "station", "operator", "deed", "auth_method", "reason"),
    _index("sign_ons", "operator", "occurred_at"),
    _index("sign_ons", "stream_id", "station", "seq"),
)

#: What controllers said of tools; `calibrated` where they said when that was.
tools: Final = _view(
    "tools",
    _number("seq", required=True),
    *_texts("occurred_at", "tool", "device", "station", "calibrated", "reason"),
    _index("tools", "tool", "stream_id", "seq"),
)

#: Components that were installed, removed or refused, and lots that were loaded (`deed`).
components: Final = _view(
    "components",
    _number("seq", required=True),
    *_texts("occurred_at", "event_id", "deed", "unit", "component", "part", "serial", "lot", "quantity"),
    *_texts("position", "supplier", "expiry", "requirement", "station", "device", "actor", "reason"),
    _index("components", "lot"),
    _index("components", "serial"),
    _index("components", "part"),
    _index("components", "unit"),
    _index("components", "event_id"),
)

#: Which records met a requirement of a unit: a loaded lot is in it by that alone.
met_by: Final = _view(
    "met_by",
    *(_text(name, required=True) for name in ("event_id", "unit")),
    _number("seq"),
    _text("occurred_at"),
    _index("met_by", "unit"),
    key=("tenant", "event_id", "unit", "stream_id"),
)

#: The records that say when there was capture, in short, to go on from after a start of the store.
signs: Final = _view("signs", _number("seq", required=True), _text("sign"))

#: Stretches without capture. One that has no end on record has no `until`.
gaps: Final = _view(
    "gaps",
    _number("nr", required=True),
    *_texts("subject", "since", "until", "why"),
    *_numbers("first_seq", "last_seq"),
    _index("gaps", "until"),
    key=("stream_id", "nr"),
)

#: Everything else that troubles whoever reads the records of that time.
disturbances: Final = _view(
    "disturbances",
    _number("seq", required=True),
    *_texts("occurred_at", "kind", "device", "station", "subject", "unit", "reason"),
    _index("disturbances", "occurred_at"),
    _index("disturbances", "device", "occurred_at"),
)

#: Records that came late, or whose clock followed no time source.
lateness: Final = _view(
    "lateness",
    _number("seq", required=True),
    *_texts("occurred_at", "ingested_at", "accepted_at", "kind", "unit", "device", "station"),
    *_numbers("ingest_ms", "custody_ms", "bound_us", "backfilled"),
    *_texts("sync", "occurred_from"),
    _index("lateness", "occurred_at"),
    _index("lateness", "device", "occurred_at"),
)

VIEWS: Final = tuple(metadata.tables.values())
