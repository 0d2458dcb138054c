"""Events one by one, whether a station gave them together or not."""

from collections.abc import Iterable

from linewitness.evidence.format.record import Event
from linewitness.evidence.format.value_changes import ValueChanges


def single_events(events: Iterable[Event | ValueChanges]) -> list[Event]:
    """Return each event by itself, in order."""
    found: list[Event] = []
    for event in events:
        found += event.events() if isinstance(event, ValueChanges) else [event]
    return found
