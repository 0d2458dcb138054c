"""The kinds of database that a store may have: one test, run against each of them."""

from pathlib import Path

from support.postgres import Cluster


class Databases:
    """Where a test's stores keep what they hold: a name given twice is the same database."""

    def __init__(self) -> None:
        """Use SQLite until a test says otherwise."""
        self._cluster: Cluster | None = None
        self._made: dict[Path, str] = {}

    def use(self, cluster: Cluster | None) -> None:
        """Use a server from now on, or files; what was made before is forgotten."""
        self._cluster = cluster
        self._made.clear()

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


databases = Databases()
url_of = databases.url_of
