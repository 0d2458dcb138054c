"""An answer: its rows, and for each stream up to which record it holds and which gaps are known inside."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, select

from linewitness.base.errors import ConfigurationError
from linewitness.evidence.format.times import TIME
from linewitness.store.database import view_tables as views
from linewitness.store.database.database import Database
from linewitness.store.database.tenants import the_tenant
from linewitness.store.ended.reports import complete_handovers
from linewitness.store.views.filler import FilledStream, filled_streams

#: So many gaps of the time in question are listed with an answer, the newest ones.
MOST_GAPS: Final = 200
_A_DAY: Final = len("YYYY-MM-DD")


@dataclass(frozen=True, slots=True)
class KnownGap:
    """A stretch without capture, as the verifiers name it."""

    subject: str
    since: str | None
    until: str | None
    why: str

    @property
    def text(self) -> str:
        """What it is, for people."""
        return f"{self.subject} {self.since or 'an unknown time'} to {self.until or 'now'}: {self.why}"


@dataclass(frozen=True, slots=True)
class AskedStream:
    """A stream that an answer is about: it holds for `holds` of the `size` records that the store has."""

    origin: str
    gateway: str
    holds: int
    size: int
    gaps: tuple[KnownGap, ...] = ()

    @property
    def text(self) -> str:
        """How far the answer holds, for people."""
        upto = f"up to record {self.holds - 1}" if self.holds else "no record yet"
        left = self.size - self.holds
        return f"{self.origin}: {upto}" + (f", {left} more are not in the views yet" if left else "")


@dataclass(frozen=True, slots=True)
class ViewAnswer:
    """What was found, one row a thing. `more_gaps` says that more gaps are known than those listed."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    streams: tuple[AskedStream, ...]
    more_gaps: bool = False
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AskedSpan:
    """A time, from `since` on and before `until`; None has no bound."""

    since: str | None = None
    until: str | None = None

    @classmethod
    def of(cls, since: str | None = None, until: str | None = None) -> "AskedSpan":
        """Read times or days (UTC); ConfigurationError for anything else."""
        return cls(*(None if text is None else _time(text) for text in (since, until)))

    def on(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """Return what a query asks of a time."""
        found = [] if self.since is None else [column >= self.since]
        return found if self.until is None else [*found, column < self.until]

    def over(self, first: ColumnElement[Any], last: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """Return what a query asks of something that has a beginning and an end."""
        found = [] if self.since is None else [last >= self.since]
        return found if self.until is None else [*found, first < self.until]

    def around(self, times: Iterable[str | None]) -> "AskedSpan":
        """Return the span, or where it has no bound that of these times."""
        known = sorted(time for time in times if time)
        if not known:
            return self
        return AskedSpan(self.since or known[0], self.until or known[-1])


@dataclass(slots=True)
class Inquiry:
    """Questions to one tenant's views in one snapshot."""

    connection: Connection
    tenant: str
    streams: list[FilledStream]
    origins: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        """Know the streams by their numbers."""
        self.origins = {stream.stream_id: stream.origin for stream in self.streams}

    def mine(self, table: Table) -> ColumnElement[bool]:
        """Return what keeps a query to this tenant's rows."""
        return table.c.tenant == self.tenant

    def rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """Return the rows of a query."""
        return self.connection.execute(query).all()

    def answer(
        self,
        columns: tuple[str, ...],
        rows: Sequence[tuple[Any, ...]],
        span: AskedSpan,
        *,
        remarks: tuple[str, ...] = (),
        holds: Callable[[FilledStream], int] = lambda stream: stream.filled,
    ) -> ViewAnswer:
        """Return an answer about a time, with what is known of that time."""
        gaps, more = self._gaps(span)
        streams = tuple(
            AskedStream(
                stream.origin,
                stream.gateway,
                holds(stream),
                stream.size,
                tuple(gaps.get(stream.stream_id, ())),
            )
            for stream in self.streams
        )
        return ViewAnswer(columns, rows, streams, more, (*remarks, *self._ended()))

    def _ended(self) -> Iterator[str]:
        count = sum(row.size - row.first for row in complete_handovers(self.connection, self.tenant))
        if count:
            yield f"{count} records of ended streams are in no view: see `linewitness store unit`"

    def _gaps(self, span: AskedSpan) -> tuple[dict[int, list[KnownGap]], bool]:
        """Return the newest gaps of a time: first those that have no end, each by its stream."""
        gaps = views.gaps
        begun = [] if span.until is None else [gaps.c.since.is_(None) | (gaps.c.since < span.until)]
        ended = gaps.c.until.is_not(None) if span.since is None else gaps.c.until >= span.since
        found: list[Row[Any]] = []
        for state in (gaps.c.until.is_(None), ended):
            query = select(gaps).where(self.mine(gaps), state, *begun).order_by(gaps.c.until.desc())
            found += self.rows(query.limit(MOST_GAPS + 1))
        by_stream: dict[int, list[KnownGap]] = {}
        for row in found[:MOST_GAPS]:
            gap = KnownGap(row.subject, row.since, row.until, row.why)
            by_stream.setdefault(row.stream_id, []).append(gap)
        for known in by_stream.values():
            known.sort(key=lambda gap: (gap.since or "", gap.subject))
        return by_stream, len(found) > MOST_GAPS


@contextmanager
def asking(database: Database, tenant: str | None) -> Iterator[Inquiry]:
    """Ask the views of a tenant, or of the only one; ConfigurationError where that is not clear."""
    name = the_tenant(database, tenant)
    with database.reading(name) as connection:
        yield Inquiry(connection, name, list(filled_streams(connection, name)))


def _time(text: str) -> str:
    time = f"{text}T00:00:00.000Z" if len(text) == _A_DAY else text
    if len(time) == len("YYYY-MM-DDTHH:MM:SSZ"):
        time = time.replace("Z", ".000Z")
    if TIME.fullmatch(time) is None:
        raise ConfigurationError(
            f"{text!r} is no time", hint="write a day, 2026-11-21, or a time in UTC, 2026-11-21T06:30:00Z"
        )
    return time
