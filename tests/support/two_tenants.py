"""A store in PostgreSQL, made as an administrator makes it, with evidence of two tenants in every table."""

# ruff: noqa: S608  # the statements are put together from names of the catalogue

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from nacl.signing import SigningKey
from psycopg import sql
from sqlalchemy.engine import URL

from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import enroll
from linewitness.store.database.postgres.install import install
from linewitness.store.database.postgres.roles import LEDGER
from linewitness.store.keys import Cosigner
from linewitness.store.ledger import StoreLedger
from linewitness.store.views.filler import ViewFiller
from support.fake_gateway import FakeGateway
from support.ledger_rig import FakeClock
from support.postgres import Cluster

OWN: Final = "acme"
RIVAL: Final = "rival-corp"
#: More than a tile: its node is stored.
SIZE: Final = 260


class TwoTenants:
    """The store's database, and sessions in it as any role."""

    def __init__(self, cluster: Cluster) -> None:
        """Make the store, and let both tenants' gateways send."""
        self.cluster = cluster
        self.name = cluster.new_database()
        self.cosigner = Cosigner("store.example", SigningKey(bytes(range(32))))
        install(cluster.url(self.name))
        for tenant in (OWN, RIVAL):
            self._fill(tenant)
        self.execute("ANALYZE")

    def url(self, role: str = LEDGER) -> URL:
        """Return the URL for a role."""
        return self.cluster.url(self.name, role)

    @contextmanager
    def session(
        self, role: str, tenant: str | None = OWN, *, owner: bool = False
    ) -> "Iterator[psycopg.Connection[Any]]":
        """Run a block in one transaction of a role that names a tenant; nothing of it is kept."""
        with psycopg.connect(host=str(self.cluster.folder), user=role, dbname=self.name) as connection:
            if owner:
                connection.execute("SET LOCAL ROLE linewitness_owner")
            if tenant is not None:
                connection.execute(sql.SQL("SET LOCAL linewitness.tenant = {}").format(sql.Literal(tenant)))
            yield connection
            connection.rollback()

    def execute(self, statement: str) -> list[Any]:
        """Run a statement as the superuser."""
        with self.cluster.admin(self.name) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def tables(self, schema: str = "evidence", *, partitions: bool | None = None) -> list[str]:
        """Return the tables of a schema with a tenant's rows; months are tables as well."""
        rows = self.execute(
            "SELECT relname, relispartition FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid "
            f"WHERE relnamespace = '{schema}'::regnamespace AND relkind IN ('r', 'p') AND attname = 'tenant' "
            "ORDER BY relname"
        )
        return [f"{schema}.{name}" for name, part in rows if partitions in (None, part)]

    def contents(self) -> dict[str, str]:
        """Return a digest of each table's rows, in no order."""
        query = "SELECT coalesce(sum(hashtextextended(t::text, 0)), 0)::text || '/' || count(*) FROM {} AS t"
        return {table: self.execute(query.format(table))[0][0] for table in self.tables()}

    def _fill(self, tenant: str) -> None:
        database = Database(self.url())
        gateway = FakeGateway(f"{tenant}.example/ber-01/1", tenant=tenant, gateway=f"{tenant}-gw")
        gateway.grow(SIZE, unit=f"{tenant}-unit")
        ledger = StoreLedger(database=database, cosigner=self.cosigner, clock=FakeClock())
        enroll(
            database,
            clock=FakeClock(),
            tenant=tenant,
            gateway=gateway.gateway,
            log_vkey=str(gateway.log_vkey),
            record0_hash=gateway.record0_hash,
        )
        fork = gateway.fork(SIZE)
        fork.append(unit=f"{tenant}-fork")
        topics = gateway.topics
        ledger.process(
            [
                (topics.records, gateway.batch()),
                (topics.checkpoint, gateway.checkpoint()),
                (topics.records, fork.batch(SIZE)),
                (topics.checkpoint, gateway.fork(SIZE).checkpoint(SIZE)),
            ]
        )
        ViewFiller(database).step()
        database.close()
        with self.session(LEDGER, tenant) as connection:
            number = connection.execute(_HANDOVER, (f"{tenant} end",)).fetchone()
            assert number is not None
            connection.execute(_HANDOVER_END, (*number, f"{tenant} note"))
            connection.execute(_HANDOVER_RECORD, (*number, f"{tenant}-unit", f"{tenant} record".encode()))
            for statement in (_RETIREMENT, _RETENTION, _CUSTODY):
                connection.execute(statement)
            connection.execute(_HEAD, (f"{tenant} head",))
            connection.execute(_NOTICE, (f"{tenant}-unit", f"{tenant} notice"))
            connection.commit()


_HANDOVER: Final = """
    INSERT INTO evidence.handovers (stream_id, first, size, root, "end", begun_at)
    SELECT id, 1, 2, '', %s, '' FROM evidence.streams RETURNING id
"""
_HANDOVER_END: Final = (
    "INSERT INTO evidence.handover_ends (handover_id, fork, held_at, note) VALUES (%s, 1, '', %s)"
)
_HANDOVER_RECORD: Final = (
    "INSERT INTO evidence.handover_records (handover_id, seq, kind, unit, occurred_at, data) "
    "VALUES (%s, 1, 'alarm.raised', %s, '', %s)"
)
_RETIREMENT: Final = (
    "INSERT INTO evidence.retirements (stream_id, size, retired_at, reason) "
    "SELECT id, 1, '', 'done' FROM evidence.streams"
)
_RETENTION: Final = "INSERT INTO evidence.retentions (days, changed_at) VALUES (30, '')"
_CUSTODY: Final = (
    "INSERT INTO evidence.custody (own_id, stream_id, size, seq, taken_at) "
    "SELECT id, id, 1, 1, '' FROM evidence.streams"
)
_HEAD: Final = (
    "INSERT INTO views.heads (stream_id, size, note, seen_at) SELECT id, 9, %s, '' FROM evidence.streams"
)
_NOTICE: Final = (
    "INSERT INTO views.notices "
    "(stream_id, seq, record_hash, kind, unit, occurred_at, seen_at, state, bytes, note) "
    "SELECT id, 9, 'hash', 'alarm.raised', %s, '', '', 'open', 0, %s FROM evidence.streams"
)
