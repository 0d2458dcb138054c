"""A real PostgreSQL of this machine: a throw-away cluster on a socket in a temporary folder."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

import psutil
import psycopg
from sqlalchemy.engine import URL

from linewitness.store.database.postgres.install import install
from linewitness.store.database.postgres.roles import LEDGER

ADMIN: Final = "postgres"
#: PostgreSQL refuses to run as root.
_NOBODY: Final = 65534
_SETTINGS: Final = """
listen_addresses = ''
unix_socket_permissions = 0777
shared_buffers = 32MB
max_connections = 40
max_wal_size = 256MB
log_min_messages = warning
log_min_error_statement = panic
"""


class Cluster:
    """A server with a database for each store that a test asks for."""

    def __init__(self, folder: Path, settings: str = "", *, primary: "Cluster | None" = None) -> None:
        """Make a cluster in an empty folder, or the standby of another, with more settings; not started."""
        self.folder = folder
        self.data = folder / "data"
        self._numbers = count(1)
        if os.geteuid() == 0:
            os.chown(folder, _NOBODY, _NOBODY)
        if primary is None:
            self._run("initdb", "-D", self.data, "-U", ADMIN, "-A", "trust", "--no-sync", "--locale=C.UTF-8")
        else:
            whence = ("-h", primary.folder, "-U", ADMIN)
            self._run("pg_basebackup", "-D", self.data, *whence, "-R", "-c", "fast", "--no-sync")
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS + f"unix_socket_directories = '{folder}'\n" + settings)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._run("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it."""
        self._run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def promote(self) -> None:
        """Let a standby be a server of its own."""
        self._run("pg_ctl", "-D", self.data, "-w", "promote")

    def kill(self) -> None:
        """End the server and all of it as a power cut would, but for the disk."""
        postmaster = psutil.Process(self.postmaster)
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs([one for one in family if one.is_running() and one.status() != "zombie"], 10)
        # Where nobody reaps it, its number stays in use, and the next start would take it for alive.
        (self.data / "postmaster.pid").unlink()
        (self.folder / ".s.PGSQL.5432.lock").unlink(missing_ok=True)

    @property
    def postmaster(self) -> int:
        """The process of the server."""
        return int((self.data / "postmaster.pid").read_text().split("\n")[0])

    def url(self, database: str = "postgres", user: str = ADMIN) -> URL:
        """Return the URL of a database."""
        return URL.create("postgresql", username=user, database=database, query={"host": str(self.folder)})

    def admin(self, database: str = "postgres") -> "psycopg.Connection[tuple[object, ...]]":
        """Connect as the administrator."""
        return psycopg.connect(host=str(self.folder), user=ADMIN, dbname=database, autocommit=True)

    def new_database(self) -> str:
        """Make an empty database, and return its name."""
        name = f"store_{next(self._numbers)}"
        with self.admin() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name

    def copy_of(self, template: str) -> URL:
        """Make a copy of a database that nobody has open, and return its URL for the ledger."""
        name = f"store_{next(self._numbers)}"
        with self.admin() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return self.url(name, LEDGER)

    def new_store(self) -> URL:
        """Make a database with a store in it, and return its URL for the ledger."""
        with self.admin() as connection:
            if not connection.execute("SELECT FROM pg_database WHERE datname = 'template_store'").fetchall():
                connection.execute("CREATE DATABASE template_store")
                install(self.url("template_store"))
        return self.copy_of("template_store")

    def _run(self, program: str, *arguments: str | Path) -> None:
        command: list[str | Path] = [server_program(program), *arguments]
        user = _NOBODY if os.geteuid() == 0 else None
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(self.folder)}
        done = subprocess.run(
            command,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the server keeps what pg_ctl has open
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(
                f"{command} ended with {done.returncode}: {log.read_text() if log.exists() else ''}"
            )


@contextmanager
def cluster(settings: str = "", *, primary: Cluster | None = None) -> Iterator[Cluster]:
    """Run a server, or the standby of one; its folder is short: a socket's name has 107 bytes at most."""
    folder = Path(mkdtemp(prefix="lw-pg-"))
    made = Cluster(folder, settings, primary=primary)
    made.start()
    try:
        yield made
    finally:
        if (made.data / "postmaster.pid").exists():
            made.stop()
        shutil.rmtree(folder)


def server_program(name: str) -> str:
    """Return the program of the newest PostgreSQL here: Debian keeps each version in a folder of its own."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda file: int(file.parts[4]))
    found = str(versions[-1]) if versions else shutil.which(name)
    if found is None:
        raise RuntimeError(f"there is no {name}: install postgresql")
    return found
