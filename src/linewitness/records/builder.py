"""Turn an event into the next record: time, place in the chain and hash."""

from dataclasses import dataclass, replace
from typing import Any, Final

from nacl.signing import SigningKey

from linewitness.base.clock import (
    NS_PER_S,
    READ_GAP_NS,
    STEP_THRESHOLD_NS,
    Clock,
    ClockState,
    ClockStep,
    SharedClockState,
    Stamp,
    StepDetector,
    to_rfc3339,
)
from linewitness.evidence.format import canonical, keys, record
from linewitness.evidence.format.kinds import KINDS
from linewitness.evidence.format.raw import RAW_HMAC, keyed_hash
from linewitness.evidence.format.record import Change, Draft, Event, Scalar
from linewitness.evidence.format.value_changes import ValueChanges
from linewitness.records.change_bytes import ChangeBytes
from linewitness.records.drafts import Drafts
from linewitness.records.event_ids import EventIds
from linewitness.records.record_bytes import (
    NotAssembled,
    RecordBytes,
    RecordFacts,
    members_of_actor,
    members_of_resource,
    scalar_of,
)

#: A text longer than this in a record that is too large is cut to its hash.
LONG_TEXT: Final = 256


@dataclass(frozen=True, slots=True)
class StreamIdentity:
    """Whose records these are: constant for one stream. Only a gateway's has a plant and a line."""

    stream: str
    tenant: str
    plant: str = ""
    line: str = ""


class EventKey:
    """A private key that signs records, with the id under which records name it."""

    def __init__(self, stream: str, key: SigningKey) -> None:
        """Derive the public form once; it is needed for every record."""
        self.signing_key = key
        self.vkey = keys.event_vkey(stream, key)
        self.key_id = self.vkey.key_id

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self.signing_key.sign(message).signature


class RecordBuilder:
    """Build records one after the other; used by a stream's one writer only."""

    def __init__(
        self,
        identity: StreamIdentity,
        *,
        clock: Clock,
        clock_state: SharedClockState,
        steps: StepDetector | None = None,
    ) -> None:
        """Take the constants of the stream and the clock that stamps its records.

        `steps` goes on where another writer of the stream ended.
        """
        self._identity = identity
        self._clock = clock
        self._clock_state = clock_state
        self._steps = steps or StepDetector()
        self._ids = EventIds()
        self._known: tuple[Stamp | None, ClockState] = (None, ClockState())
        #: Jumps of the clock that no durable record tells yet.
        self.steps_to_record: list[ClockStep] = []
        self._boot_id = clock.boot_id
        place = {"line_id": identity.line, "plant_id": identity.plant}
        self._place = {name: text for name, text in place.items() if text}
        self._bytes = RecordBytes(stream=identity.stream, tenant=identity.tenant, boot_id=clock.boot_id)

    def stamp(self) -> tuple[Stamp, ClockStep | None]:
        """Read the clock for the next record, and return whether it jumped since the last one."""
        stamp = self._clock.stamp()
        step = self._steps.observe(stamp)
        if step is not None:
            self.steps_to_record.append(step)
        return stamp, step

    def build(
        self,
        event: Event,
        *,
        sequence_no: int,
        prev_hash: str,
        key: EventKey,
        stamp: Stamp,
        raw_salt: bytes = b"",
    ) -> Draft:
        """Return the record but for its signature, small enough to bear one.

        `raw_salt` keys the hash of the device's own bytes, where the event has any.
        """
        context = {**self._place, **event.context}
        if event.raw is not None:
            context[RAW_HMAC] = keyed_hash(raw_salt, event.raw)
        place = (sequence_no, prev_hash, key)
        drafted = self._drafted(event, context, place, stamp)
        if drafted.size > canonical.MAX_BYTES:
            return self._drafted(_shortened(event), context, place, stamp)
        return drafted

    def build_changes(
        self, changes: ValueChanges, drafts: Drafts, *, sequence_no: int, key: EventKey, stamp: Stamp
    ) -> None:
        """Add the records of a group, each with the hash of the one before."""
        moved_ns = _moved_ns(changes.common, stamp)
        context = {**self._place, **changes.common.context}
        state = self._state_at(stamp).moved(moved_ns)
        facts = RecordFacts(
            changes.common, "", context, sequence_no, stamp, state, self._steps.count, changes.common.reason
        )
        together = ChangeBytes(
            self._bytes, facts, key_id=key.key_id, reason_of=lambda reason: _with_step(reason, moved_ns)
        )
        values, ids = changes.values, self._ids.many(stamp.realtime_ns, len(changes))
        at = 0
        while (at := at + together.extend(drafts, values[at:], ids[at:], sequence_no + at)) < len(values):
            event = replace(changes.event(values[at]), event_id=ids[at].decode())
            prev_hash = drafts.last_hash.decode()
            drafts.add(
                self.build(event, sequence_no=sequence_no + at, prev_hash=prev_hash, key=key, stamp=stamp)
            )
            at += 1

    def _drafted(
        self, event: Event, context: dict[str, str], place: tuple[int, str, EventKey], stamp: Stamp
    ) -> Draft:
        sequence_no, prev_hash, key = place
        moved_ns = _moved_ns(event, stamp)
        facts = RecordFacts(
            event,
            event.event_id or self._ids.new(stamp.realtime_ns),
            context,
            sequence_no,
            stamp,
            # What was found of the clock after it was set does not hold for a time that it showed before.
            self._state_at(stamp).moved(moved_ns),
            self._steps.count,
            _with_step(event.reason, moved_ns),
        )
        try:
            return self._bytes.draft(facts, prev_hash=prev_hash, key_id=key.key_id)
        except NotAssembled:
            members = _without_surrogates(self.members(facts))
            link = {"stream": self._identity.stream, "key_id": key.key_id, "prev_hash": prev_hash}
            return record.draft(members, **link)

    def _state_at(self, stamp: Stamp) -> ClockState:
        """Return what is known of the clock at a stamp, which many records may share."""
        if stamp is not self._known[0]:
            self._known = (stamp, self._clock_state.at(stamp))
        return self._known[1]

    def members(self, facts: RecordFacts) -> dict[str, Any]:
        """Return the members of a record but for `integrity`; `RecordBytes` assembles the same, sooner."""
        event = facts.event
        return {
            "action": event.action or KINDS[event.kind],
            "actor": members_of_actor(event.actor),
            "changes": [_change(change) for change in event.changes],
            "clock": self._clock_block(facts),
            "context": facts.context,
            "event_id": facts.event_id,
            "ingested_at": to_rfc3339(facts.stamp.realtime_ns),
            "kind": event.kind,
            "occurred_at": to_rfc3339(event.occurred_ns),
            "reason": facts.reason,
            "resource": members_of_resource(event.resource),
            "sequence_no": facts.sequence_no,
            "tenant_id": self._identity.tenant,
        }

    def _clock_block(self, facts: RecordFacts) -> dict[str, Any]:
        event, state = facts.event, facts.clock
        block: dict[str, Any] = {
            "boot_id": self._boot_id,
            "boottime_us": facts.stamp.boottime_ns // 1000,
            "occurred_from": event.occurred_from,
            "step": facts.steps,
            "sync": state.sync,
        }
        if state.bound_us is not None:
            block["bound_us"] = state.bound_us
        # The store would refuse a record with less than none, and everything after it.
        if event.occurred_unc_ms is not None and event.occurred_unc_ms >= 0:
            block["occurred_unc_ms"] = event.occurred_unc_ms
        if event.device_time is not None:
            block["device_time"] = event.device_time
        if event.device_offset_ms is not None:
            block["device_offset_ms"] = event.device_offset_ms
        return block


def _moved_ns(event: Event, stamp: Stamp) -> int:
    """Return by how much the clock was moved between the time that the event states and its record."""
    if event.clock_setting_ns is None:
        return 0
    moved_ns = stamp.setting_ns - event.clock_setting_ns
    # The two clocks of a stamp are not read at the same moment.
    return moved_ns if abs(moved_ns) > READ_GAP_NS else 0


def _with_step(reason: str, moved_ns: int) -> str:
    """Add to a reason that `occurred_at` was stamped before the clock was set."""
    if abs(moved_ns) <= STEP_THRESHOLD_NS:
        return reason
    said = f"occurred_at was stamped before the clock was set by {moved_ns / NS_PER_S:+.3f} s"
    return f"{reason}; {said}" if reason else said


def _change(change: Change) -> dict[str, Any]:
    members: dict[str, Any] = {
        "after": scalar_of(change.after),
        "before": scalar_of(change.before),
        "field": change.field,
    }
    if change.unit is not None:
        members["unit"] = change.unit
    if change.low is not None:
        members["low"] = change.low
    if change.high is not None:
        members["high"] = change.high
    if change.status is not None:
        members["status"] = change.status
    return members


def _shortened(event: Event) -> Event:
    """Return the event with long texts replaced by their hash and length, so that it fits a record."""
    changes = [
        change._replace(before=_short(change.before), after=_short(change.after)) for change in event.changes
    ]
    kept = changes[:LONG_TEXT]
    if len(changes) > len(kept):
        kept.append(Change("fields_left_out", None, len(changes) - len(kept)))
    return replace(event, reason=event.reason[:LONG_TEXT], changes=tuple(kept))


def _short(value: Scalar) -> Scalar:
    if isinstance(value, str) and len(value) > LONG_TEXT:
        data = value.encode("utf-8", "replace")
        return f"{record.sha256(data)} ({len(data)} bytes)"
    return value


def _without_surrogates(value: Any) -> Any:
    """Return the members with every lone surrogate replaced by U+FFFD; the raw bytes are kept elsewhere."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {name: _without_surrogates(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(member) for member in value]
    return value
