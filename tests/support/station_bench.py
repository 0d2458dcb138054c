"""Stations with their durable state, which can be restarted like a gateway, and a clock that is told."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from linewitness.base.clock import NS_PER_S, Stamp
from linewitness.devices.base import Observation
from linewitness.evidence.format.record import Change, Event
from linewitness.stations.lists.book import NO_LISTS, ListBook
from linewitness.stations.options import StationOptions
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station
from support.observations import BASE_NS, BOOT_NS, START, code, reading, tightening
from support.single_events import single_events

DEVICES = ("scan-10", "badge-10", "press-10", "wrench-10")


def options_of(station: str = "st-10", **settings: Any) -> StationOptions:
    """Return a station with a reader of units, one of badges, a press and a wrench."""
    return StationOptions.model_validate(
        {
            "id": station,
            "devices": DEVICES,
            "unit": {"scanner": "scan-10", "pattern": r"SN\d{4}"},
            "operator": {"scanner": "badge-10", "pattern": r"B\d+"},
            **settings,
        }
    )


class LineBench:
    """Stations that share a line's state. Time is told in seconds; `restart` forgets what is not durable."""

    def __init__(self, *stations: StationOptions, lists: ListBook = NO_LISTS) -> None:
        self.options = {each.id: each for each in stations}
        self.lists = lists
        self.stored: dict[str, str] = {}
        self.events: list[Event] = []
        self.boot = 1
        self._ids = itertools.count(1)
        self.restart()

    def mint(self, _realtime_ns: int) -> str:
        return f"{next(self._ids):026d}"

    def restart(self, *, reboot: bool = False) -> None:
        self.boot += reboot
        self.shared = SharedState.load(self.stored, boot_id=f"boot-{self.boot}", mint=self.mint)
        self.shared.lists = self.lists
        self.stations: dict[str, Station] = {}
        for name, options in self.options.items():
            station = Station(options, {}, shared=self.shared, state=self.stored, now=START)
            self.stations[name] = station
            self._keep(station.begin(START))

    def reload(self, options: StationOptions, *, at_s: float = 0) -> list[Event]:
        self.options[options.id] = options
        return self._keep(self.stations[options.id].take_over(options, {}, stamp(at_s)))

    def take_lists(self, lists: ListBook) -> None:
        self.lists = self.shared.lists = lists

    def say(self, *observations: Observation, at: str = "st-10") -> list[Event]:
        events = []
        for observation in observations:
            events += self._keep(self.stations[at].interpret(observation))
        return events

    def scan(self, *texts: str, at: str = "st-10", at_s: float = 0, device: str = "scan-10") -> list[Event]:
        return self.say(*(code(text, device=device, at_ms=int(at_s * 1000)) for text in texts), at=at)

    def badge(self, *ids: str, at: str = "st-10", at_s: float = 0) -> list[Event]:
        return self.scan(*ids, at=at, at_s=at_s, device="badge-10")

    def tighten(
        self,
        number: int,
        *,
        at: str = "st-10",
        at_s: float = 0,
        serial: str | None = None,
        calibrated: str | None = None,
        **more: Any,
    ) -> list[Event]:
        result = tightening(number, at_ms=int(at_s * 1000), **more)
        told = (("tool_serial", serial), ("tool_last_calibration", calibrated))
        facts = (*result.facts, *((name, value) for name, value in told if value is not None))
        return self.say(replace(result, facts=facts), at=at)

    def read(self, value: str, *, at: str = "st-10", at_s: float = 0, **more: Any) -> list[Event]:
        return self.say(reading(value, at_ms=int(at_s * 1000), **more), at=at)

    def wait(self, at_s: float, *, at: str = "st-10", heard_s: float | None = None) -> list[Event]:
        """Let time pass; the devices were heard just now, or at `heard_s`."""
        station = self.stations[at]
        heard = stamp(at_s if heard_s is None else heard_s)
        return self._keep(station.tick(stamp(at_s), dict.fromkeys(station.followed, heard)))

    def lose(self, device: str, *, at: str = "st-10", at_s: float = 0) -> list[Event]:
        because = f"the connection to {device} ended"
        return self._keep(self.stations[at].lose(device, because, stamp(at_s)))

    def left(self) -> dict[str, Change]:
        """Return what the newest `unit.left` says."""
        return changes([event for event in self.events if event.kind == "unit.left"][-1])

    def gate(self, at: str = "st-10") -> str | None:
        order = self.stations[at].order()
        return order.position if order is not None else None

    def state(self, requirement: str, at: str = "st-10") -> str:
        """Return what the screen says of a requirement."""
        view = self.stations[at].view(stamp(0))
        return next(each.state for each in view.requirements if each.id == requirement)

    def _keep(self, outcome: StationOutcome) -> list[Event]:
        for key, value in outcome.state.items():
            if value is None:
                self.stored.pop(key, None)
            else:
                self.stored[key] = value
        events = single_events(outcome.events)
        self.events += events
        return events


def stamp(at_s: float) -> Stamp:
    return Stamp(BASE_NS + int(at_s * NS_PER_S), BOOT_NS + int(at_s * NS_PER_S))


def changes(event: Event) -> dict[str, Change]:
    return {change.field: change for change in event.changes}


def kinds(events: Iterable[Event]) -> list[str]:
    return [event.kind for event in events]


def afters(event: Event) -> Mapping[str, object]:
    return {change.field: change.after for change in event.changes}
