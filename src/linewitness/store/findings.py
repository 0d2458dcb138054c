"""Keep what was found wrong with what gateways send: contradictions with their evidence, and refusals."""

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple, Self

import structlog
from sqlalchemy import Connection, func, insert, select, update

from linewitness.store.database import tables
from linewitness.store.inbox.drops import DroppedMessages
from linewitness.store.stream import Stream
from linewitness.store.turn import LedgerTurn
from linewitness.uplink.topics import Topics

#: Contradictions kept for one stream; a gateway that goes on producing them adds nothing to the case.
MAX_CONFLICTS: Final = 1000

#: Different refusals that are noted; who floods the store cannot fill its disk.
MAX_REFUSALS: Final = 10_000
#: What a refusal may quote of what somebody unknown sent.
MAX_TEXT: Final = 300

_log = structlog.get_logger(__name__)


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


class StoreFindings:
    """What is noted within a transaction of the ledger."""

    def __init__(self) -> None:
        """Begin with nothing noted in this process."""
        self.refusals = Refusals()

    def forget(self) -> None:
        """Note refusals again: the transaction that noted them failed."""
        self.refusals.forget()

    def keep_conflict(self, turn: LedgerTurn, stream: Stream, seq: int, data: bytes, reason: str) -> None:
        """Keep a signed statement that contradicts what is held, each once."""
        conflicts, stream_id = tables.conflicts, stream.enrolment.stream_id
        digest = hashlib.sha256(data).hexdigest()
        mine = select(func.count()).where(conflicts.c.stream_id == stream_id)
        known = turn.connection.execute(mine.where(conflicts.c.digest == digest)).scalar_one()
        if known or turn.connection.execute(mine).scalar_one() >= MAX_CONFLICTS:
            return
        turn.connection.execute(
            insert(conflicts).values(
                stream_id=stream_id, seq=seq, reason=reason, digest=digest, data=data, seen_at=turn.at
            )
        )
        _log.warning("conflict", stream=stream.enrolment.origin, reason=reason)

    def refuse(self, turn: LedgerTurn, topics: Topics, origin: str, reason: str, detail: str) -> None:
        """Note, once a process, that something was not accepted and proves nothing."""
        refusal = StoreRefusal(topics.tenant, topics.gateway, origin, reason, detail).cut()
        if not self.refusals.note(turn.connection, refusal, turn.at):
            return
        _log.warning(
            "refused",
            tenant=refusal.tenant,
            gateway=refusal.gateway,
            stream=refusal.origin,
            reason=reason,
            detail=refusal.detail,
        )

    def note_drops(self, connection: Connection, drops: Iterable[DroppedMessages], at: str) -> None:
        """Log what was dropped unread, and note it."""
        for tenant, gateway, reason, messages, size in drops:
            detail = f"{reason.words}: {messages} messages of {size} bytes dropped"
            _log.warning(
                "messages dropped", tenant=tenant, gateway=gateway, reason=reason.value, detail=detail
            )
            refusal = StoreRefusal(tenant, gateway, "", reason, detail)
            self.refusals.note(connection, refusal, at, again=True)
