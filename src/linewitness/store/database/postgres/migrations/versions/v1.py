"""The evidence, append-only, and beside it what may change."""

from alembic import op

from linewitness.store.database.postgres.migrations.columns_v1 import BY_MONTH, CHANGEABLE, EVIDENCE, FOR_ALL
from linewitness.store.database.postgres.views import make_views

revision = "1"
down_revision = None
branch_labels = None
depends_on = None

_OWN = "tenant = current_setting('linewitness.tenant', true)"
_REFUSE = """
CREATE FUNCTION evidence.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% are evidence: they are never changed', TG_TABLE_NAME;
END
$$
"""

#: The ledger may make the tables of a month, and nothing else.
_MAKE_MONTH = """
CREATE FUNCTION evidence.make_month(month integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent text;
    child text;
    made boolean := false;
BEGIN
    IF month NOT BETWEEN 200001 AND 219912 OR month % 100 NOT BETWEEN 1 AND 12 THEN
        RAISE EXCEPTION '% is not a month', month;
    END IF;
    PERFORM pg_advisory_xact_lock(19543, 0);
    SET LOCAL linewitness.migration = 'on';
    FOREACH parent IN ARRAY ARRAY['runs', 'entries'] LOOP
        child := parent || '_' || month;
        IF to_regclass('evidence.' || child) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE evidence.%I PARTITION OF evidence.%I FOR VALUES IN (%s)', child, parent, month
            );
            EXECUTE format('ALTER TABLE evidence.%I ENABLE ROW LEVEL SECURITY', child);
            EXECUTE format('ALTER TABLE evidence.%I FORCE ROW LEVEL SECURITY', child);
            EXECUTE format(
                'CREATE TRIGGER %I BEFORE TRUNCATE ON evidence.%I EXECUTE FUNCTION evidence.refuse_change()',
                child || '_no_truncate', child
            );
            EXECUTE format(
                'ALTER TABLE evidence.%I ENABLE ALWAYS TRIGGER %I', child, child || '_no_truncate'
            );
            made := true;
        END IF;
    END LOOP;
    SET LOCAL linewitness.migration = 'off';
    RETURN made;
END
$$
"""


def upgrade() -> None:
    """Make all tables, with the rights and the triggers that keep evidence as it is."""
    op.execute("CREATE TABLE evidence.store (schema integer NOT NULL)")
    op.execute("INSERT INTO evidence.store VALUES (3)")
    op.execute("GRANT SELECT ON evidence.store TO linewitness_ledger, linewitness_desk, linewitness_archive")
    op.execute(_REFUSE)
    for name, columns in EVIDENCE.items():
        _make_evidence(name, columns)
    op.execute("CREATE INDEX streams_by_gateway ON evidence.streams (tenant, gateway)")
    for name in ("entries", "handover_records"):
        op.execute(f"CREATE INDEX {name}_by_unit ON evidence.{name} (tenant, unit) WHERE unit IS NOT NULL")
    for name, columns in CHANGEABLE.items():
        _make_changeable(name, columns)
    for statement in make_views():
        op.execute(statement)
    op.execute("CREATE INDEX notices_by_state ON views.notices (stream_id, state, seq)")
    op.execute(_MAKE_MONTH)
    op.execute("REVOKE ALL ON FUNCTION evidence.make_month(integer) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION evidence.make_month(integer) TO linewitness_ledger")


def _make_evidence(name: str, columns: str) -> None:
    parted = " PARTITION BY LIST (month)" if name in BY_MONTH else ""
    op.execute(f"CREATE TABLE evidence.{name} ({columns}){parted}")
    op.execute(f"GRANT SELECT, INSERT ON evidence.{name} TO linewitness_ledger")
    op.execute(f"GRANT SELECT ON evidence.{name} TO linewitness_desk")
    op.execute(
        f"CREATE TRIGGER {name}_no_change BEFORE UPDATE OR DELETE ON evidence.{name} "
        "FOR EACH ROW EXECUTE FUNCTION evidence.refuse_change()"
    )
    op.execute(
        f"CREATE TRIGGER {name}_no_truncate BEFORE TRUNCATE ON evidence.{name} "
        "EXECUTE FUNCTION evidence.refuse_change()"
    )
    # Also where a session plays the part of a replica, which fires no other triggers.
    for deed in ("change", "truncate"):
        op.execute(f"ALTER TABLE evidence.{name} ENABLE ALWAYS TRIGGER {name}_no_{deed}")
    _secure(f"evidence.{name}")
    if name == "tenants":
        op.execute(
            "CREATE POLICY all_tenants ON evidence.tenants TO linewitness_ledger "
            "USING (true) WITH CHECK (true)"
        )


def _make_changeable(name: str, columns: str) -> None:
    op.execute(f"CREATE TABLE views.{name} ({columns})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON views.{name} TO linewitness_ledger")
    op.execute(f"GRANT SELECT ON views.{name} TO linewitness_desk")
    _secure(f"views.{name}")
    if name in FOR_ALL:
        op.execute(
            f"CREATE POLICY of_strangers ON views.{name} TO linewitness_ledger USING (true) WITH CHECK (true)"
        )


def _secure(table: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_tenant ON {table} USING ({_OWN}) WITH CHECK ({_OWN})")
