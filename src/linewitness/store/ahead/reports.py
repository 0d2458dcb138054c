"""Read what is on its way to the store, and the notices of alarms, for people."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select

from linewitness.store.database import tables
from linewitness.store.database.database import Database
from linewitness.store.database.tenants import rows_of

#: Of the notices that were confirmed so many of the newest are listed.
LISTED: Final = 100


@dataclass(frozen=True, slots=True)
class HeadReport:
    """The largest checkpoint of a stream that came before its records, and when."""

    size: int
    seen_at: str


@dataclass(frozen=True, slots=True)
class NoticeReport:
    """A notice, and what came of it: open, confirmed or contradicted."""

    origin: str
    seq: int
    kind: str
    unit: str | None
    occurred_at: str
    seen_at: str
    state: str
    settled_at: str | None

    @property
    def text(self) -> str:
        """The notice in one line."""
        about = f" of {self.unit}" if self.unit else ""
        settled = f", {self.state} at {self.settled_at}" if self.settled_at else ", its record has not come"
        return (
            f"{self.state:<12} {self.origin} record {self.seq}: {self.kind}{about}, "
            f"occurred {self.occurred_at}, noticed at {self.seen_at}{settled}"
        )


@dataclass(frozen=True, slots=True)
class NoticeRefusal:
    """How many notices of a gateway were not taken for one reason, and the newest of them."""

    tenant: str
    gateway: str
    reason: str
    detail: str
    count: int
    first_at: str
    last_at: str

    @property
    def text(self) -> str:
        """The refusals in one line."""
        return (
            f"refused      {self.count} notices from {self.gateway} of {self.tenant}, the last at "
            f"{self.last_at}: {self.detail} ({self.reason})"
        )


def read_heads(database: Database, *, tenant: str | None = None) -> dict[str, HeadReport]:
    """Return the announced heads of a tenant by origin, also those whose records have come since."""
    heads, streams = tables.heads, tables.streams
    query = select(streams.c.origin, heads.c.size, heads.c.seen_at).join(
        streams, streams.c.id == heads.c.stream_id
    )
    rows = rows_of(database, query, tenant=tenant)
    return {row.origin: HeadReport(row.size, row.seen_at) for row in rows}


def count_notices(database: Database, *, tenant: str | None = None) -> dict[str, dict[str, int]]:
    """Return the number of notices in each state, by origin."""
    notices, streams = tables.notices, tables.streams
    query = (
        select(streams.c.origin, notices.c.state, func.count().label("number"))
        .join(streams, streams.c.id == notices.c.stream_id)
        .group_by(streams.c.origin, notices.c.state)
    )
    found: dict[str, dict[str, int]] = {}
    for row in rows_of(database, query, tenant=tenant):
        found.setdefault(row.origin, {})[row.state] = row.number
    return found


def read_notices(database: Database, *, tenant: str | None = None) -> list[NoticeReport]:
    """Return all notices that are open or contradicted and the newest confirmed ones, oldest first."""
    notices, streams = tables.notices, tables.streams
    confirmed = select(notices.c.id).where(notices.c.state == "confirmed")
    newest = confirmed.order_by(notices.c.id.desc()).limit(LISTED)
    query = (
        select(
            streams.c.origin,
            notices.c.seq,
            notices.c.kind,
            notices.c.unit,
            notices.c.occurred_at,
            notices.c.seen_at,
            notices.c.state,
            notices.c.settled_at,
        )
        .join(streams, streams.c.id == notices.c.stream_id)
        .where((notices.c.state != "confirmed") | notices.c.id.in_(newest))
        .order_by(notices.c.id)
    )
    return [NoticeReport(*row) for row in rows_of(database, query, tenant=tenant)]


def read_notice_refusals(database: Database) -> list[NoticeRefusal]:
    """Return how many notices were not taken, by gateway and reason."""
    refusals = tables.notice_refusals
    query = select(
        refusals.c.tenant,
        refusals.c.gateway,
        refusals.c.reason,
        refusals.c.detail,
        refusals.c.count,
        refusals.c.first_at,
        refusals.c.last_at,
    ).order_by(refusals.c.tenant, refusals.c.gateway, refusals.c.reason)
    with database.reading() as connection:
        return [NoticeRefusal(*row) for row in connection.execute(query)]
