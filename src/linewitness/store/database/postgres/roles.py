"""The roles of a store in PostgreSQL, and what an administrator runs once to make them.

The owner owns everything and logs in nowhere. Nobody who logs in may change or delete evidence.
"""

from collections.abc import Mapping
from typing import Final

from psycopg import sql

OWNER: Final = "linewitness_owner"
LEDGER: Final = "linewitness_ledger"
DESK: Final = "linewitness_desk"
ARCHIVE: Final = "linewitness_archive"
#: The roles that log in.
LOGINS: Final = (LEDGER, DESK, ARCHIVE)

_ROLES: Final = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'linewitness_owner') THEN
        CREATE ROLE linewitness_owner NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'linewitness_ledger') THEN
        CREATE ROLE linewitness_ledger LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'linewitness_desk') THEN
        CREATE ROLE linewitness_desk LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'linewitness_archive') THEN
        CREATE ROLE linewitness_archive LOGIN;
    END IF;
END
$$;
"""

_DATABASE: Final = """
GRANT linewitness_owner TO CURRENT_USER;
DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO linewitness_ledger, linewitness_desk, linewitness_archive',
        current_database()
    );
END
$$;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA IF NOT EXISTS evidence AUTHORIZATION linewitness_owner;
CREATE SCHEMA IF NOT EXISTS views AUTHORIZATION linewitness_owner;
GRANT USAGE ON SCHEMA evidence TO linewitness_ledger, linewitness_desk, linewitness_archive;
GRANT USAGE ON SCHEMA views TO linewitness_ledger, linewitness_desk;
"""

#: Whoever injects SQL into a question of the desk has one SELECT: with these functions it could name another
#: tenant in it, keep the ledger waiting, fill the disk, or end what others ask. SET, which the desk itself
#: uses, is a statement of its own. All of the desk is one role, which would see what it asks for others.
_FUNCTIONS: Final = """
REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC;
DO $$
DECLARE name regprocedure;
BEGIN
    FOR name IN SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^(lo_.*|loread|lowrite|pg_notify|'
        'pg_logical_emit_message|pg_export_snapshot|pg_terminate_backend|pg_cancel_backend|pg_.*advisory.*)$'
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', name);
    END LOOP;
    FOR name IN SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
        AND proname ~ '^pg_(.*advisory.*|logical_emit_message)$'
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO linewitness_owner, linewitness_ledger', name);
    END LOOP;
    EXECUTE format(
        'ALTER ROLE linewitness_desk IN DATABASE %I SET track_activities = off', current_database()
    );
END
$$;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_terminate_backend(integer, bigint) TO pg_signal_backend;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_cancel_backend(integer) TO pg_signal_backend;
"""

#: They stop accidents: a superuser can drop them, and who means it sets linewitness.migration.
#: A detached month is not dropped, and a grant names no object: the owner needs leave for any command.
#: They are in a schema of their own, or they would go with the one that they guard.
_NO_ACCIDENT: Final = """
CREATE SCHEMA IF NOT EXISTS linewitness_guard;
CREATE OR REPLACE FUNCTION linewitness_guard.refuse_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('linewitness.migration', true), '') <> 'on' AND EXISTS (
        SELECT FROM pg_event_trigger_dropped_objects()
        WHERE schema_name = 'evidence' OR address_names[1] = 'evidence'
    ) THEN
        RAISE EXCEPTION 'the schema evidence is never dropped from';
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION linewitness_guard.refuse_alter() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('linewitness.migration', true), '') <> 'on' AND EXISTS (
        SELECT FROM pg_event_trigger_ddl_commands() LEFT JOIN pg_class ON classid = 'pg_class'::regclass
        AND objid = pg_class.oid WHERE schema_name = 'evidence' OR object_identity LIKE '% on evidence.%'
        OR relowner = 'linewitness_owner'::regrole  -- it may be in another schema now
    ) THEN
        RAISE EXCEPTION 'the schema evidence is never altered by hand';
    END IF;
END
$$;
CREATE OR REPLACE FUNCTION linewitness_guard.refuse_owner() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('linewitness.migration', true), '') <> 'on'
        AND current_user = 'linewitness_owner'
    THEN
        RAISE EXCEPTION 'linewitness_owner does this in a migration alone';
    END IF;
END
$$;
DROP EVENT TRIGGER IF EXISTS linewitness_no_drop;
CREATE EVENT TRIGGER linewitness_no_drop ON sql_drop EXECUTE FUNCTION linewitness_guard.refuse_drop();
DROP EVENT TRIGGER IF EXISTS linewitness_no_alter;
CREATE EVENT TRIGGER linewitness_no_alter ON ddl_command_end
    EXECUTE FUNCTION linewitness_guard.refuse_alter();
DROP EVENT TRIGGER IF EXISTS linewitness_no_owner;
CREATE EVENT TRIGGER linewitness_no_owner ON ddl_command_start
    EXECUTE FUNCTION linewitness_guard.refuse_owner();
"""


def prelude(passwords: Mapping[str, str]) -> str:
    """Return what an administrator runs before the owner makes the tables; it may be run again.

    `passwords` are those of roles that log in; a role that is not named keeps its own, or has none.
    """
    given = "".join(
        sql.SQL("ALTER ROLE {} PASSWORD {};\n")
        .format(sql.Identifier(role), sql.Literal(password))
        .as_string(None)
        for role, password in passwords.items()
    )
    return _ROLES + given + _DATABASE


def closing() -> str:
    """Return what a superuser runs after that: it needs rights that no other role has."""
    return _FUNCTIONS + _NO_ACCIDENT
