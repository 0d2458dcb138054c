"""Judge what gateways send, commit what is good and say what to answer, many messages at a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from linewitness.base.clock import NS_PER_S, Clock, to_rfc3339
from linewitness.base.compression.frames import is_frame
from linewitness.evidence.format.checkpoint import Checkpoint, open_checkpoint
from linewitness.evidence.format.note import BadNote, Note, Vkey
from linewitness.evidence.format.signed_run import LONGEST_RUN, first_run, vouched_for
from linewitness.store.acceptance import Claim, lines_of, peek
from linewitness.store.ahead.notices import Contradiction, StoreNotices
from linewitness.store.database.database import Database
from linewitness.store.database.enrolments import find
from linewitness.store.findings import StoreFindings
from linewitness.store.inbox.drops import DroppedMessages
from linewitness.store.keys import Cosigner
from linewitness.store.stream import Stream
from linewitness.store.turn import ConflictFound, LedgerAnswer, LedgerTurn
from linewitness.uplink.topics import Topics

#: A gateway with a hole is told so again after this long, or as soon as the head has moved.
HOLE_AGAIN_NS: Final = 2 * NS_PER_S
#: Of one stream, at most so many bytes of records wait in memory for a signature.
MAX_WAITING: Final = 1024 * 1024
_BAD_FRAME: Final = "not one whole zstd frame that states its size"


@dataclass(frozen=True, slots=True)
class _RunEnd:
    """Where a run of lines ended: record `seq` should stand at `position` of them, and does not.

    Before the line that is wrong, `waiting` more follow that bear no signature.
    """

    seq: int
    position: int
    lines: list[bytes]
    reason: str
    waiting: int = 0


class StoreLedger:
    """Everything that is decided about incoming messages; used by one thread at a time."""

    def __init__(self, *, database: Database, cosigner: Cosigner, clock: Clock) -> None:
        """Start without any stream in memory: each is loaded when its gateway is heard."""
        self._database = database
        self._cosigner = cosigner
        self._clock = clock
        self._streams: dict[tuple[str, str], Stream] = {}
        self._findings = StoreFindings()
        self._notices = StoreNotices()

    def process(self, messages: Iterable[tuple[str, bytes]]) -> list[LedgerAnswer]:
        """Judge messages (topic, payload) in order, commit, and return what to answer.

        Crash here before the commit: nothing was answered, and gateways send again what has no receipt.
        Crash after it: the records are no news when they come again, and the receipt is in the database.
        """
        stamp = self._clock.stamp()
        try:
            self._database.prepare(to_rfc3339(stamp.realtime_ns))
            with self._database.writing() as connection:
                turn = LedgerTurn(connection, stamp.realtime_ns, stamp.boottime_ns)
                for topic, payload in messages:
                    self._judge(turn, topic, payload)
        except BaseException:
            self._streams.clear()  # the heads in memory may be ahead of the database now
            self._findings.forget()
            raise
        return turn.answers(self._cosigner)

    def note_drops(self, drops: Iterable[DroppedMessages]) -> None:
        """Log what was dropped unread, and note it for `store status`."""
        at = to_rfc3339(self._clock.stamp().realtime_ns)
        with self._database.writing() as connection:
            self._findings.note_drops(connection, drops, at)

    def _judge(self, turn: LedgerTurn, topic: str, payload: bytes) -> None:
        found = Topics.parse(topic)
        if found is None or not payload:
            return
        topics, channel = found
        self._use_tenant(turn, topics.tenant)
        if channel == "records" and is_frame(payload):
            # The inbox unpacks what is one.
            self._findings.refuse(turn, topics, "", "malformed", _BAD_FRAME)
        elif channel == "records":
            for lines in lines_of(payload):
                if not self._records(turn, topics, lines):
                    break
        elif channel == "checkpoint":
            self._checkpoint(turn, topics, payload)
        elif channel == "notice":
            self._notice(turn, topics, payload)

    def _use_tenant(self, turn: LedgerTurn, tenant: str) -> None:
        if turn.tenant != tenant:
            self._database.use_tenant(turn.connection, tenant)
            turn.tenant = tenant

    def _records(self, turn: LedgerTurn, topics: Topics, lines: list[bytes]) -> bool:
        """Take runs of consecutive records, normally a single one; return whether all lines were taken."""
        while lines:
            claim = peek(lines[0])
            if claim is None:
                self._findings.refuse(turn, topics, "", "malformed", "a line is not a record")
                return False
            stream = self._stream(turn, topics, claim.stream)
            if stream is None:
                return False
            taken = self._run(turn, stream, claim, lines)
            if not taken:
                return False
            lines = lines[taken:]
        return True

    def _run(self, turn: LedgerTurn, stream: Stream, first: Claim, lines: list[bytes]) -> int:
        """Take the run that begins with the first line; return how many lines it took, 0 to stop."""
        if first.sequence_no > stream.reach:
            self._hole(turn, stream)
            return 0
        waited = stream.take_waiting(first.sequence_no)
        begin, lines = first.sequence_no - len(waited), waited + lines
        held = stream.held(turn.connection, begin, len(lines))
        for position, (line, ours) in enumerate(zip(lines, held, strict=False)):
            if line != ours:
                found = _RunEnd(begin + position, position, lines, "another record is held")
                return self._stopped(turn, stream, found)
        fresh = lines[len(held) :]
        if fresh and stream.is_retired(turn.connection):
            detail = "this stream was retired: no record of it is accepted any more"
            self._findings.refuse(turn, stream.enrolment.topics, stream.enrolment.origin, "retired", detail)
            return 0
        accepted = stream.accept(turn.connection, fresh, turn.at)
        if accepted.records:
            stream.grown_ns = self._clock.stamp().boottime_ns  # a turn may take longer than a hole waits
            self._keep_conflicts(turn, stream, self._notices.settle(turn, stream))
        self._answer_pending(turn, stream)
        taken = len(held) + len(accepted.records)
        if accepted.stopped is None:
            return self._wait(turn, stream, lines[taken:]) and len(lines) - len(waited)
        found = _RunEnd(stream.size, taken, lines, accepted.stopped.reason, accepted.waiting)
        return max(0, self._stopped(turn, stream, found) - len(waited))

    def _wait(self, turn: LedgerTurn, stream: Stream, lines: list[bytes]) -> bool:
        """Keep records until the signature comes that vouches for them; False where they are too many."""
        if sum(map(len, lines)) > MAX_WAITING:
            detail = f"{stream.size}: no signature within {MAX_WAITING} bytes of records"
            self._findings.refuse(turn, stream.enrolment.topics, stream.enrolment.origin, "record", detail)
            return False
        stream.waiting = lines
        return True

    def _stopped(self, turn: LedgerTurn, stream: Stream, found: "_RunEnd") -> int:
        """Judge the line at which a run ended: a new run, a contradiction, or nothing of worth.

        Only what is signed contradicts: a record without a signature does so with the next one that bears it.
        """
        at, origin = found.position + found.waiting, stream.enrolment.origin
        claim = peek(found.lines[at])
        if at and claim and (claim.sequence_no != found.seq + found.waiting or claim.stream != origin):
            return at
        key = stream.event_key_at(turn.connection, found.seq)
        run = first_run(found.lines[found.position :])
        if key is not None and vouched_for(run, stream=origin, event_key=key):
            last = max(0, min(found.seq, stream.size - 1))
            held = first_run(stream.held(turn.connection, last, LONGEST_RUN))
            reason = f"at record {found.seq}: {found.reason}"
            conflict = ConflictFound("record", found.seq, reason, b"\n".join(held), b"\n".join(run))
            self._conflict(turn, stream, conflict)
        else:
            # Without a valid signature anybody could have sent it: it must not stop the true gateway.
            detail = f"{found.seq + found.waiting}: {found.reason}"
            self._findings.refuse(turn, stream.enrolment.topics, origin, "record", detail)
            self._hole(turn, stream)
        return 0

    def _checkpoint(self, turn: LedgerTurn, topics: Topics, payload: bytes) -> None:
        try:
            text = payload.decode("utf-8")
            origin = Checkpoint.parse(Note.parse(text).text).origin
        except (UnicodeDecodeError, BadNote) as error:
            self._findings.refuse(turn, topics, "", "malformed", f"not a checkpoint: {error}")
            return
        stream = self._stream(turn, topics, origin)
        if stream is None:
            return
        log_vkey = stream.enrolment.log_vkey
        try:
            checkpoint, signed = open_checkpoint(text, log_vkey)
        except BadNote as error:
            self._findings.refuse(turn, topics, origin, "checkpoint", error.what)
            return
        signed = _only(signed, log_vkey)
        if checkpoint.size <= stream.size:
            self._answer(turn, stream, checkpoint, signed)
            return
        stream.expect(turn.connection, checkpoint, signed, turn.at)
        if turn.boottime_ns - stream.grown_ns >= HOLE_AGAIN_NS:  # records that flow need no repetition
            self._hole(turn, stream)

    def _notice(self, turn: LedgerTurn, topics: Topics, payload: bytes) -> None:
        """Take a notice of a record that is still to come; it changes nothing of the stream."""
        origin = self._notices.origin_of(turn, topics, payload)
        stream = self._stream(turn, topics, origin) if origin else None
        if stream is not None:
            self._keep_conflicts(turn, stream, self._notices.take(turn, stream, payload))
        elif origin:
            self._notices.refuse(turn, topics, "stream", f"{origin} is not a stream of this gateway")

    def _answer_pending(self, turn: LedgerTurn, stream: Stream) -> None:
        if stream.pending is not None and stream.pending[0].size <= stream.size:
            checkpoint, signed = stream.pending
            stream.pending = None
            self._answer(turn, stream, checkpoint, signed)

    def _answer(self, turn: LedgerTurn, stream: Stream, checkpoint: Checkpoint, signed: Note) -> None:
        root = stream.root_at(turn.connection, checkpoint.size)
        if root != checkpoint.root:
            reason = f"at size {checkpoint.size}: the checkpoint has another root than the records held"
            sent = str(signed).encode()
            self._conflict(turn, stream, ConflictFound("checkpoint", checkpoint.size, reason, root, sent))
            return
        if checkpoint.size > stream.receipt_size:
            receipt = self._cosigner.cosign(signed, turn.now_ns // NS_PER_S)
            stream.add_receipt(turn.connection, checkpoint, receipt, turn.at)
        turn.receipts[stream.enrolment.topics.receipt] = stream

    def _hole(self, turn: LedgerTurn, stream: Stream) -> None:
        """Publish the newest receipt again, or an empty message: from there on, send again."""
        size, told_ns = stream.hole_told
        if size == stream.size and turn.boottime_ns - told_ns < HOLE_AGAIN_NS:
            return
        stream.hole_told = (stream.size, turn.boottime_ns)
        turn.receipts[stream.enrolment.topics.receipt] = stream

    def _stream(self, turn: LedgerTurn, topics: Topics, origin: str) -> Stream | None:
        """Return the stream if this gateway may write it; note a refusal otherwise."""
        stream = self._streams.get((topics.tenant, origin))
        if stream is None:
            enrolment = find(turn.connection, topics.tenant, origin)
            if enrolment is None or enrolment.is_own:
                self._findings.refuse(turn, topics, origin, "unknown", "this stream is not enrolled")
                return None
            stream = self._streams[topics.tenant, origin] = Stream(turn.connection, enrolment)
        if stream.enrolment.topics != topics:
            owner = stream.enrolment
            detail = f"this stream is that of the gateway {owner.gateway}"
            self._findings.refuse(turn, topics, origin, "foreign", detail)
            return None
        return stream

    def _conflict(self, turn: LedgerTurn, stream: Stream, found: ConflictFound) -> None:
        turn.conflicts[stream.enrolment.topics.receipt] = (stream, found)
        self._findings.keep_conflict(turn, stream, found.at, found.sent, found.reason)

    def _keep_conflicts(self, turn: LedgerTurn, stream: Stream, found: Iterable[Contradiction]) -> None:
        """Keep notices that are contradicted, without an answer: the records go on as they are chained."""
        for seq, data, reason in found:
            self._findings.keep_conflict(turn, stream, seq, data, reason)


def _only(signed: Note, vkey: Vkey) -> Note:
    """Return the note with the log key's signature alone: what else was added is not ours to repeat."""
    lines = [line for line in signed.signatures if (line.name, line.key_id) == (vkey.name, vkey.key_id)]
    return Note(signed.text, tuple(lines[:1]))
