"""Keep what was found wrong with what gateways send: contradictions with their evidence, and refusals."""

import hashlib
from typing import Final

import structlog
from sqlalchemy import func, insert, select, update

from linewitness.store import tables
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


class Findings:
    """What is noted within a transaction of the ledger."""

    def __init__(self) -> None:
        """Begin with nothing noted in this process."""
        self._refused: set[tuple[str, str, str, str]] = set()

    def forget(self) -> None:
        """Note refusals again: the transaction that noted them failed."""
        self._refused.clear()

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
        origin, detail = origin[:MAX_TEXT], detail[:MAX_TEXT]
        key = (topics.tenant, topics.gateway, origin, reason)
        if key in self._refused or len(self._refused) >= MAX_REFUSALS:
            return
        self._refused.add(key)
        refusals = tables.refusals
        mine = (
            (refusals.c.tenant == topics.tenant)
            & (refusals.c.gateway == topics.gateway)
            & (refusals.c.origin == origin)
            & (refusals.c.reason == reason)
        )
        again = turn.connection.execute(
            update(refusals).where(mine).values(detail=detail, last_at=turn.at)
        ).rowcount
        if not again:
            turn.connection.execute(
                insert(refusals).values(
                    tenant=topics.tenant,
                    gateway=topics.gateway,
                    origin=origin,
                    reason=reason,
                    detail=detail,
                    first_at=turn.at,
                    last_at=turn.at,
                )
            )
        _log.warning(
            "refused",
            tenant=topics.tenant,
            gateway=topics.gateway,
            stream=origin,
            reason=reason,
            detail=detail,
        )
