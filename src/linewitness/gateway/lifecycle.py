"""Put on record when the gateway started, that it runs while nothing happens, and when it stopped."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Final

import orjson

from linewitness.base.clock import Clock
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.record import Change, Event, Resource, Scalar
from linewitness.journal.journal import Journal
from linewitness.journal.submission import Submission
from linewitness.tpm.starts import LAST, MISSING, CountedStarts

#: An idle stream gets a heartbeat this often (docs/format.md, section 9).
HEARTBEAT_S: Final = 60.0


#: The journal's state under which the last applied settings are kept.
_APPLIED: Final = "config/applied"
#: The entry among them that is their digest; no section of the YAML has this name.
_DIGEST: Final = "config"
#: What the changes of one record may take of its 65,535 bytes, and what each takes beside its own text.
_MOST_BYTES: Final = 48 * 1024
_CHANGE_BYTES: Final = 40


class Lifecycle:
    """The gateway's own records about itself."""

    def __init__(
        self,
        journal: Journal,
        *,
        clock: Clock,
        gateway: str,
        config_digest: str,
        starts: CountedStarts | None = None,
    ) -> None:
        """Take the journal, the gateway's name, the digest of its configuration, and what counts starts."""
        self._journal = journal
        self._clock = clock
        self._gateway = gateway
        self.config_digest = config_digest
        self._starts = starts

    async def started(self) -> None:
        """Put a new event key in place and the start on record, before anything else happens."""
        receipt = await self._journal.read(lambda reader: reader.newest_receipt())
        changes: tuple[Change, ...] = (
            Change("boot_id", None, self._clock.boot_id),
            Change("size", None, self._journal.head.size),
            Change("version", None, version("linewitness")),
            Change("config", None, self.config_digest),
            Change("receipt_size", None, receipt[0] if receipt else 0),
            Change("receipt_root", None, _root(receipt[1]) if receipt else None),
            Change("continuity", None, "unverified"),
        )
        if self._starts:
            await self._starts.count()
        head = await self._journal.submit_all(Submission(rotate=True))
        state: Mapping[str, str | None] = {}
        if self._starts:
            # Nothing else is written now: the start's record follows the rotation, and the TPM says so.
            kept = await self._journal.read(
                lambda reader: {name: reader.state_value(name) for name in (LAST, MISSING)}
            )
            facts = await self._starts.facts(self._journal.identity.stream, head.record_hash, kept)
            changes, state = (*changes, *facts.changes), facts.state
        event = self._event("gateway.started", "the gateway was started", changes)
        await self._journal.submit([event], state=state)

    async def configured(self, digest: str, settings_of: Callable[[], Mapping[str, Scalar]]) -> None:
        """Put on record which settings differ from those that were applied last, if any do.

        A record has a largest size: of more changes than it holds, the first are named and the others are
        counted. The digest covers all settings.
        """
        stored = await self._journal.read(lambda reader: reader.state_value(_APPLIED))
        before: dict[str, Scalar] = orjson.loads(stored) if stored else {}
        if before.pop(_DIGEST, None) == digest:
            return
        settings = {path: value for path, value in settings_of().items() if value is not None}
        paths = before.keys() | settings.keys()
        differing = [path for path in paths if before.get(path) != settings.get(path)]
        if stored and not differing:
            return
        changes = _bounded(sorted(differing), before, settings) if stored else []
        changes.append(Change("config", None, digest))
        reason = "settings were changed" if stored else "the first configuration of this journal"
        event = self._event("config.applied", reason, tuple(changes))
        await self._journal.submit(
            [event], state={_APPLIED: orjson.dumps({**settings, _DIGEST: digest}).decode()}
        )

    async def list_taken_over(
        self,
        name: str,
        differing: tuple[int, Iterable[Change]],
        facts: Sequence[Change],
        *,
        state: Mapping[str, str | None],
    ) -> None:
        """Put on record that another list counts: how many entries differ and which, and facts of the list.

        Of more entries than a record holds, the first are named and the others are counted.
        """
        count, changes = differing
        event = self._event(
            "config.applied", f"the list of {name} was taken over", (*_fitting(changes, count), *facts)
        )
        await self._journal.submit([event], state=state)

    async def stopped(self, reason: str) -> None:
        """Put a clean stop on record."""
        await self._journal.submit([self._event("gateway.stopped", reason)])

    async def heartbeat(self) -> None:
        """Write a heartbeat after each idle minute, until cancelled."""
        while True:
            size = self._journal.head.size
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._journal.wait_beyond(size)
            except TimeoutError:
                await self._journal.submit(
                    [self._event("gateway.heartbeat", "nothing happened for a minute")]
                )

    def _event(self, kind: str, reason: str, changes: tuple[Change, ...] = ()) -> Event:
        return gateway_event(
            kind,
            self._clock.stamp().realtime_ns,
            resource=Resource("gateway", self._gateway),
            reason=reason,
            changes=changes,
        )


def _weight(path: str) -> tuple[bool, bool, str]:
    """Return by what a setting is chosen: devices first, then what points record, then the others."""
    parts = path.split(".")
    is_device = parts[0] == "devices" and len(parts) == 3 and parts[2] == "id"  # noqa: PLR2004 (devices.ID.id)
    return (not is_device, parts[-1] != "record", path)


def _bounded(paths: Sequence[str], before: Mapping[str, Scalar], after: Mapping[str, Scalar]) -> list[Change]:
    ordered = sorted(paths, key=_weight)
    return _fitting((Change(path, before.get(path), after.get(path)) for path in ordered), len(paths))


def _fitting(given: Iterable[Change], count: int) -> list[Change]:
    """Return the first of `count` changes that one record holds, in order, and how many it does not name."""
    changes: list[Change] = []
    size = 0
    for change in given:
        size += len(orjson.dumps((change.field, change.before, change.after))) + _CHANGE_BYTES
        if size > _MOST_BYTES:
            break
        changes.append(change)
    changes.sort(key=lambda change: change.field)
    if len(changes) < count:
        changes.append(Change("config.changes_not_named", None, str(count - len(changes))))
    return changes


def _root(note: str) -> str:
    """Return the third line of a checkpoint: its root, as base64."""
    return note.split("\n")[2]
