"""Who breaks the glass in PostgreSQL: an administrator alone, in steps that the server's log names."""

# ruff: noqa: S608  # statements about tables of our own

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from linewitness.store.database.database import Database
from linewitness.store.database.postgres.roles import LEDGER
from linewitness.store.inspection import inspect
from support.postgres import ADMIN, Cluster, cluster
from support.two_tenants import OWN, RIVAL, TwoTenants

PAGE = (Path(__file__).parents[2] / "docs" / "store.md").read_text()
#: What docs/store.md tells the DBA to write, in postgresql.conf and once in the database.
(SETTINGS,) = re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)
(QUIET, STEPS) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A server whose statements are audited as the page says."""
    with cluster(SETTINGS) as running:
        yield running


@pytest.fixture
def house(server: Cluster) -> TwoTenants:
    made = TwoTenants(server)
    for statement in QUIET.split(";\n"):
        if statement.strip():
            made.execute(statement.replace("DATABASE linewitness", f"DATABASE {made.name}"))
    return made


def audited(server: Cluster) -> list[str]:
    return [line for line in (server.folder / "log").read_text().splitlines() if "AUDIT: " in line]


def steps(house: TwoTenants) -> list[str]:
    """Return the steps of the page, with an example of a deed in the place of its comment."""
    deed = f"DELETE FROM evidence.conflicts WHERE tenant = '{RIVAL}';"
    return [line for line in STEPS.replace("-- what has to be done", deed).splitlines() if line]


def test_each_step_of_an_administrator_is_in_the_log_with_statement_and_user(
    server: Cluster, house: TwoTenants
) -> None:
    before = len(audited(server))
    with psycopg.connect(
        host=str(server.folder), user=ADMIN, dbname=house.name, autocommit=True
    ) as connection:
        for step in steps(house):
            connection.execute(step.replace("TENANT", RIVAL).encode())
    said = audited(server)[before:]
    for step in steps(house):
        if not step.startswith(("BEGIN", "COMMIT", "SET LOCAL linewitness.tenant")):
            assert any(step.rstrip(";").replace("TENANT", RIVAL) in line for line in said), step
    assert all(f"{ADMIN}@{house.name}" in line for line in said)
    assert house.execute(f"SELECT count(*) FROM evidence.conflicts WHERE tenant = '{RIVAL}'") == [(0,)]
    assert house.execute(f"SELECT count(*) FROM evidence.conflicts WHERE tenant = '{OWN}'") == [(1,)]


def test_what_the_ledger_does_all_day_does_not_fill_the_log(server: Cluster, house: TwoTenants) -> None:
    before = len(audited(server))
    with house.session(LEDGER) as connection:
        connection.execute("INSERT INTO views.notice_refusals VALUES ('acme', 'gw', '', '', 1, '', '')")
    assert len(audited(server)) == before


def test_records_that_an_administrator_took_away_are_missed(server: Cluster, house: TwoTenants) -> None:
    """Grants and triggers stop accidents; what proves a deed are the receipts, here the store's own."""
    database = Database(house.url())
    before = asyncio.run(inspect(database, store_key=house.cosigner.vkey))
    with psycopg.connect(host=str(server.folder), user=ADMIN, dbname=house.name) as connection:
        connection.execute("SET ROLE linewitness_owner")
        connection.execute("SET LOCAL linewitness.migration = 'on'")
        connection.execute(f"SET LOCAL linewitness.tenant = '{RIVAL}'".encode())
        for table, number in (("runs", "first_seq"), ("entries", "seq")):
            connection.execute(f"ALTER TABLE evidence.{table} DISABLE TRIGGER {table}_no_change".encode())
            # The owner sees no row of a month itself: that has row-level security without a policy.
            gone = connection.execute(f"DELETE FROM evidence.{table} WHERE {number} >= 256".encode())
            assert gone.rowcount
            connection.execute(
                f"ALTER TABLE evidence.{table} ENABLE ALWAYS TRIGGER {table}_no_change".encode()
            )
    found = asyncio.run(inspect(database, store_key=house.cosigner.vkey))
    database.close()
    missed = "its newest records reach 256, what they are found by 256, and the newest receipt 261"
    assert [missed in each for each in found if each not in before] == [True]
