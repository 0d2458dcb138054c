"""Decide which records that others keep safely give way, put that on record, and delete them in steps."""

import asyncio
from dataclasses import dataclass
from typing import Final, NoReturn

import structlog

from linewitness.base.clock import NS_PER_S, Clock, from_rfc3339, monotonic
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.record import Change, Event, Resource, parse
from linewitness.evidence.format.tiles import TILE_LEAVES
from linewitness.journal.attestations import PRUNED
from linewitness.journal.journal import Journal
from linewitness.journal.options import JournalOptions
from linewitness.journal.reader import JournalReader
from linewitness.journal.submission import Submission

log = structlog.get_logger()

#: What is too old is looked for this often, and whether there is room this often.
PERIOD_S: Final = 3600.0
LOOK_S: Final = 1.0
#: Percent of the whole room that is made beyond the reserve at once.
SLACK_PERCENT: Final = 5
#: Rows that one transaction deletes at most: some milliseconds in which nobody else can commit.
STEP: Final = 500
#: Between two steps the writer belongs to those who have something to record.
PAUSE_S: Final = 0.05
_DAY_NS: Final = 86_400 * NS_PER_S
_HINT: Final = "bring the audit store and the anchors back, or raise journal.max_size"


@dataclass(frozen=True, slots=True)
class Plan:
    """What may go: records [first, boundary), held by a receipt over `receipted`, and by `attester`."""

    first: int
    boundary: int
    receipted: int
    attester: str | None


class Pruner:
    """Keep the journal within its reserve and its days; all leaf hashes and the history of keys stay."""

    def __init__(
        self,
        journal: Journal,
        *,
        options: JournalOptions,
        clock: Clock,
        anchored: bool = False,
        step: int = STEP,
    ) -> None:
        """Take the journal, what the YAML allows, and whether the line has anchors."""
        self._journal = journal
        self._options = options
        self._clock = clock
        self._anchored = anchored
        self._step = step
        self._due = float("-inf")
        self._stuck = False

    def take_over(self, options: JournalOptions) -> None:
        """Go on with other settings."""
        self._options = options
        self._due = float("-inf")

    async def run(self) -> NoReturn:
        """Finish what was begun, then look after the reserve and once an hour after the days; for ever."""
        await self._delete_below(await self._journal.read(lambda reader: reader.pruned))
        while True:
            if monotonic() >= self._due:
                await self.prune()
                self._due = monotonic() + PERIOD_S
            await self.make_room()
            await asyncio.sleep(LOOK_S)

    async def prune(self) -> Plan | None:
        """Prune what is older than the journal keeps it, and return what that was."""
        days = self._options.keep_days
        if self._journal.frozen or days is None:
            return None
        oldest_ns = self._clock.stamp().realtime_ns - int(days * _DAY_NS)
        alone = self._receipt_is_enough
        plan = await self._journal.read(lambda reader: plan_of(reader, oldest_ns, receipt_is_enough=alone))
        if plan is not None:
            why = "these records are older than the journal keeps them"
            await self._carry_out(plan, why, (Change("keep_days", None, str(days)),))
        return plan

    async def make_room(self) -> Plan | None:
        """Prune the oldest records where less room than the reserve is left, and return what that was."""
        room, reserve = self._journal.pressure.room_left, self._options.reserve_bytes
        if self._journal.frozen or self._options.prune == "never" or room.left >= reserve:
            self._stuck = False
            return None
        missing = reserve - room.left + room.whole * SLACK_PERCENT // 100
        alone = self._receipt_is_enough
        plan = await self._journal.read(lambda reader: plan_for(reader, missing, receipt_is_enough=alone))
        if plan is None:
            if not self._stuck:
                requires = "receipt" if alone else "receipt and anchor"
                log.warning("journal cannot be pruned", left=max(0, room.left), requires=requires, hint=_HINT)
            self._stuck = True
            return None
        self._stuck = False
        changes = (Change("left", None, max(0, room.left), "B"), Change("reserve", None, reserve, "B"))
        await self._carry_out(
            plan, "less room than the reserve is left and these records are the oldest", changes
        )
        await self._journal.pressure.measure(self._journal.read)
        return plan

    @property
    def _receipt_is_enough(self) -> bool:
        requires = self._options.prune_requires
        return requires == "receipt" or (requires == "auto" and not self._anchored)

    async def _carry_out(self, plan: Plan, why: str, changes: tuple[Change, ...]) -> None:
        await self._journal.submit_all(
            Submission(events=(self._event(plan, why, changes),), state={PRUNED: str(plan.boundary)})
        )
        # Crash here or in any step: the chain says what is pruned, and the next start deletes the rest.
        await self._delete_below(plan.boundary)
        log.info("journal pruned", first=plan.first, boundary=plan.boundary, why=why)

    async def _delete_below(self, boundary: int) -> None:
        if boundary == 0 or self._journal.frozen:
            return
        while not await self._journal.prune(boundary, most=self._step):  # noqa: ASYNC110 (others commit)
            await asyncio.sleep(PAUSE_S)

    def _event(self, plan: Plan, why: str, changes: tuple[Change, ...]) -> Event:
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
                *changes,
            ),
            reason=f"{why}, and {held}; record 0, key rotations and all leaf hashes stay",
        )


def plan_of(reader: JournalReader, oldest_ns: int, *, receipt_is_enough: bool) -> Plan | None:
    """Return what may be pruned now, or None: whole tiles whose last record is older than `oldest_ns`."""
    pruned, held = reader.pruned, _held(reader, receipt_is_enough=receipt_is_enough)
    boundary = pruned
    while boundary + TILE_LEAVES <= held and _is_older(reader, boundary + TILE_LEAVES - 1, oldest_ns):
        boundary += TILE_LEAVES
    return _plan(reader, pruned, boundary)


def plan_for(reader: JournalReader, missing: int, *, receipt_is_enough: bool) -> Plan | None:
    """Return which of the oldest records must go for about so many bytes of room, in whole tiles, or None."""
    figures, held = reader.figures(), _held(reader, receipt_is_enough=receipt_is_enough)
    pruned = figures.oldest
    each = max(1, figures.bytes_on_disk // max(1, figures.size - pruned))
    tiles = min(-(-missing // (each * TILE_LEAVES)), (held - pruned) // TILE_LEAVES)
    return _plan(reader, pruned, pruned + max(0, tiles) * TILE_LEAVES)


def _held(reader: JournalReader, *, receipt_is_enough: bool) -> int:
    """Return below which number others hold all records, without the newest ones."""
    receipt, attested = reader.newest_receipt(), reader.newest_attestation()
    held = receipt[0] if receipt else 0
    if not receipt_is_enough:
        held = min(held, attested[0] if attested else 0)
    # The newest records stay, whatever their age: the next opening checks them against head and tree.
    return min(held, reader.size() - 1)


def _plan(reader: JournalReader, pruned: int, boundary: int) -> Plan | None:
    if boundary <= pruned:
        return None
    receipt, attested = reader.newest_receipt(), reader.newest_attestation()
    attester = attested[1] if attested and attested[0] >= boundary else None
    return Plan(max(pruned, 1), boundary, receipt[0] if receipt else 0, attester)


def _is_older(reader: JournalReader, sequence_no: int, oldest_ns: int) -> bool:
    for _, data in reader.records(sequence_no, sequence_no + 1):
        return from_rfc3339(parse(data)["ingested_at"]) < oldest_ns
    return False
