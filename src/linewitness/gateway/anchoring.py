"""Write checkpoints to places outside the gateway: every hour, at shutdown, and on request."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from linewitness.anchors.base import AnchorDoubt, AnchorFailed, AnchorTarget, Subject, Written
from linewitness.anchors.broker import BrokerTarget
from linewitness.anchors.directory import DirectoryTarget
from linewitness.anchors.options import AnchorOptions
from linewitness.anchors.rfc3161 import TimeStampTarget
from linewitness.anchors.s3 import BucketTarget
from linewitness.anchors.witness import WitnessTarget
from linewitness.base.clock import NS_PER_S, Clock, to_rfc3339
from linewitness.evidence.format import record
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.merkle import consistency_proof
from linewitness.evidence.format.record import Change, Resource
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.continuity import Continuity
from linewitness.gateway.places import PlacesSeen, no_answer
from linewitness.journal.attestations import FAILING, StoredAttestation
from linewitness.journal.journal import Journal
from linewitness.journal.requests import ANCHOR, LOOK_S, Requests
from linewitness.journal.submission import Submission

log = structlog.get_logger()


def targets_of(options: AnchorOptions, *, clock: Clock) -> list[AnchorTarget]:
    """Return every place that the YAML names."""
    return [
        *(DirectoryTarget(one) for one in options.directories),
        *(BucketTarget(one, clock=clock) for one in options.buckets),
        *(TimeStampTarget(one) for one in options.time_stamps),
        *(WitnessTarget(one) for one in options.witnesses),
        *(BrokerTarget(one) for one in options.brokers),
    ]


class Anchoring:
    """Write the newest checkpoint to all places; a place that fails never holds up anything else.

    Only the first writing waits until every place was asked for what it has seen: a restored journal must not
    be anchored.
    """

    def __init__(
        self,
        journal: Journal,
        signer: CheckpointSigner,
        continuity: Continuity,
        *,
        targets: Sequence[AnchorTarget],
        options: AnchorOptions,
        requests: Requests,
        clock: Clock,
    ) -> None:
        """Take the stream, the signer of its checkpoints, who judges what the places hold, and the places."""
        self._journal = journal
        self._signer = signer
        self._continuity = continuity
        self._seen = PlacesSeen(journal, continuity, targets=targets, timeout_s=options.timeout_s)
        self._targets = targets
        self._options = options
        self._requests = requests
        self._clock = clock
        self._hastened = False

    async def run(self) -> None:
        """Work until cancelled; the first anchor is written at once, and time counts while asleep."""
        if not self._targets:
            return
        period_ns = int(self._options.every_h * 3600 * NS_PER_S)
        due_ns = self._clock.stamp().boottime_ns
        near = [target for target in self._targets if target.near]
        while True:
            asked = self._requests.take(ANCHOR)
            now_ns = self._clock.stamp().boottime_ns
            if asked or now_ns >= due_ns:
                await self.write()
                due_ns = now_ns + period_ns
                # Crash here: the request is still there, and one more anchor follows, which is harmless.
                self._requests.done(ANCHOR)
            elif self._hastened:
                await self.write(near)
            await asyncio.sleep(LOOK_S)

    def hasten(self) -> None:
        """Write soon to the places that are near: no receipt comes, and a key was replaced."""
        self._hastened = True

    async def write(self, targets: Sequence[AnchorTarget] | None = None) -> None:
        """Anchor the stream as it is now, everywhere by default; nothing is anchored of a frozen one."""
        self._hastened = False
        wanted = self._targets if targets is None else targets
        if self._ended or not wanted:
            return
        failures = await self._seen.ask_all()
        if self._ended:
            return
        size = self._journal.head.size
        subject = Subject(
            self._journal.identity.stream, size, await self._signer.at(size), self._proof_to(size)
        )
        async with asyncio.TaskGroup() as group:
            for target in wanted:
                writing = self._write_to(target, subject, failures.get(target.name))
                group.create_task(writing, name=f"anchor:{target.name}")

    @property
    def _ended(self) -> bool:
        return self._journal.frozen or self._continuity.contradiction is not None

    def _proof_to(self, size: int) -> Callable[[int], Awaitable[list[bytes]]]:
        async def proof_from(old: int) -> list[bytes]:
            return await self._journal.read(
                lambda reader: consistency_proof(old, size, reader.tree().subtree)
            )

        return proof_from

    async def _write_to(self, target: AnchorTarget, subject: Subject, failure: AnchorFailed | None) -> None:
        failure = failure or await self._seen.compare(target)
        if self._ended:
            return
        try:
            if failure is not None:
                raise failure
            async with asyncio.timeout(self._options.timeout_s):
                written = await target.write(subject)
        except TimeoutError:
            await self._failed(target, subject, no_answer(self._options.timeout_s))
        except AnchorFailed as error:
            await self._failed(target, subject, error)
        else:
            await self._succeeded(target, subject, written)

    async def _succeeded(self, target: AnchorTarget, subject: Subject, written: Written) -> None:
        # Crash before this is durable: the anchor is there and not on record; the next start writes another.
        now = self._clock.stamp().realtime_ns
        changes: tuple[Change, ...] = (
            Change("size", None, subject.size),
            Change("checkpoint", None, record.sha256(written.note.encode())),
            Change("where", None, written.where),
        )
        if written.proof is not None:
            changes += (Change("proof", None, record.sha256(written.proof)),)
        attestation = StoredAttestation(
            subject.size, target.name, written.note, written.proof, to_rfc3339(now)
        )
        event = gateway_event(
            "anchor.written",
            now,
            resource=Resource("anchor", target.name),
            changes=changes,
            reason="a checkpoint was put out of our reach",
        )
        await self._journal.submit_all(
            Submission(events=(event,), attestation=attestation, state={FAILING + target.name: None})
        )
        log.info("anchor written", place=target.name, size=subject.size, where=written.where)

    async def _failed(self, target: AnchorTarget, subject: Subject, error: AnchorFailed) -> None:
        """Record and log that a place fails; once, until it works again."""
        self._seen.unsure(target)
        if isinstance(error, AnchorDoubt):
            await self._seen.doubt(target, error, size=subject.size)
        key = FAILING + target.name
        if await self._journal.read(lambda reader: reader.state_value(key)) is not None:
            return
        now = self._clock.stamp().realtime_ns
        changes = (
            Change("size", None, subject.size),
            Change("outcome", None, "failed"),
            Change("why", None, error.what),
        )
        event = gateway_event(
            "anchor.written",
            now,
            resource=Resource("anchor", target.name),
            changes=changes,
            reason="a checkpoint could not be put out of our reach",
        )
        await self._journal.submit_all(Submission(events=(event,), state={key: to_rfc3339(now)}))
        log.warning("anchor failed", place=target.name, why=error.what, hint=error.hint)
