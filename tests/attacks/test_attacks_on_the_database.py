"""Whoever has a role of the store in PostgreSQL tries to change evidence, or to see another tenant's."""

# ruff: noqa: S608  # the statements are put together from names of the catalogue

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from linewitness.store import reports
from linewitness.store.database.database import Database
from linewitness.store.database.errors import StoreError
from linewitness.store.database.postgres.roles import ARCHIVE, DESK, LEDGER, LOGINS, OWNER
from linewitness.store.database.view_tables import VIEWS
from support.postgres import ADMIN, Cluster
from support.two_tenants import OWN, RIVAL, SIZE, TwoTenants

#: What the server answers to who may not: it has not the right, or is not the owner.
REFUSED = "42501"
#: What our triggers answer.
RAISED = "P0001"

#: What nobody does to a table of evidence.
ON_TABLES = (
    "UPDATE {table} SET tenant = tenant",
    "DELETE FROM {table}",
    "TRUNCATE {table} CASCADE",
    "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE {table} DISABLE TRIGGER ALL",
    "ALTER TABLE {table} ADD COLUMN more text",
    "ALTER TABLE {table} DROP COLUMN tenant CASCADE",
    "ALTER TABLE {table} OWNER TO CURRENT_USER",
    "ALTER TABLE {table} RENAME TO other",
    "ALTER TABLE {table} SET SCHEMA public",
    "CREATE POLICY other ON {table} USING (true)",
    "CREATE INDEX other ON {table} (tenant)",
    "CREATE RULE other AS ON INSERT TO {table} DO INSTEAD NOTHING",
    "CREATE TRIGGER other BEFORE INSERT ON {table} EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "DROP TABLE {table} CASCADE",
    "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
    "COPY {table} FROM PROGRAM 'echo'",
    "COPY {table} TO '/tmp/linewitness-attack'",
    "COPY {table} TO PROGRAM 'cat'",
)
#: What a tenant's table alone has.
ON_PARENTS = (
    "DROP POLICY own_tenant ON {table}",
    "ALTER POLICY own_tenant ON {table} USING (true)",
    "DROP TRIGGER {name}_no_change ON {table}",
    "DROP TRIGGER {name}_no_truncate ON {table}",
)
#: What reaches a month round the table that it is a part of.
ON_MONTHS = ("SELECT * FROM {table}", "INSERT INTO {table} SELECT * FROM {parent}")
ANYWHERE = (
    "DROP SCHEMA evidence CASCADE",
    "ALTER SCHEMA evidence OWNER TO CURRENT_USER",
    "CREATE TABLE evidence.more (a integer)",
    "CREATE TABLE views.more (a integer)",
    "CREATE TABLE public.more (a integer)",
    "CREATE TEMPORARY TABLE more (a integer)",
    "CREATE VIEW evidence.more AS SELECT 1",
    "CREATE FUNCTION evidence.more() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION pg_temp.more() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION evidence.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
    "CREATE SCHEMA more",
    "CREATE ROLE more",
    "CREATE EXTENSION dblink SCHEMA evidence",
    "CREATE PUBLICATION more",
    "CREATE EVENT TRIGGER more ON sql_drop EXECUTE FUNCTION evidence.refuse_change()",
    "DROP EVENT TRIGGER linewitness_no_drop",
    "ALTER EVENT TRIGGER linewitness_no_alter DISABLE",
    "ALTER ROLE linewitness_ledger BYPASSRLS",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER SET linewitness.tenant = 'rival-corp'",
    "GRANT linewitness_owner TO CURRENT_USER",
    "SET ROLE linewitness_owner",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "SET session_replication_role = replica",
    "SET track_activities = on",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_shadow",
    "SELECT * FROM pg_statistic",
    "SELECT * FROM pg_largeobject",
    "SELECT pg_read_file('/etc/hostname')",
    "SELECT pg_read_binary_file('/etc/hostname')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_stat_file('/etc/hostname')",
    "SELECT lo_import('/etc/hostname')",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'more')",
    "SELECT pg_terminate_backend(1)",
    "SELECT pg_cancel_backend(1)",
    "SELECT pg_notify('a', 'b')",
    "SELECT pg_export_snapshot()",
    "SELECT pg_reload_conf()",
    "SELECT pg_switch_wal()",
    "SELECT pg_stat_reset()",
    "SELECT set_config('linewitness.tenant', 'rival-corp', true)",
    "SELECT last_value FROM evidence.streams_id_seq",
    "SELECT setval('evidence.streams_id_seq', 1)",
    "CHECKPOINT",
)
#: The tables that questions are answered from.
DERIVED = frozenset(f"views.{table.name}" for table in VIEWS)
#: What no role but the ledger may do.
LEDGER_ALONE = (
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_logical_emit_message(false, 'a', 'b')",
    "SELECT pg_advisory_xact_lock(19543, 0)",
    "SELECT pg_try_advisory_lock(1)",
    "SELECT evidence.make_month(203001)",
    "INSERT INTO evidence.tenants VALUES ('acme-2', '')",
    "LOCK TABLE evidence.runs IN SHARE MODE",
)


@pytest.fixture(scope="module")
def house(postgres: Cluster) -> TwoTenants:
    """A store that holds evidence of two tenants."""
    return TwoTenants(postgres)


@pytest.fixture(autouse=True)
def _evidence_stays(house: TwoTenants) -> Iterator[None]:
    """Compare every row of evidence before and after each test."""
    before = house.contents()
    yield
    assert house.contents() == before


def outcome(connection: "psycopg.Connection[Any]", statement: str) -> str | None:
    """Return the state that a statement ends with, None where it was done; nothing of it is kept."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
    except psycopg.Error as error:
        return error.sqlstate or type(error).__name__
    return None


def forms(house: TwoTenants) -> list[str]:
    """Return each statement that is forbidden to everybody, for every table that the catalogue has."""
    found = list(ANYWHERE)
    for table in house.tables():
        name = table.partition(".")[2]
        found += [form.format(table=table) for form in ON_TABLES]
        if name[-6:].isdigit():
            parent = f"evidence.{name.rpartition('_')[0]}"
            found += [form.format(table=table, parent=parent) for form in ON_MONTHS]
            found.append(f"ALTER TABLE {parent} DETACH PARTITION {table}")
        else:
            found += [form.format(table=table, name=name) for form in ON_PARENTS]
    return found


#: The tables of a store without a tenant: which version it is. Nobody who logs in may write there.
WITHOUT_TENANT = {"evidence.store", "evidence.alembic_version"}


def unprotected(house: TwoTenants, connection: "psycopg.Connection[Any]") -> list[str]:
    """Return what is missing of each table of evidence, or is too much, as the catalogue says."""
    found = []
    for name, part, secured, forced, kinds, grants in connection.execute(
        """
        SELECT format('evidence.%I', relname), relispartition, relrowsecurity, relforcerowsecurity,
            (SELECT coalesce(bit_or(tgtype), 0) FROM pg_trigger
             WHERE tgrelid = c.oid AND tgenabled = 'A'
             AND tgfoid = 'evidence.refuse_change'::regproc AND tgtype & 2 > 0),
            (SELECT array_agg(pg_get_userbyid(grantee) || ' ' || privilege_type)
             FROM aclexplode(relacl) WHERE grantee <> relowner)
        FROM pg_class c WHERE relnamespace = 'evidence'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
        """
    ).fetchall():
        granted, update_delete_truncate = set(grants or ()), 8 | 16 | 32
        reads = {f"{role} SELECT" for role in LOGINS}
        if name in WITHOUT_TENANT:
            found += [f"{name}: {each}" for each in granted - reads]
            continue
        allowed = set() if part else {f"{LEDGER} SELECT", f"{LEDGER} INSERT", f"{DESK} SELECT"}
        found += [f"{name}: {each}" for each in granted - allowed]
        found += [f"{name}: no row-level security"] if not secured else []
        found += [f"{name}: not forced on its owner"] if not forced else []
        found += [f"{name}: triggers {kinds}"] if kinds & 56 != update_delete_truncate else []
    return found


def test_every_table_of_evidence_is_protected_also_one_that_comes_later(house: TwoTenants) -> None:
    with house.session(ADMIN) as connection:
        assert unprotected(house, connection) == []
        connection.execute("SET LOCAL linewitness.migration = 'on'")
        connection.execute("CREATE TABLE evidence.later (tenant text)")
        connection.execute(f"GRANT SELECT, UPDATE ON evidence.later TO {LEDGER}")
        assert unprotected(house, connection) == [
            "evidence.later: linewitness_ledger UPDATE",
            "evidence.later: no row-level security",
            "evidence.later: not forced on its owner",
            "evidence.later: triggers 0",
        ]


def test_every_table_has_rows_of_both_tenants(house: TwoTenants) -> None:
    """What holds nothing would be kept and hidden by any rules."""
    for table in house.tables() + house.tables("views"):
        if "refusals" not in table:
            found = {tenant for (tenant,) in house.execute(f"SELECT DISTINCT tenant FROM {table}")}
            # Some views have nothing to say of these records; their rules are made by the same code.
            assert found == {OWN, RIVAL} or (table in DERIVED and not found), table
    filled = [table for table in DERIVED if house.execute(f"SELECT 1 FROM {table}")]
    assert {"views.units", "views.view_positions"} <= {*filled}


@pytest.mark.parametrize("role", LOGINS)
def test_no_role_that_logs_in_does_what_is_forbidden(house: TwoTenants, role: str) -> None:
    more = () if role == LEDGER else LEDGER_ALONE
    with house.session(role) as connection:
        done = {form: outcome(connection, form) for form in (*forms(house), *more)}
    assert {form: state for form, state in done.items() if state != REFUSED} == {}


@pytest.mark.parametrize("role", LOGINS)
def test_no_role_sees_or_writes_without_its_tenant(house: TwoTenants, role: str) -> None:
    with house.session(role, None) as connection:
        for table in house.tables(partitions=False) + house.tables("views"):
            if role == LEDGER and table == "evidence.tenants":
                continue  # the ledger asks one tenant after the other
            if role == ARCHIVE:
                assert outcome(connection, f"SELECT * FROM {table}") == REFUSED
            else:
                assert connection.execute(f"SELECT * FROM {table}".encode()).fetchall() == [], table


def test_a_tenant_sees_its_own_rows_alone(house: TwoTenants) -> None:
    for role in (LEDGER, DESK):
        with house.session(role) as connection:
            for table in house.tables(partitions=False) + house.tables("views"):
                if role == LEDGER and table == "evidence.tenants":
                    continue
                seen = connection.execute(f"SELECT DISTINCT tenant FROM {table}".encode()).fetchall()
                none = "refusals" in table or (
                    table in DERIVED and not house.execute(f"SELECT 1 FROM {table}")
                )
                assert seen == ([] if none else [(OWN,)]), table


def test_the_ledger_writes_no_row_of_another_tenant_than_the_one_it_names(house: TwoTenants) -> None:
    with house.session(LEDGER) as connection:
        stream, handover = house.execute(
            f"SELECT s.id, h.id FROM evidence.streams s JOIN evidence.handovers h ON h.stream_id = s.id "
            f"WHERE s.tenant = '{RIVAL}'"
        )[0]
        for table in house.tables(partitions=False):
            if table == "evidence.tenants":
                continue
            columns = [
                name
                for (name,) in house.execute(
                    f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 "
                    "AND attname <> 'tenant' AND attidentity = ''"
                )
            ]
            listed = ", ".join(f'"{name}"' for name in columns)
            copied = f"INSERT INTO {table} (tenant, {listed}) SELECT '{RIVAL}', {listed} FROM {table}"
            assert outcome(connection, copied) == REFUSED, table
        foreign_key = "23503"
        for form in (
            f"INSERT INTO evidence.event_keys (stream_id, first_seq, vkey) VALUES ({stream}, 99, '')",
            f"INSERT INTO evidence.nodes (stream_id, level, idx, hash) VALUES ({stream}, 8, 99, '')",
            f"INSERT INTO evidence.handover_records VALUES ('{OWN}', {handover}, 99, '', '', '', '')",
        ):
            assert outcome(connection, form) == foreign_key, form


@pytest.mark.parametrize("tenant", [OWN, None])
def test_the_owner_changes_nothing_by_accident(house: TwoTenants, tenant: str | None) -> None:
    """As a person who has set the role and forgets it; without a tenant it does not even see a row."""
    with house.session(ADMIN, tenant, owner=True) as connection:
        for form in forms(house):
            if form.startswith(("UPDATE", "DELETE")):
                cursor = connection.cursor()
                state = None
                try:
                    with connection.transaction(force_rollback=True):
                        cursor.execute(form.encode())
                except psycopg.Error as error:
                    state = error.sqlstate
                # A part of a table is secured without a policy: nobody finds a row there.
                assert state == RAISED or cursor.rowcount == 0, form
                assert tenant is None or state == RAISED or form.rpartition("_")[2][:6].isdigit(), form
            elif form.startswith(("TRUNCATE", "ALTER", "DROP", "CREATE")):
                assert outcome(connection, form) in (RAISED, REFUSED), form


def test_a_superuser_changes_nothing_by_accident(house: TwoTenants) -> None:
    with house.session(ADMIN) as connection:
        for form in forms(house):
            if form.startswith(("UPDATE", "DELETE", "TRUNCATE", "ALTER TABLE", "DROP TABLE", "DROP SCHEMA")):
                assert outcome(connection, form) is not None, form
        connection.execute("SET LOCAL session_replication_role = replica")
        for table in house.tables():
            for form in ON_TABLES[:3]:
                assert outcome(connection, form.format(table=table)) == RAISED, form


def test_several_statements_in_one_are_refused(house: TwoTenants) -> None:
    """Injected SQL cannot end the query that it is injected into and begin another."""
    injected = f"SELECT 1; SET LOCAL linewitness.tenant = '{RIVAL}'; SELECT origin FROM streams"
    database = Database(house.url(DESK))
    with (
        pytest.raises(StoreError, match="multiple commands"),
        database.reading(OWN) as connection,
    ):
        connection.execute(text(injected))
    with (
        pytest.raises(StoreError, match="multiple commands"),
        database.reading(OWN) as connection,
    ):
        connection.execute(text(f"SELECT :value; {injected}"), {"value": 1})
    with pytest.raises(StoreError, match="multiple commands"), database.reading(OWN) as connection:
        connection.exec_driver_sql(injected)
    with pytest.raises(StoreError, match="multiple commands"), database.reading(OWN) as connection:
        connection.execution_options(yield_per=10).execute(text(injected))
    database.close()


#: What one SELECT of the desk could have in it.
SUBQUERIES = (
    "SELECT string_agg(t::text, '') FROM evidence.{table} AS t",
    "SELECT query_to_xml('SELECT * FROM evidence.{table}', true, true, '')",
    "SELECT query_to_xml($$SET LOCAL linewitness.tenant = 'rival-corp'$$, true, true, '')",
    "SELECT query_to_xml($$SELECT set_config('linewitness.tenant', 'rival-corp', true)$$, true, true, '')",
    "SELECT table_to_xml('evidence.{table}', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT string_agg(word, '') FROM ts_stat('SELECT to_tsvector(t::text) FROM evidence.{table} AS t')",
    "SELECT count(*) FROM evidence.{table} AS t WHERE 1 / (position('rival' IN t::text) - 1) > 0",
    "SELECT count(*) FROM evidence.{table} AS t WHERE t::text::integer > 0",
    "WITH changed AS (UPDATE evidence.{table} SET tenant = tenant RETURNING *) SELECT * FROM changed",
    "WITH gone AS (DELETE FROM evidence.{table} RETURNING *) SELECT * FROM gone",
    "SELECT tenant FROM evidence.{table} FOR UPDATE",
    "TABLE evidence.{table}_202701",
)


def test_one_select_of_the_desk_reaches_nothing_of_another_tenant(house: TwoTenants) -> None:
    names = [table.partition(".")[2] for table in house.tables(partitions=False)]
    with house.session(DESK) as connection:
        for form in SUBQUERIES:
            for name in names:
                connection.execute("SAVEPOINT before")
                try:
                    # With a value it goes the way of every query of the store: one statement.
                    rows = connection.execute(form.format(table=name).encode(), prepare=True).fetchall()
                except psycopg.Error as error:
                    said = str(error).partition("CONTEXT:")[0]  # which quotes what was asked
                else:
                    said = str(rows)
                assert RIVAL not in said, (form, name)
                connection.execute("ROLLBACK TO before")
        again = connection.execute("SELECT current_setting('linewitness.tenant')").fetchone()
        assert again == (OWN,)


def test_no_catalogue_and_no_statistics_tell_the_desk_of_another_tenant(house: TwoTenants) -> None:
    """Everything that may be read at all is read, while the desk answers the other tenant."""
    with house.session(DESK, RIVAL) as other, house.session(DESK) as connection:
        other.execute(f"SELECT count(*) FROM evidence.runs WHERE tenant = '{RIVAL}'")
        relations = connection.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'v', 'm', 'p') "
            "AND has_table_privilege(oid, 'SELECT')"
        ).fetchall()
        assert len(relations) > 100
        told = []
        for (relation,) in relations:
            connection.execute("SAVEPOINT before")
            try:
                rows = connection.execute(f"SELECT t::text FROM {relation} AS t".encode()).fetchall()
            except psycopg.errors.InsufficientPrivilege:
                rows = []
            connection.execute("ROLLBACK TO before")
            told += [(relation, row) for (row,) in rows if RIVAL in (row or "")]
        assert told == []


def test_statistics_have_counts_over_all_tenants_and_nothing_finer(house: TwoTenants) -> None:
    """What remains, and docs/store.md says so: how many rows there are of all tenants together."""
    with house.session(DESK) as connection:
        rows = connection.execute("SELECT reltuples FROM pg_class WHERE relname = 'entries'").fetchall()
        assert rows == [(2.0 * (SIZE + 1),)]
        # The sequences, which count the streams of all, are the ledger's.
        last = "SELECT last_value FROM pg_sequences WHERE schemaname = 'evidence'"
        assert {value for (value,) in connection.execute(last.encode())} == {None}


def test_what_collides_with_another_tenants_row_is_not_described(house: TwoTenants) -> None:
    """An error names the key that collides only to who may see the row."""
    stream, event = house.execute(
        f"SELECT stream_id, event_id FROM evidence.entries WHERE tenant = '{RIVAL}' AND seq = 7"
    )[0]
    form = (
        "INSERT INTO evidence.entries (stream_id, seq, event_id, kind, occurred_at, month) "
        "VALUES (%s, 7, %s, '', '', 202701)"
    )
    with house.session(LEDGER) as connection, pytest.raises(psycopg.errors.UniqueViolation) as caught:
        connection.execute(form, (stream, event))
    assert caught.value.diag.message_detail is None
    assert event not in str(caught.value)


def test_a_role_that_changes_its_own_settings_does_not_blind_the_store(house: TwoTenants) -> None:
    """Each role may give itself other settings; the store's connections do not heed those."""
    with psycopg.connect(house.url().render_as_string(), autocommit=True) as connection:
        for setting in ("row_security = off", "search_path = pg_temp", "synchronous_commit = off"):
            connection.execute(f"ALTER ROLE CURRENT_USER SET {setting}".encode())
    try:
        database = Database(house.url())
        assert [stream.size for stream in reports.read_streams(database)] == [SIZE + 1, SIZE + 1]
        with database.reading() as session:
            assert session.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
        database.close()
    finally:
        house.execute(f"ALTER ROLE {LEDGER} RESET ALL")


def test_the_owner_never_logs_in(house: TwoTenants) -> None:
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(house.url(OWNER).render_as_string())
