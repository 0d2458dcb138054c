"""Run one capture for each device of the line, and change some of them while the others go on."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog

from linewitness.base.clock import Clock, Stamp
from linewitness.base.errors import DeviceError
from linewitness.devices.asking import AskableDriver
from linewitness.devices.base import Driver
from linewitness.devices.options import DeviceOptions, PointOptions
from linewitness.devices.unit_commands import UnitCommandOptions
from linewitness.gateway.availability import DeviceStatusSink
from linewitness.gateway.capture import Capture
from linewitness.gateway.intake.arrival import Standstills
from linewitness.gateway.screens.feed import ScreenFeed
from linewitness.gateway.stations.clock import StationClock
from linewitness.gateway.stations.gate_orders import GateOrders
from linewitness.journal.journal import Journal
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.records.event_ids import EventIds
from linewitness.stations.genealogy.known_units import REMEMBERED
from linewitness.stations.lists.book import NO_LISTS, ListBook
from linewitness.stations.options import StationOptions
from linewitness.stations.outcome import Ask
from linewitness.stations.rules import DeviceRule, PointRule
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station

#: What a capture that is stopped may take to put on record what it has read.
PATIENCE_S: Final = 5.0

log = structlog.get_logger()

BuildDriver = Callable[[DeviceOptions], Driver]


@dataclass(frozen=True, slots=True)
class _Running:
    """A device's capture: its settings, where it stands, and its task."""

    options: DeviceOptions
    station_id: str | None
    driver: Driver
    capture: Capture
    task: asyncio.Task[None]


class Fleet:
    """All captures of a line. `apply` is called at the start and at each change of the configuration."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        *,
        build: BuildDriver,
        journal: Journal,
        telemetry: TelemetryBuffer,
        clock: Clock,
        health: DeviceStatusSink,
        standstills: Standstills,
        screens: ScreenFeed | None = None,
    ) -> None:
        """Take the group in which captures run, and how a driver is made from its options.

        `screens` show the stations; None where nobody looks.
        """
        self._screens = screens
        self._standstills = standstills
        self._group = group
        self._build = build
        self._journal = journal
        self._telemetry = telemetry
        self._clock = clock
        self._health = health
        self._shared: SharedState | None = None
        self._lists = NO_LISTS
        self._orders = GateOrders()
        self._running: dict[str, _Running] = {}
        self._stations: dict[str | None, Station] = {}
        self._time = StationClock(
            self._stations.values,
            self._known_until,
            journal=journal,
            clock=clock,
            orders=self._orders,
            show=screens.follow if screens else _shown_nowhere,
        )
        self._telling_time: asyncio.Task[None] | None = None
        self._remembered = REMEMBERED

    async def apply(
        self,
        devices: Sequence[DeviceOptions],
        stations: Sequence[StationOptions],
        *,
        remembered: int = REMEMBERED,
    ) -> None:
        """Bring the line to these settings: devices that did not change keep their connections.

        `remembered` units are remembered.
        """
        wanted = {options.id: options for options in devices}
        station_of = {device: station.id for station in stations for device in station.devices}
        await self._stop(
            running
            for name, running in self._running.items()
            if wanted.get(name) != running.options or station_of.get(name) != running.station_id
        )
        self._remembered = remembered
        await self._arrange(stations, {options.id: _rule(options) for options in devices})
        if self._telling_time is None and any(each.runs_by_time for each in self._stations.values()):
            self._telling_time = self._group.create_task(self._time.run(), name="station-clock")
        for options in devices:
            if options.id not in self._running:
                self._start(options, station_of.get(options.id))

    def take_over_lists(self, lists: ListBook) -> None:
        """Let all stations decide by these lists from now on."""
        self._lists = lists
        if self._shared is not None:
            self._shared.lists = lists

    def station(self, station_id: str) -> Station:
        """Return a station of the line."""
        return self._stations[station_id]

    async def stop(self) -> None:
        """End all captures; what they had read is durable."""
        await self._stop(list(self._running.values()))
        if self._telling_time is not None:
            self._telling_time.cancel()

    async def _stop(self, ending: Iterable[_Running]) -> None:
        """End captures: they finish what they have read, and are cancelled if that takes too long."""
        stopping = list(ending)
        for running in stopping:
            if not running.capture.stop():
                running.task.cancel()
        tasks = [running.task for running in stopping]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=PATIENCE_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        for running in stopping:
            del self._running[running.options.id]

    async def _arrange(self, stations: Sequence[StationOptions], rules: Mapping[str, DeviceRule]) -> None:
        """Let stations take over their new settings; those that are new begin with the stored state."""
        # What captures submitted before they were stopped must be readable before a station begins with it.
        await self._journal.submit([])
        state = await self._journal.read(lambda reader: reader.state())
        with self._screens.held() if self._screens else nullcontext():
            await self._settle(stations, rules, state)
        if self._screens:
            self._screens.begin({name: each for name, each in self._stations.items() if name is not None})
        self._orders.begin(self._stations.values())

    async def _settle(
        self, stations: Sequence[StationOptions], rules: Mapping[str, DeviceRule], state: Mapping[str, str]
    ) -> None:
        """Change the stations, and wait until what they say to that is durable."""
        if self._shared is None:
            mint = EventIds().new
            self._shared = SharedState.load(state, boot_id=self._clock.boot_id, mint=mint)
            self._shared.lists = self._lists
        self._shared.units.remember_at_most(self._remembered)
        settings: dict[str | None, StationOptions | None] = {station.id: station for station in stations}
        settings[None] = None
        now = self._clock.stamp()
        outcomes = [self._stations.pop(name).leave(now) for name in self._stations.keys() - settings.keys()]
        for name, options in settings.items():
            if name in self._stations:
                outcomes.append(self._stations[name].take_over(options, rules, now))
            else:
                self._stations[name] = Station(options, rules, shared=self._shared, state=state, now=now)
                outcomes.append(self._stations[name].begin(now))
        for outcome in outcomes:
            if outcome.events or outcome.state:
                await self._journal.submit(outcome.events, state=outcome.state)

    def _known_until(self, device: str, now: Stamp) -> Stamp | None:
        """Return until when a device's points are known, None where they are not."""
        running = self._running.get(device)
        return running.capture.known_until(now) if running is not None else None

    def _ask(self, ask: Ask) -> None:
        """Ask a device for a measurement; what does not come is missing when the unit leaves."""
        running = self._running.get(ask.device)
        if running is None or not isinstance(running.driver, AskableDriver):
            log.warning("device cannot be asked to measure", device=ask.device, unit=ask.unit)
            return
        try:
            running.driver.weigh(identifier=ask.unit)
        except DeviceError as error:
            log.warning("device did not measure", device=ask.device, unit=ask.unit, why=str(error))

    def _start(self, options: DeviceOptions, station_id: str | None) -> None:
        self._health.device(options.id, "waiting", "")
        self._health.unmoved(options.id, "")
        driver = self._build(options)
        commands = options if isinstance(options, UnitCommandOptions) and options.commands_units else None
        if commands is None:
            self._health.untold(options.id, "")
        station = self._stations[station_id]
        capture = Capture(
            driver,
            station,
            journal=self._journal,
            telemetry=self._telemetry,
            clock=self._clock,
            health=self._health,
            station_id=station_id,
            orders=self._orders,
            share=options.share,
            ask=self._ask,
            commands=commands,
            standstills=self._standstills,
            show=partial(self._screens.follow, station) if self._screens else None,
        )
        task = self._group.create_task(capture.run(), name=f"capture:{options.id}")
        self._running[options.id] = _Running(options, station_id, driver, capture, task)


def _shown_nowhere(_station: Station, _durable: "asyncio.Future[Any]") -> None:
    """Show nothing, where nobody looks."""


def _rule(options: DeviceOptions) -> DeviceRule:
    points: Sequence[PointOptions] = getattr(options, "points", ())
    return DeviceRule(
        points={
            point.id: PointRule(record=point.record, unit=point.unit, low=point.low, high=point.high)
            for point in points
        }
    )
