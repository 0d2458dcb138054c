"""The kinds of database that a store may have: one test, run against each of them."""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, create_engine, make_url

from support.postgres import ADMIN, Cluster

#: What is called otherwise in PostgreSQL, of the words that tests change rows with.
_WORDS: Final = {
    "zeroblob(99)": "decode(repeat('00', 99), 'hex')",
    "zeroblob(32)": "decode(repeat('00', 32), 'hex')",
    "x'00'": "'\\x00'::bytea",
    "char(10)": "chr(10)",
    "AS BLOB": "AS bytea",
    "substr(note, -5)": "right(note, 5)",
}


class Databases:
    """Where a test's stores keep what they hold: a name given twice is the same database."""

    def __init__(self) -> None:
        """Use SQLite until a test says otherwise."""
        self._cluster: Cluster | None = None
        self._made: dict[Path, str] = {}

    def use(self, cluster: Cluster | None) -> None:
        """Use a server from now on, or files."""
        self._cluster = cluster

    @property
    def is_server(self) -> bool:
        """Whether stores are databases of a server now."""
        return self._cluster is not None

    def url_of(self, file: Path | str) -> str:
        """Return the URL of the store that has this file, or would have it in SQLite."""
        if self._cluster is None:
            return f"sqlite:///{file}"
        if (path := Path(file)) not in self._made:
            self._made[path] = self._cluster.new_store().render_as_string(hide_password=False)
        return self._made[path]

    def copy(self, source: Path, target: Path) -> None:
        """Make a copy of a store that nobody has open."""
        if self._cluster is None:
            shutil.copyfile(source, target)
            return
        template = make_url(self.url_of(source)).database
        url = self._cluster.copy_of(str(template))
        self._made[target] = url.render_as_string(hide_password=False)

    @contextlib.contextmanager
    def tampering(self, file: Path) -> Iterator[Connection]:
        """Open a store as somebody whom no right and no trigger stops."""
        url = make_url(self.url_of(file))
        if self._cluster is not None:
            options = "-c search_path=evidence,views -c linewitness.migration=on"
            url = url.set(drivername="postgresql+psycopg", username=ADMIN)
            engine = create_engine(url, connect_args={"options": options})
        else:
            drop_triggers(file)
            engine = create_engine(url)
        with engine.connect() as connection, connection.begin():
            if self._cluster is not None:
                tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'evidence'"
                for table in connection.exec_driver_sql(tables).scalars().all():
                    connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            yield connection
        engine.dispose()

    def tamper(self, file: Path, statement: str) -> int:
        """Change rows; return how many."""
        if self._cluster is not None:
            for word, other in _WORDS.items():
                statement = statement.replace(word, other)
        with self.tampering(file) as connection:
            return connection.exec_driver_sql(statement).rowcount


def drop_triggers(file: Path) -> None:
    """Take the triggers out of a SQLite file."""
    with contextlib.closing(sqlite3.connect(file)) as connection:
        found: list[Any] = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall()
        for (name,) in found:
            connection.execute(f"DROP TRIGGER {name}")
        connection.commit()


databases = Databases()
url_of = databases.url_of
