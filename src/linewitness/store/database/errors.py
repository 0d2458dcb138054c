"""What can be wrong with the store's database, and whether it is worth another try."""

from typing import ClassVar

from linewitness.base.errors import ExitCode, LinewitnessError


class StoreError(LinewitnessError):
    """The store cannot write or read its database; nothing is receipted that is not committed."""

    exit_code: ClassVar[ExitCode] = ExitCode.JOURNAL


class StoreMoved(StoreError):
    """Another program has written a stream that this one writes: what is in memory is no longer true."""


class StoreUnready(StoreError):
    """Nothing was stored, and it may be tried again: the cause lies outside and may end by itself."""


class StoreFull(StoreUnready):
    """The disk of the database is used up."""


class StoreAway(StoreUnready):
    """The database's server is not there, takes no connection or writes nothing now."""
