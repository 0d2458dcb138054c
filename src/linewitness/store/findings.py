"""Keep what was found wrong with what gateways send: contradictions with their evidence, and refusals."""

import hashlib
from collections.abc import Iterable
from typing import Final

import structlog
from sqlalchemy import Connection, func, insert, select

from linewitness.store import tables
from linewitness.store.inbox.drops import DroppedMessages
from linewitness.store.refusals import Refusals, StoreRefusal
from linewitness.store.stream import Stream
from linewitness.store.turn import LedgerTurn
from linewitness.uplink.topics import Topics

#: Contradictions kept for one stream; a gateway that goes on producing them adds nothing to the case.
MAX_CONFLICTS: Final = 1000

_log = structlog.get_logger(__name__)


class Findings:
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
