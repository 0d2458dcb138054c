"""What the audit store's own YAML says: its database, its name and key, and the broker."""

from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, field_validator, model_validator
from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from linewitness.base.errors import ConfigurationError
from linewitness.base.secrets import Secret
from linewitness.base.settings import FilePath, Identifier, Options, SettingsError, check_path
from linewitness.store.inbox.quota import QuotaOptions
from linewitness.store.inbox.share import PARTITIONS
from linewitness.uplink.options import MqttOptions

_TENANTS: Final = "tenants"
#: Where a worker's number goes in the settings of the broker.
WORKER: Final = "{worker}"


class AuditStoreOptions(Options):
    """One audit store."""

    database: str = Field(
        description="URL of the database, such as sqlite:////var/lib/linewitness-store/store.db or "
        "postgresql://linewitness_ledger@db.acme.example/linewitness."
    )
    database_password: Secret | None = Field(
        default=None,
        description="Where the password for PostgreSQL is kept; without it, libpq's own ways count, such as "
        "~/.pgpass or the server's trust in a socket.",
    )
    name: str = Field(
        pattern=r"^[^\s+]{1,200}$",
        description="Name of the store's key, a schema-less URL such as store.acme.example.",
    )
    key: Secret = Field(
        description="Where the store's private key is kept; `linewitness store init` makes it."
    )
    tenant_keys: FilePath | None = Field(
        default=None,
        description="Folder for the keys of the tenant streams, which the store writes itself; default: the "
        "folder `tenants` beside the key, or beside a SQLite database where the key is a credential.",
    )
    mqtt: MqttOptions = Field(description="The broker at which the gateways are met.")
    tenants: tuple[Identifier, ...] = Field(
        default=(), description="Tenants that are served; default: every tenant with an enrolled gateway."
    )

    workers: int = Field(
        default=1,
        ge=1,
        le=PARTITIONS,
        description="Processes that share the gateways between them; more than one needs PostgreSQL. Where a "
        "setting of mqtt names {worker}, each puts its number, from 0 on, in its place.",
    )
    quota: QuotaOptions = Field(default=QuotaOptions(), description="What one gateway may use of the store.")

    @field_validator("database")
    @classmethod
    def _known_database(cls, text: str) -> str:
        try:
            url = make_url(text)
        except ArgumentError:
            raise ValueError(
                "it is not a URL such as sqlite:////var/lib/linewitness-store/store.db"
            ) from None
        if url.drivername not in ("sqlite", "postgresql"):
            raise ValueError("it begins with sqlite:// or postgresql://")
        if url.password is not None:
            raise ValueError("a password has no place in it: name its file with database_password")
        if url.drivername == "postgresql":
            if not url.database:
                raise ValueError(
                    "it names no database, as in postgresql://linewitness_ledger@host/linewitness"
                )
            return text
        if not url.database or url.database == ":memory:":
            raise ValueError("an audit store needs a file, not a database in memory")
        check_path(Path(url.database))
        return text

    @model_validator(mode="after")
    def _workers_have_what_they_need(self) -> Self:
        if self.workers == 1:
            return self
        if self.database_file is not None:
            raise SettingsError("several workers need a database in PostgreSQL", at=("workers",))
        if self.mqtt.client_id is not None and WORKER not in self.mqtt.client_id:
            raise SettingsError(
                f"each worker needs a client id of its own: write {WORKER} into it, or leave it out",
                at=("mqtt", "client_id"),
            )
        return self

    def of_worker(self, worker: int) -> Self:
        """Return the settings of one worker: its number stands wherever mqtt names {worker}."""
        mqtt = MqttOptions.model_validate(_numbered(self.mqtt.model_dump(exclude_unset=True), str(worker)))
        return self.model_copy(update={"mqtt": mqtt})

    @property
    def database_url(self) -> URL:
        """The database's URL in parts."""
        return make_url(self.database)

    @property
    def database_file(self) -> Path | None:
        """The file of the database; None where it is on a server."""
        url = self.database_url
        return Path(url.database or "") if url.drivername == "sqlite" else None

    @property
    def tenant_keys_folder(self) -> Path:
        """Where the keys of the tenant streams are; ConfigurationError where that is not clear."""
        if self.tenant_keys is not None:
            return self.tenant_keys
        beside = self.key.file or self.database_file
        if beside is None:
            raise ConfigurationError(
                "it is not clear where the keys of the tenant streams are kept",
                hint="name a folder with tenant_keys: the store's key is a credential",
            )
        return beside.parent / _TENANTS

    def seen_from(self, folder: Path) -> Self:
        """Return the same settings with a relative path in the database's URL seen from a folder."""
        if self.database_file is None:
            return self
        url = self.database_url.set(database=str(folder / self.database_file))
        return self.model_copy(update={"database": url.render_as_string(hide_password=False)})


def _numbered(value: Any, number: str) -> Any:
    if isinstance(value, dict):
        return {name: _numbered(inner, number) for name, inner in value.items()}
    if isinstance(value, Path):
        return Path(str(value).replace(WORKER, number))
    return value.replace(WORKER, number) if isinstance(value, str) else value
