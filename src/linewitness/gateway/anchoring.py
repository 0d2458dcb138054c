"""Put checkpoints where nobody here can change them: every hour, at shutdown, and when asked."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from linewitness.anchors.base import AnchorFailed, AnchorTarget, Subject, Written
from linewitness.anchors.directory import DirectoryTarget
from linewitness.anchors.options import AnchorOptions
from linewitness.anchors.rfc3161 import TimeStampTarget
from linewitness.anchors.s3 import BucketTarget
from linewitness.anchors.witness import WitnessTarget
from linewitness.base.clock import NS_PER_S, Clock, to_rfc3339
from linewitness.evidence.format import record
from linewitness.evidence.format.merkle import consistency_proof
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.journal.attestations import FAILING, StoredAttestation
from linewitness.journal.journal import Journal
from linewitness.journal.requests import ANCHOR, LOOK_S, Requests
from linewitness.journal.submission import Submission

log = structlog.get_logger()


def places_of(options: AnchorOptions, *, clock: Clock) -> list[AnchorTarget]:
    """Return every place that the YAML names."""
    return [
        *(DirectoryTarget(one) for one in options.directories),
        *(BucketTarget(one, clock=clock) for one in options.buckets),
        *(TimeStampTarget(one) for one in options.time_stamps),
        *(WitnessTarget(one) for one in options.witnesses),
    ]


class Anchoring:
    """Write the newest checkpoint to all places; a place that fails never holds up anything else."""

    def __init__(
        self,
        journal: Journal,
        sealer: CheckpointSigner,
        *,
        places: Sequence[AnchorTarget],
        options: AnchorOptions,
        requests: Requests,
        clock: Clock,
    ) -> None:
        """Take the stream, who signs its checkpoints, and the places."""
        self._journal = journal
        self._sealer = sealer
        self._places = places
        self._options = options
        self._requests = requests
        self._clock = clock

    async def run(self) -> None:
        """Work until cancelled; the first anchor is written at once, and time counts while asleep."""
        if not self._places:
            return
        period_ns = int(self._options.every_h * 3600 * NS_PER_S)
        due_ns = self._clock.stamp().boottime_ns
        while True:
            asked = self._requests.take(ANCHOR)
            now_ns = self._clock.stamp().boottime_ns
            if asked or now_ns >= due_ns:
                await self.write()
                due_ns = now_ns + period_ns
                # Crash here: the request is still there, and one more anchor follows, which is harmless.
                self._requests.done(ANCHOR)
            await asyncio.sleep(LOOK_S)

    async def write(self) -> None:
        """Anchor the stream as it is now; nothing is anchored of a frozen one."""
        if self._journal.frozen or not self._places:
            return
        size = self._journal.head.size
        subject = Subject(
            self._journal.identity.stream, size, await self._sealer.at(size), self._proof_to(size)
        )
        async with asyncio.TaskGroup() as group:
            for place in self._places:
                group.create_task(self._write_to(place, subject), name=f"anchor:{place.name}")

    def _proof_to(self, size: int) -> Callable[[int], Awaitable[list[bytes]]]:
        async def proof_from(old: int) -> list[bytes]:
            return await self._journal.read(
                lambda reader: consistency_proof(old, size, reader.tree().subtree)
            )

        return proof_from

    async def _write_to(self, place: AnchorTarget, subject: Subject) -> None:
        try:
            async with asyncio.timeout(self._options.timeout_s):
                written = await place.write(subject)
        except TimeoutError:
            late = AnchorFailed(f"no answer within {self._options.timeout_s:g} s", hint="is it reachable?")
            await self._failed(place, subject, late)
        except AnchorFailed as error:
            await self._failed(place, subject, error)
        else:
            await self._succeeded(place, subject, written)

    async def _succeeded(self, place: AnchorTarget, subject: Subject, written: Written) -> None:
        # Crash before this is durable: the anchor is there and not on record; the next start writes another.
        now = self._clock.stamp().realtime_ns
        changes: tuple[Change, ...] = (
            Change("size", None, subject.size),
            Change("checkpoint", None, record.sha256(written.note.encode())),
            Change("where", None, written.where),
        )
        if written.proof is not None:
            changes += (Change("proof", None, record.sha256(written.proof)),)
        kept = StoredAttestation(subject.size, place.name, written.note, written.proof, to_rfc3339(now))
        event = self._event(place, now, changes, "a checkpoint was put out of our reach")
        await self._journal.submit_all(
            Submission(events=(event,), attestation=kept, state={FAILING + place.name: None})
        )
        log.info("anchor written", place=place.name, size=subject.size, where=written.where)

    async def _failed(self, place: AnchorTarget, subject: Subject, error: AnchorFailed) -> None:
        """Say once that a place fails, until it works again."""
        key = FAILING + place.name
        if await self._journal.read(lambda reader: reader.state_value(key)) is not None:
            return
        now = self._clock.stamp().realtime_ns
        changes = (
            Change("size", None, subject.size),
            Change("outcome", None, "failed"),
            Change("why", None, error.what),
        )
        event = self._event(place, now, changes, "a checkpoint could not be put out of our reach")
        await self._journal.submit_all(Submission(events=(event,), state={key: to_rfc3339(now)}))
        log.warning("anchor failed", place=place.name, why=error.what, hint=error.hint)

    def _event(self, place: AnchorTarget, now: int, changes: tuple[Change, ...], reason: str) -> Event:
        return Event(
            kind="anchor.written",
            occurred_ns=now,
            occurred_from="gateway",
            actor=Actor("system", "linewitness"),
            resource=Resource("anchor", place.name),
            changes=changes,
            reason=reason,
        )
