"""`linewitness store init` on a server: twice, as whom, printed, and where it cannot be done."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL

from linewitness.store.database.database import Database
from linewitness.store.database.postgres import install as installing
from linewitness.store.database.postgres.roles import LEDGER, LOGINS
from linewitness.store.database.tenants import tenants_of
from linewitness.store.keys import create_key
from support.lines import call
from support.postgres import ADMIN, Cluster, cluster, server_program

DBA = "dba"
_SETTINGS = (
    "SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting JOIN pg_database d "
    "ON d.oid = setdatabase WHERE datname = current_database()"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A server of its own: roles are the same in all of its databases."""
    with cluster() as running:
        with running.admin() as connection:
            connection.execute(f"CREATE ROLE {DBA} LOGIN CREATEROLE")
            connection.execute("CREATE ROLE clerk LOGIN")
        yield running


@pytest.fixture
def name(server: Cluster) -> str:
    return server.new_database()


def yaml_of(folder: Path, server: Cluster, name: str) -> Path:
    file = folder / f"{name}.yaml"
    url = server.url(name, LEDGER).render_as_string()
    file.write_text(
        f"database: {url}\nname: store.example\nkey: {{file: store.key}}\nmqtt: {{url: mqtt://127.0.0.1}}\n"
    )
    if not (folder / "store.key").exists():
        create_key("store.example", folder / "store.key")
    return file


def init(file: Path, url: URL | str) -> Any:
    return call("store", "init", file, "--admin-url", url if isinstance(url, str) else url.render_as_string())


def refused(outcome: Any) -> str:
    assert outcome.exit_code != 0, outcome.output
    assert not isinstance(outcome.exception, TypeError | ValueError), outcome.exception
    return str(outcome.exception)


def psql(server: Cluster, name: str, script: str) -> None:
    command = [server_program("psql"), "-h", str(server.folder), "-U", ADMIN, "-d", name, "-q", "-1"]
    subprocess.run([*command, "-v", "ON_ERROR_STOP=1"], input=script, text=True, check=True)


def catalogue(server: Cluster, name: str) -> str:
    """Return everything that a dump says of a database, its rights and settings, and its versions."""
    command = [server_program("pg_dump"), "-h", str(server.folder), "-U", ADMIN, "--schema-only", name]
    dumped = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    with server.admin(name) as connection:
        more = [
            connection.execute(query.encode()).fetchall()
            for query in (
                "SELECT version_num FROM evidence.alembic_version",
                "SELECT schema FROM evidence.store",
                _SETTINGS,
                "SELECT oid::regprocedure::text, proacl::text FROM pg_proc WHERE proacl NOTNULL ORDER BY 1",
                "SELECT datacl::text FROM pg_database WHERE datname = current_database()",
            )
        ]
    # Dumps since 15.14 have a word that is drawn each time.
    return re.sub(r"^\\(un)?restrict .*$", "", dumped, flags=re.MULTILINE) + str(more)


def test_init_twice_changes_nothing_the_second_time(server: Cluster, name: str, tmp_path: Path) -> None:
    file = yaml_of(tmp_path, server, name)
    first = init(file, server.url(name))
    assert first.exit_code == 0, (first.output, first.exception)
    before = catalogue(server, name)
    second = init(file, server.url(name))
    assert second.exit_code == 0, (second.output, second.exception)
    assert "password" not in second.output
    assert catalogue(server, name) == before
    assert call("store", "status", file).exit_code == 0


def test_new_roles_get_passwords_once(tmp_path: Path) -> None:
    with cluster() as fresh:
        name = fresh.new_database()
        outcome = init(yaml_of(tmp_path, fresh, name), fresh.url(name))
        shown = re.findall(r"^password    (\S+) (\S{32})$", outcome.output, re.MULTILINE)
        assert [role for role, _ in shown] == list(LOGINS)
        with fresh.admin() as connection:
            rows = connection.execute("SELECT rolname, rolpassword FROM pg_authid").fetchall()
        stored = {str(role): str(password) for role, password in rows}
        assert all(stored[role].startswith("SCRAM-SHA-256$") for role in LOGINS)


def test_what_is_printed_makes_the_same_as_what_is_done(server: Cluster, name: str, tmp_path: Path) -> None:
    file = yaml_of(tmp_path, server, name)
    assert init(file, server.url(name)).exit_code == 0
    other = server.new_database()
    printed = call("store", "init", file, "--print-sql")
    assert printed.exit_code == 0
    psql(server, other, printed.output)
    assert catalogue(server, other).replace(other, name) == catalogue(server, name)
    assert call("store", "status", yaml_of(tmp_path, server, other)).exit_code == 0


def test_an_owner_who_may_create_roles_does_most_and_a_superuser_the_rest(
    server: Cluster, name: str, tmp_path: Path
) -> None:
    with server.admin() as connection:
        connection.execute(f"ALTER DATABASE {name} OWNER TO {DBA}".encode())
    file = yaml_of(tmp_path, server, name)
    outcome = init(file, server.url(name, DBA))
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    assert "warning: the administrator is no superuser: run the same once more as one" in outcome.output
    assert call("store", "status", file).exit_code == 0
    assert init(file, server.url(name, DBA)).exit_code == 0
    assert "warning" not in init(file, server.url(name)).output
    other = server.new_database()
    assert init(yaml_of(tmp_path, server, other), server.url(other)).exit_code == 0
    guards = "SELECT evtname, evtenabled FROM pg_event_trigger ORDER BY evtname"
    with server.admin(name) as here, server.admin(other) as there:
        assert here.execute(guards).fetchall() == there.execute(guards).fetchall()


def test_who_may_not_and_what_is_wrong_is_said(
    server: Cluster, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = yaml_of(tmp_path, server, name)
    assert "clerk may not create roles" in refused(init(file, server.url(name, "clerk")))
    assert f"{DBA} does not own the database {name}" in refused(init(file, server.url(name, DBA)))
    nowhere = yaml_of(tmp_path, server, "nowhere")
    said = refused(init(nowhere, server.url("nowhere")))
    assert 'database "nowhere" does not exist' in said
    assert "CREATE DATABASE" in said
    assert "nobody" in refused(init(file, server.url(name, "nobody")))
    assert "names no database of PostgreSQL" in refused(init(file, f"mysql://root@localhost/{name}"))
    assert "is no URL" in refused(init(file, "postgres at home"))
    assert "is no URL" in refused(init(file, f"postgresql://postgres@localhost:port/{name}"))
    assert f"names the database {name}, and --admin-url template1" in refused(
        init(file, server.url("template1"))
    )
    away = server.url(name).update_query_dict({"host": str(tmp_path)})
    assert "check --admin-url" in refused(init(file, away))
    monkeypatch.setattr(installing, "OLDEST_SERVER", 990_000)
    assert "it is too old" in refused(init(file, server.url(name)))
    with server.admin(name) as connection:
        made = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname IN ('evidence', 'views')")
        assert made.fetchall() == []


def test_two_stores_of_one_server_know_nothing_of_each_other(server: Cluster, tmp_path: Path) -> None:
    files = [yaml_of(tmp_path, server, server.new_database()) for _ in range(2)]
    for file in files:
        assert init(file, server.url(file.stem)).exit_code == 0
    first, second = (Database(server.url(file.stem, LEDGER)) for file in files)
    with first.writing("acme") as connection:
        connection.exec_driver_sql("INSERT INTO tenants (tenant, created_at) VALUES ('acme', '')")
    assert (tenants_of(first), tenants_of(second)) == (["acme"], [])
    first.close()
    second.close()
