"""Decide what others keep safely and is old enough, put that on record, and delete it a few at a time."""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from linewitness.base.clock import NS_PER_S, Clock, from_rfc3339
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.record import Change, Event, Resource, parse
from linewitness.evidence.format.tiles import TILE_LEAVES
from linewitness.journal.attestations import PRUNED
from linewitness.journal.journal import Journal
from linewitness.journal.options import JournalOptions
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission

log = structlog.get_logger()

PERIOD_S: Final = 3600.0
#: Records that one transaction deletes: some milliseconds in which nobody else can commit.
STEP: Final = 500
#: Between two steps the writer belongs to those who have something to record.
PAUSE_S: Final = 0.05
_DAY_NS: Final = 86_400 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Plan:
    """What may go: records [first, boundary), held by a receipt over `receipted`, and by `attester`."""

    first: int
    boundary: int
    receipted: int
    attester: str | None


class Pruner:
    """Keep the journal within the configured days; the leaves of the tree and the history of keys stay."""

    def __init__(self, journal: Journal, *, options: JournalOptions, clock: Clock, step: int = STEP) -> None:
        """Take the journal and what the YAML allows."""
        self._journal = journal
        self._options = options
        self._clock = clock
        self._step = step

    async def run(self) -> None:
        """Finish what was begun, then look once an hour, until cancelled; nothing without `keep_days`."""
        await self._delete_below(await self._journal.read(lambda reader: reader.pruned))
        while self._options.keep_days is not None:
            await self.prune()
            await asyncio.sleep(PERIOD_S)

    async def prune(self) -> Plan | None:
        """Prune what may go now, and return what that was."""
        if self._journal.frozen or self._options.keep_days is None:
            return None
        oldest_ns = self._clock.stamp().realtime_ns - int(self._options.keep_days * _DAY_NS)
        alone = self._options.prune_requires == "receipt"
        plan = await self._journal.read(lambda reader: plan_of(reader, oldest_ns, receipt_is_enough=alone))
        if plan is None:
            return None
        await self._journal.submit_all(
            Submission(events=(self._event(plan),), state={PRUNED: str(plan.boundary)})
        )
        # Crash here or in any step: the chain says what is pruned, and the next start deletes the rest.
        await self._delete_below(plan.boundary)
        log.info("journal pruned", first=plan.first, boundary=plan.boundary)
        return plan

    async def _delete_below(self, boundary: int) -> None:
        if boundary == 0 or self._journal.frozen:
            return
        while not await self._journal.prune(boundary, most=self._step):  # noqa: ASYNC110 (others commit)
            await asyncio.sleep(PAUSE_S)

    def _event(self, plan: Plan) -> Event:
        held = "the audit store holds them" + (f", {plan.attester} attests them" if plan.attester else "")
        return gateway_event(
            "journal.pruned",
            self._clock.stamp().realtime_ns,
            resource=Resource("stream", self._journal.identity.stream),
            changes=(
                Change("first", None, plan.first),
                Change("last", None, plan.boundary - 1),
                Change("receipt_size", None, plan.receipted),
                Change("attested_by", None, plan.attester),
                Change("keep_days", None, str(self._options.keep_days)),
            ),
            reason=f"these records are older than the journal keeps them, and {held}; record 0, key "
            "rotations and all leaf hashes stay",
        )


def plan_of(reader: JournalReader, oldest_ns: int, *, receipt_is_enough: bool) -> Plan | None:
    """Return what may be pruned now, or None: whole tiles whose last record is older than `oldest_ns`."""
    size, pruned = reader.size(), reader.pruned
    receipt, attested = reader.newest_receipt(), reader.newest_attestation()
    receipted = receipt[0] if receipt else 0
    held = receipted
    if not receipt_is_enough:
        held = min(held, attested[0] if attested else 0)
    # The newest records stay, whatever their age: the next opening checks them against head and tree.
    held = min(held, size - 1)
    boundary = pruned
    while boundary + TILE_LEAVES <= held and _is_older(reader, boundary + TILE_LEAVES - 1, oldest_ns):
        boundary += TILE_LEAVES
    if boundary == pruned:
        return None
    attester = attested[1] if attested and attested[0] >= boundary else None
    return Plan(max(pruned, 1), boundary, receipted, attester)


def _is_older(reader: JournalReader, sequence_no: int, oldest_ns: int) -> bool:
    for _, data in reader.records(sequence_no, sequence_no + 1):
        return from_rfc3339(parse(data)["ingested_at"]) < oldest_ns
    return False
