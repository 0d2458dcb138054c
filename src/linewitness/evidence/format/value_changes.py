"""Many events of one sort as columns: the new values of a device's points, given together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from linewitness.evidence.format.record import Change, Event, Resource, Scalar

#: What the records of one point have in common, as bytes: the rest of its change, and its resource.
EncodedFrame = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class PointFrame:
    """What is the same in all records of one point; the resource has no parent.

    `encoded` is for whoever writes the records: what it has encoded already, by the value's status.
    """

    resource: Resource
    name: str
    unit: str | None = None
    low: str | None = None
    high: str | None = None
    encoded: dict[str | None, EncodedFrame] = field(default_factory=dict, compare=False, repr=False)


class Occurrence(NamedTuple):
    """When something happened, as `Event` says it."""

    occurred_ns: int
    occurred_from: str
    occurred_unc_ms: int | None = None
    device_time: str | None = None
    device_offset_ms: int | None = None


class ValueChange(NamedTuple):
    """One value that is another than before."""

    frame: PointFrame
    before: Scalar
    after: Scalar
    status: str | None
    reason: str
    occurrence: Occurrence


@dataclass(frozen=True, slots=True)
class ValueChanges:
    """Events that differ in their resource, their one change, their reason and their time alone.

    `common` holds everything else. All texts among the values are short: none makes a record too large.
    """

    common: Event
    values: Sequence[ValueChange]

    def __len__(self) -> int:
        """Return how many records they become."""
        return len(self.values)

    @property
    def raw(self) -> None:
        """Values that come together have no bytes of their own."""

    def events(self) -> Iterator[Event]:
        """Yield each event by itself."""
        for value in self.values:
            yield self.event(value)

    def event(self, value: ValueChange) -> Event:
        """Return one of the events."""
        frame = value.frame
        change = Change(
            frame.name, value.before, value.after, frame.unit, frame.low, frame.high, value.status
        )
        return replace(
            self.common,
            resource=frame.resource,
            reason=value.reason,
            changes=(change,),
            **value.occurrence._asdict(),
        )


def count_records(events: "Sequence[Event | ValueChanges]") -> int:
    """Return how many records these become."""
    return sum(len(event) if isinstance(event, ValueChanges) else 1 for event in events)
