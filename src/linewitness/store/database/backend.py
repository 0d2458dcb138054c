"""What differs between the kinds of database that a store may have."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from linewitness.store.database.errors import StoreError, StoreUnready


class Backend(ABC):
    """One kind of database: how it is opened, what its errors mean, and the statements of the hot path."""

    #: The database in words, for messages: no password is in it.
    name: str
    engine: Engine

    @abstractmethod
    def create(self) -> None:
        """Make the tables, if they are not there."""

    @abstractmethod
    def exists(self) -> bool:
        """Say whether there is a database, whatever is in it."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Say whether there is nothing yet; nothing is changed."""

    @abstractmethod
    def check(self) -> None:
        """Require a store of this version: StoreError otherwise."""

    @abstractmethod
    def options(self, *, writes: bool) -> Mapping[str, Any]:
        """Return how a transaction is opened that reads one snapshot, or that writes."""

    @abstractmethod
    def use_tenant(self, connection: Connection, tenant: str) -> None:
        """Let the rest of the transaction see and write this tenant's rows."""

    def prepare(self, at: str) -> None:
        """Make ready to store what is accepted at a time."""

    @abstractmethod
    def refusal(self) -> StoreUnready | None:
        """Return why nothing can be stored now, or None; StoreError where that will not end by itself."""

    @abstractmethod
    def error(self, error: DBAPIError) -> StoreError:
        """Return what an error of the database means."""

    @abstractmethod
    def guarded(self, connection: Connection, left: Callable[[], bool]) -> AbstractContextManager[None]:
        """Let queries of a block end early once `left` says so; it is asked often and from any thread."""
