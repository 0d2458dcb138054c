"""Which product, order and batch a station works on, as a code or points of a PLC say it."""

from collections.abc import Mapping

import orjson

from linewitness.base.patterns import compiled
from linewitness.devices.base import Code, Observation, Quality, Reading
from linewitness.evidence.format.record import Change, Resource
from linewitness.stations.checklist.live_values import text_of
from linewitness.stations.context import StationContext
from linewitness.stations.genealogy.known_units import Variant
from linewitness.stations.outcome import StationOutcome

_NAMES = ("product", "order", "batch")


class StationOrder:
    """The order at one station.

    After a restart, or when the device that named it was not heard for a while, another order may have begun
    unseen: it is unknown until it is named again.
    """

    def __init__(self, context: StationContext, state: Mapping[str, str]) -> None:
        """Begin with the order of the last commit, for what the next record says of before."""
        self._context = context
        self._key = context.key("order")
        stored = state.get(self._key)
        self._last = Variant(*orjson.loads(stored)) if stored else Variant()
        self._known: dict[str, str] = {}

    @property
    def variant(self) -> Variant:
        """What is known now; a part that is not known is empty."""
        return Variant(
            *(value if name in self._known else "" for name, value in zip(_NAMES, self._last, strict=True))
        )

    @property
    def last(self) -> Variant:
        """What was known last."""
        return self._last

    def lose(self, device: str) -> None:
        """Learn that a device cannot be heard: what it named may have changed."""
        self._known = {name: namer for name, namer in self._known.items() if namer != device}

    def is_code(self, code: Code) -> bool:
        """Return whether a code is an order's."""
        order = self._context.options.work_order if self._context.options else None
        return (
            order is not None
            and order.pattern is not None
            and code.device == order.scanner
            and compiled(order.pattern).matches(code.text)
        )

    def read(self, code: Code, outcome: StationOutcome) -> None:
        """Take an order's code."""
        order = self._context.options.work_order if self._context.options else None
        found = compiled(order.pattern).fullmatch(code.text) if order and order.pattern else None
        named = {name: value or "" for name, value in (found or {}).items() if name in _NAMES}
        self._become(named, code, outcome, "the order's code was read")

    def follow(self, reading: Reading, outcome: StationOutcome) -> None:
        """Take a point that names the product, the order or the batch."""
        order = self._context.options.work_order if self._context.options else None
        name = order.points.get(f"{reading.device}/{reading.point}") if order is not None else None
        if name is None or reading.backfilled:
            return
        if reading.quality is not Quality.GOOD or not isinstance(reading.value, str | int | bool):
            self._known.pop(name, None)
            return
        value = text_of(reading.value) if isinstance(reading.value, bool) else str(reading.value).strip()
        self._become({name: value}, reading, outcome, "a point of the PLC says so")

    def _become(
        self, named: Mapping[str, str], observation: Observation, outcome: StationOutcome, reason: str
    ) -> None:
        before = self._last
        self._last = before._replace(**named)
        self._known |= dict.fromkeys(named, observation.device)
        if self._last == before:
            return
        outcome.state[self._key] = orjson.dumps(list(self._last)).decode()
        outcome.events.append(
            self._context.event(
                observation,
                kind="order.changed",
                resource=Resource("station", str(self._context.id)),
                reason=reason,
                changes=variant_changes(before, self._last),
            )
        )


def variant_changes(before: Variant, now: Variant) -> tuple[Change, ...]:
    """Return what differs between two orders, with before and after."""
    return tuple(
        Change(name, old or None, new or None)
        for name, old, new in zip(_NAMES, before, now, strict=True)
        if old != new
    )
