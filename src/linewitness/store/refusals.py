"""Note what was not accepted and proves nothing: bounded, whatever somebody sends."""

from typing import Final, NamedTuple, Self

from sqlalchemy import Connection, insert, update

from linewitness.store import tables

#: Different refusals that are noted; who floods the store cannot fill its disk.
MAX_REFUSALS: Final = 10_000
#: What a refusal may quote of what somebody unknown sent.
MAX_TEXT: Final = 300


class StoreRefusal(NamedTuple):
    """Who sent what, and why it was not accepted."""

    tenant: str
    gateway: str
    origin: str
    reason: str
    detail: str

    def cut(self) -> Self:
        """Return the same with texts of bounded length."""
        return self._replace(origin=self.origin[:MAX_TEXT], detail=self.detail[:MAX_TEXT])


class Refusals:
    """The refusals that this process has noted in the database."""

    def __init__(self) -> None:
        """Begin with none noted, whatever processes before this one noted."""
        self._noted: set[tuple[str, ...]] = set()

    def forget(self) -> None:
        """Begin anew: a transaction was rolled back."""
        self._noted.clear()

    def note(self, connection: Connection, refusal: StoreRefusal, at: str, *, again: bool = False) -> bool:
        """Write a refusal, the first time or `again`; return whether it was written."""
        refusal = refusal.cut()
        key = refusal[:-1]
        if key in self._noted:
            if not again:
                return False
        elif len(self._noted) >= MAX_REFUSALS:
            return False
        self._noted.add(key)
        refusals = tables.refusals
        mine = (
            (refusals.c.tenant == refusal.tenant)
            & (refusals.c.gateway == refusal.gateway)
            & (refusals.c.origin == refusal.origin)
            & (refusals.c.reason == refusal.reason)
        )
        known = connection.execute(update(refusals).where(mine).values(detail=refusal.detail, last_at=at))
        if not known.rowcount:
            connection.execute(insert(refusals).values(**refusal._asdict(), first_at=at, last_at=at))
        return True
