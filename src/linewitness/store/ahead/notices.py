"""Keep signed notices until their records come, and compare both: a notice alone proves nothing.

What is kept is bounded for each stream, so that nobody with a log key can fill the disk.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

import orjson
import structlog
from sqlalchemy import Row, bindparam, delete, func, insert, select, update

from linewitness.evidence.format import record
from linewitness.evidence.format.note import BadNote
from linewitness.evidence.format.notice import RecordNotice, claimed_origin, open_notice
from linewitness.store.database import tables
from linewitness.store.database.statements import insert_new
from linewitness.store.stream import Stream
from linewitness.store.turn import LedgerTurn
from linewitness.uplink.topics import Topics

NoticeState = Literal["open", "confirmed", "contradicted"]
RefusalReason = Literal["malformed", "stream", "signature", "full"]

#: A record of 65 535 bytes, the lines around it and a signature.
MAX_NOTICE: Final = 70_000
#: Notices of one stream that may wait for their records.
MAX_OPEN: Final = 1000
MAX_OPEN_BYTES: Final = 8 * 2**20
#: Notices of one stream that are remembered, without their text, after their records came.
MAX_SETTLED: Final = 10_000
#: Rows of counted refusals; topics of unknown gateways cannot fill the disk.
MAX_REFUSALS: Final = 10_000
MAX_TEXT: Final = 300

_CAME: Final = select(tables.notices).where(
    tables.notices.c.stream_id == bindparam("of"),
    tables.notices.c.state == "open",
    tables.notices.c.seq < bindparam("before"),
)

_log = structlog.get_logger(__name__)


class Contradiction(NamedTuple):
    """A notice whose place in the stream holds another record: the log key signed two histories."""

    seq: int
    data: bytes
    reason: str


class StoreNotices:
    """The notices of all streams, within the transactions of the ledger."""

    def __init__(self) -> None:
        """Begin; everything is in the database."""
        self._logged: set[tuple[str, str, RefusalReason]] = set()

    def origin_of(self, turn: LedgerTurn, topics: Topics, payload: bytes) -> str | None:
        """Return the stream that a notice names, unverified; None, and a refusal, if it is no notice."""
        if len(payload) > MAX_NOTICE:
            self.refuse(turn, topics, "malformed", f"{len(payload)} bytes are more than a notice has")
            return None
        try:
            origin = claimed_origin(payload.decode("utf-8"))
        except UnicodeDecodeError:
            origin = None
        if origin is None:
            self.refuse(turn, topics, "malformed", "this is not a notice")
        return origin

    def take(self, turn: LedgerTurn, stream: Stream, payload: bytes) -> Iterator[Contradiction]:
        """Keep a notice of the stream until its record comes; yield it if it contradicts what is known."""
        enrolment = stream.enrolment
        try:
            notice = open_notice(payload.decode("utf-8"), enrolment.log_vkey)
        except BadNote as error:
            self.refuse(turn, enrolment.topics, "signature", error.what)
            return
        if notice.members["tenant_id"] != enrolment.tenant:
            self.refuse(turn, enrolment.topics, "stream", "its record is of another tenant")
            return
        known = self._known(turn, stream, notice.sequence_no)
        if notice.record_hash in known:
            return
        if known:
            reason = f"record {notice.sequence_no} is another than the one that a notice names"
            self._add(turn, stream, notice, "contradicted", b"")
            yield Contradiction(notice.sequence_no, payload, reason)
        elif self._is_full(turn, stream, len(payload)):
            self.refuse(turn, enrolment.topics, "full", f"{MAX_OPEN} notices wait for their records")
        else:
            self._add(turn, stream, notice, "open", payload)
            _log.info(
                "notice of an alarm",
                stream=enrolment.origin,
                record=notice.sequence_no,
                kind=notice.members["kind"],
                unit=record.unit_of(notice.members),
            )

    def settle(self, turn: LedgerTurn, stream: Stream) -> Iterator[Contradiction]:
        """Compare notices with the records that came; yield those in whose place another record stands."""
        place = {"of": stream.enrolment.stream_id, "before": stream.size}
        came = turn.connection.execute(_CAME, place).all()
        for row in came:
            same = row.record_hash in self._known(turn, stream, row.seq)
            self._close(turn, row, "confirmed" if same else "contradicted")
            if not same:
                reason = f"record {row.seq} is another than the one that a notice named at {row.seen_at}"
                yield Contradiction(row.seq, row.note.encode(), reason)
        if came:
            self._forget_old(turn, stream)

    def refuse(self, turn: LedgerTurn, topics: Topics, reason: RefusalReason, detail: str) -> None:
        """Count a notice that was not taken; logged once a process for each gateway and reason."""
        refusals, detail = tables.notice_refusals, detail[:MAX_TEXT]
        of_gateway = (refusals.c.tenant == topics.tenant) & (refusals.c.gateway == topics.gateway)
        counted = turn.connection.execute(
            update(refusals)
            .where(of_gateway, refusals.c.reason == reason)
            .values(count=refusals.c.count + 1, detail=detail, last_at=turn.at)
        ).rowcount
        if not counted:
            rows = turn.connection.execute(select(func.count()).select_from(refusals)).scalar_one()
            if rows >= MAX_REFUSALS:
                return
            turn.connection.execute(
                insert(refusals).values(
                    tenant=topics.tenant,
                    gateway=topics.gateway,
                    reason=reason,
                    detail=detail,
                    count=1,
                    first_at=turn.at,
                    last_at=turn.at,
                )
            )
        key = (topics.tenant, topics.gateway, reason)
        if key not in self._logged and len(self._logged) < MAX_REFUSALS:
            self._logged.add(key)
            _log.warning(
                "notice refused", tenant=topics.tenant, gateway=topics.gateway, reason=reason, why=detail
            )

    def _known(self, turn: LedgerTurn, stream: Stream, seq: int) -> set[str]:
        """Return the hashes of the record at a place: of the one held, or of those that notices name."""
        if seq < stream.size:
            return {_hash_of(held) for held in stream.held(turn.connection, seq, 1)}
        notices = tables.notices
        of_place = (notices.c.stream_id == stream.enrolment.stream_id) & (notices.c.seq == seq)
        return set(turn.connection.execute(select(notices.c.record_hash).where(of_place)).scalars())

    def _is_full(self, turn: LedgerTurn, stream: Stream, more: int) -> bool:
        notices = tables.notices
        mine = (notices.c.stream_id == stream.enrolment.stream_id) & (notices.c.state == "open")
        used = select(func.count(), func.coalesce(func.sum(notices.c.bytes), 0)).where(mine)
        count, size = turn.connection.execute(used).one()
        return bool(count >= MAX_OPEN or size + more > MAX_OPEN_BYTES)

    def _add(
        self, turn: LedgerTurn, stream: Stream, notice: RecordNotice, state: NoticeState, payload: bytes
    ) -> None:
        turn.connection.execute(
            insert_new(turn.connection, tables.notices).values(
                stream_id=stream.enrolment.stream_id,
                seq=notice.sequence_no,
                record_hash=notice.record_hash,
                kind=notice.members["kind"],
                unit=record.unit_of(notice.members),
                occurred_at=notice.members["occurred_at"],
                seen_at=turn.at,
                state=state,
                settled_at=None if state == "open" else turn.at,
                bytes=len(payload),
                note=payload.decode("utf-8"),
            )
        )
        if state != "open":
            self._forget_old(turn, stream)

    def _close(self, turn: LedgerTurn, row: Row[Any], state: NoticeState) -> None:
        """Forget the text: a confirmed record says it, and a contradicted notice is kept as a conflict."""
        notices = tables.notices
        turn.connection.execute(
            update(notices)
            .where(notices.c.id == row.id)
            .values(state=state, settled_at=turn.at, bytes=0, note="")
        )

    def _forget_old(self, turn: LedgerTurn, stream: Stream) -> None:
        notices = tables.notices
        settled = (notices.c.stream_id == stream.enrolment.stream_id) & (notices.c.state != "open")
        newest = select(notices.c.id).where(settled).order_by(notices.c.id.desc())
        last = turn.connection.execute(newest.limit(1).offset(MAX_SETTLED)).scalar_one_or_none()
        if last is not None:
            turn.connection.execute(delete(notices).where(settled, notices.c.id <= last))


def _hash_of(data: bytes) -> str:
    """Return the hash of a record that was verified."""
    return str(orjson.loads(data)["integrity"]["record_hash"])
