"""Open the store's database, enrol gateways in it, and read what it holds."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from sqlalchemy import Connection, Engine, Row, create_engine, event, func, insert, inspect, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from linewitness.base import room
from linewitness.base.clock import Clock, to_rfc3339
from linewitness.base.durable import create_private
from linewitness.base.errors import ConfigurationError, ExitCode, LinewitnessError
from linewitness.evidence.format.note import ED25519, BadNote, Vkey
from linewitness.evidence.format.record import ZERO_HASH
from linewitness.store.database import tables
from linewitness.uplink.topics import Topics

_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_BUSY_S: Final = 30
_WRITES: Final = "linewitness_writes"
#: After a long reader the log is as large as it became: it is cut when it begins again.
LOG_BYTES: Final = 32 * 2**20
_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"journal_size_limit={LOG_BYTES}",
)


class StoreError(LinewitnessError):
    """The store cannot write or read its database; nothing is receipted that is not committed."""

    exit_code: ClassVar[ExitCode] = ExitCode.JOURNAL


class StoreFull(StoreError):
    """The disk of the database is used up: nothing was stored, and it may be tried again."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A stream that a gateway may write: pinned by its log key and its record 0."""

    stream_id: int
    tenant: str
    gateway: str
    log_vkey: Vkey
    record0_hash: str

    @property
    def origin(self) -> str:
        """The stream's name."""
        return self.log_vkey.name

    @property
    def topics(self) -> Topics:
        """Where the gateway is met."""
        return Topics(self.tenant, self.gateway)


class Database:
    """The store's database; every error of it is a StoreError."""

    def __init__(self, url: URL | str) -> None:
        """Prepare; nothing is opened yet."""
        self._engine = _engine(url)
        self._file = Path(self._engine.url.database or "")

    def create(self) -> None:
        """Make the tables, if they are not there; a new file is for its owner alone."""
        if (file := self._engine.url.database) is not None:
            try:
                create_private(Path(file))
            except OSError as error:
                raise StoreError(
                    f"{file}: {error.strerror}", hint="check the disk and the rights to the folder"
                ) from error
        with self.writing() as connection:
            if inspect(connection).has_table(tables.store.name):
                self._check(connection)
                tables.metadata.create_all(connection)
                return
            tables.metadata.create_all(connection)
            connection.execute(insert(tables.store).values(schema=tables.SCHEMA))

    def is_empty(self) -> bool:
        """Say whether there is nothing: no file, or one without any table. The file is not changed."""
        file = self._file
        if not file.is_file():
            return True
        try:
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                return not connection.execute("SELECT name FROM sqlite_master").fetchall()
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{file}: {error}", hint="name a new file") from None

    def check(self) -> None:
        """Require a database that `create` made: a missing one is never replaced by an empty one."""
        file = self._engine.url.database
        if file is not None and not Path(file).is_file():
            raise _no_store(file)
        with self.reading() as connection:
            if not inspect(connection).has_table(tables.store.name):
                raise _no_store(file)
            self._check(connection)
            missing = set(tables.metadata.tables) - set(inspect(connection).get_table_names())
        if missing:
            # An older version of this schema made it: it goes on working with the file, and ignores the rest.
            self.create()

    def schema(self) -> int | None:
        """Return the version of the tables; None where there is no file, or no store in it."""
        if not self._file.is_file() or not self.has_table(tables.store.name):
            return None
        with self.reading() as connection:
            return int(connection.execute(select(tables.store.c.schema)).scalar_one())

    def has_table(self, name: str) -> bool:
        """Return whether there is a table."""
        with self.reading() as connection:
            return bool(inspect(connection).has_table(name))

    def refusal(self) -> str:
        """Return why the disk does not take another megabyte, or nothing."""
        return room.refusal_beside(self._file)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Run a block in one snapshot."""
        with _told(self._file), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Run a block in one transaction, committed durably at its end, rolled back if it raises."""
        with (
            _told(self._file),
            self._engine.connect().execution_options(**{_WRITES: True}) as connection,
            connection.begin(),
        ):
            yield connection

    @staticmethod
    def _check(connection: Connection) -> None:
        schema = connection.execute(select(tables.store.c.schema)).scalar_one()
        if schema != tables.SCHEMA:
            raise StoreError(
                f"the database is of schema {schema}, this program knows {tables.SCHEMA}",
                hint="use the version of linewitness that made it, or a newer one",
            )


def enroll(
    database: Database, *, clock: Clock, tenant: str, gateway: str, log_vkey: str, record0_hash: str
) -> Enrolment:
    """Allow a gateway to write one stream; the same again is fine, a contradiction a ConfigurationError.

    A new generation of a line has a new origin and is enrolled anew.
    """
    vkey, origin = _checked(tenant, gateway, log_vkey, record0_hash)
    with database.writing() as connection:
        known = find(connection, origin)
        if known is None:
            connection.execute(
                insert(tables.streams).values(
                    origin=origin,
                    tenant=tenant,
                    gateway=gateway,
                    log_vkey=str(vkey),
                    record0_hash=record0_hash,
                    enrolled_at=to_rfc3339(clock.stamp().realtime_ns),
                    size=0,
                    last_hash=ZERO_HASH,
                )
            )
            known = find(connection, origin)
    if known is None or known != Enrolment(known.stream_id, tenant, gateway, vkey, record0_hash):
        raise ConfigurationError(
            f"the stream {origin} is enrolled already, with another gateway, log key or record 0",
            hint="a new generation of the line has a new origin; `linewitness store status` lists all",
        )
    return known


def find(connection: Connection, origin: str) -> Enrolment | None:
    """Return the enrolment of a stream, or None."""
    row = connection.execute(select(tables.streams).where(tables.streams.c.origin == origin)).one_or_none()
    return None if row is None else enrolment_of(row)


def enrolment_of(row: Row[Any]) -> Enrolment:
    """Return what a row of `streams` says."""
    return Enrolment(row.id, row.tenant, row.gateway, Vkey.parse(row.log_vkey), row.record0_hash)


def newest_receipt(connection: Connection, stream_id: int) -> tuple[int, str]:
    """Return size and note of a stream's newest receipt, (0, "") if there is none."""
    receipts = tables.receipts
    newest = select(func.max(receipts.c.size)).where(receipts.c.stream_id == stream_id).scalar_subquery()
    row = connection.execute(
        select(receipts.c.size, receipts.c.note).where(
            receipts.c.stream_id == stream_id, receipts.c.size == newest
        )
    ).one_or_none()
    return (row.size, row.note) if row else (0, "")


def _checked(tenant: str, gateway: str, log_vkey: str, record0_hash: str) -> tuple[Vkey, str]:
    try:
        vkey = Vkey.parse(log_vkey)
        Topics(tenant, gateway)
    except BadNote as error:
        raise ConfigurationError(
            error.what, hint="`linewitness init` of the gateway prints the vkey"
        ) from None
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    if vkey.algorithm != ED25519:
        raise ConfigurationError(f"{vkey.name} is a cosignature key", hint="give the gateway's log key")
    if not _HASH.fullmatch(record0_hash):
        raise ConfigurationError(
            f"{record0_hash!r} is not the hash of a record", hint="it is sha256: and 64 hex digits"
        )
    return vkey, vkey.name


def _no_store(file: str | None) -> StoreError:
    return StoreError(
        f"there is no audit store in {file}",
        hint="`linewitness store init` makes a new one; if there was one, restore it",
    )


@contextmanager
def _told(file: Path) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if why := room.sqlite_refusal(error.orig, file):
            raise StoreFull(
                f"the disk of {file} is full: {why.lower()}",
                hint="free space on it; gateways send again what has no receipt",
            ) from error
        raise StoreError(
            f"the store's database failed: {error.orig}", hint="check the disk and the rights to the file"
        ) from error


def _engine(url: URL | str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": _BUSY_S})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, see below
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
