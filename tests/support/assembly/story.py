"""Run the line: three people, units that go from one to the next, kills and outages."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from linewitness.base.clock import monotonic
from support.assembly.line import STATIONS, AssemblyLine, assembly_line
from support.assembly.place import Place
from support.assembly.screen import Screen
from support.assembly.truth import Truth
from support.assembly.worker import SHARED_BADGE, Stores, Worker
from support.forked import forked_gateway
from support.plants import said, stopped
from support.waiting import until

#: How likely a unit skips bolting, or comes back to kitting once more.
SKIPS, COMES_BACK = 0.04, 0.05
#: How likely the code of a unit that is new at kitting is read at bolting, and scrap is brought back.
READ_ELSEWHERE, SCRAP_COMES_BACK = 0.05, 0.5
#: Where scrap is brought that was taken out here.
SCRAP_GOES: Final = {"kitting": "bolting", "bolting": "test", "test": "kitting"}
#: The piece that is put to a station which has nothing to do: what was there before has left then.
SAMPLES = {"kitting": "SNA9991", "bolting": "SNA9992", "test": "SNA9993"}
BADGES = {"kitting": "OP1", "bolting": "OP2", "test": "OP3"}


@dataclass(frozen=True)
class Plan:
    """How long the story is and what goes wrong in it."""

    units: int
    kills: int = 0
    outages: bool = False
    faultless: bool = False
    seed: int = 1


@dataclass
class ReadElsewhere:
    """A unit of kitting whose code is to be read at bolting: when that is done, and when it came back."""

    serial: str
    was_read: asyncio.Event = field(default_factory=asyncio.Event)
    is_back: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Story:
    """A line at work."""

    plan: Plan
    line: AssemblyLine
    truth: Truth = field(default_factory=Truth)
    queues: dict[str, deque[str]] = field(default_factory=lambda: {name: deque() for name in STATIONS})
    places: dict[str, Place] = field(default_factory=dict)
    killed: int = 0
    broker_away_s: float = 0.0
    took_s: float = 0.0
    _open: int = 0
    _elsewhere: deque[ReadElsewhere] = field(default_factory=deque)
    _scrap_seen: set[str] = field(default_factory=set)
    _gone: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.plan.seed)
        serials = [f"SN{self.rng.choice('AB')}{number:04d}" for number in range(1, self.plan.units + 1)]
        self.queues["kitting"].extend(serials)
        self._open = len(serials)
        self.places = {
            name: Place(name, self.line, self.truth, Screen(self.line.page, name)) for name in STATIONS
        }
        for place in self.places.values():
            place.others = tuple(each.screen for each in self.places.values() if each is not place)

    def summary(self) -> str:
        """Return what happened, in one line."""
        return (
            f"seed {self.plan.seed}: {self.plan.units} units in {self.took_s:.0f} s, {self.killed} kills, "
            f"broker away for {self.broker_away_s:.0f} s; {dict(self.truth.mistakes)}"
        )

    async def run(self, gateway: Any) -> None:
        """Let everybody work until all units are gone."""
        began = monotonic()
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(place.screen.follow()) for place in self.places.values()]
            background.append(group.create_task(self._kills(gateway)))
            if self.plan.outages:
                background.append(group.create_task(self._outages()))
            stores = Stores(random.Random(self.plan.seed))
            async with asyncio.TaskGroup() as workers:
                for number, name in enumerate(STATIONS):
                    rng = random.Random(self.plan.seed * 10 + number)
                    worker = Worker(self.places[name], rng, stores, BADGES[name], self.plan.faultless)
                    workers.create_task(self._work(worker))
            for task in background:
                task.cancel()
        self.took_s = monotonic() - began

    async def _work(self, worker: Worker) -> None:
        place, queue = worker.place, self.queues[worker.place.station]
        while self._open:
            if place.station == "bolting" and self._elsewhere:
                await self._read_another(worker, self._elsewhere.popleft())
                continue
            if not queue:
                await asyncio.sleep(0.05)
                if place.station in self._gone and not queue:
                    await self._show_sample(worker)
                continue
            serial = queue.popleft()
            if not self.plan.faultless:
                self._share_badge(worker)
            self._note_skipped(place.station, serial)
            place.arrive(serial)
            await worker.read_unit()
            self._move(place.station)
            if place.here.was_scrap:
                await worker.take_out_scrap()
                self._gone[place.station] = (serial, "scrapped")
                continue
            if place.station == "kitting" and place.here.is_first and self._slips(READ_ELSEWHERE):
                await self._let_read_elsewhere(worker)
            ending = await worker.handle()
            if ending == "taken_back":
                self._gone[place.station] = (serial, ending)
            else:
                self._send_on(place.station, serial, ending)
        await self._show_sample(worker)

    async def _show_sample(self, worker: Worker) -> None:
        """Put the sample there, so that the last unit has left on record."""
        sample = SAMPLES[worker.place.station]
        self._note_skipped(worker.place.station, sample)
        worker.place.arrive(sample)
        await worker.read_unit()
        self._move(worker.place.station)
        worker.place.leave("taken_back", by_hand=True)

    def _slips(self, chance: float) -> bool:
        return not self.plan.faultless and self.rng.random() < chance

    async def _let_read_elsewhere(self, worker: Worker) -> None:
        """Let the code of a unit that has nothing yet be read at bolting, and then here once more."""
        self.truth.mistakes["read_elsewhere"] += 1
        other = ReadElsewhere(worker.place.here.unit)
        self._elsewhere.append(other)
        await other.was_read.wait()
        self.truth.at_two[worker.place.station, other.serial] += 1
        await worker.read_anew()
        other.is_back.set()

    async def _read_another(self, worker: Worker, other: ReadElsewhere) -> None:
        """Read the code of a unit that stands elsewhere."""
        place = worker.place
        self._note_skipped(place.station, other.serial)
        self.truth.at_two[place.station, other.serial] += 1
        place.arrive(other.serial)
        await worker.read_unit()
        self._move(place.station)
        place.leave("taken_back", by_hand=True)
        other.was_read.set()
        await other.is_back.wait()

    def _move(self, station: str) -> None:
        """Bring a unit back that was taken off by hand: another one is on record at this station now."""
        if (gone := self._gone.pop(station, None)) is not None:
            self._send_on(station, *gone)

    def _share_badge(self, worker: Worker) -> None:
        """Let somebody take the badge of the person at kitting, for one unit."""
        shares = worker.place.station != "kitting" and worker.rng.random() < SHARED_BADGE
        worker.badge = "OP1" if shares else BADGES[worker.place.station]
        self.truth.mistakes["shared_badge"] += shares

    def _note_skipped(self, station: str, serial: str) -> None:
        passed = self.truth.unit(serial).passed
        before = STATIONS[: STATIONS.index(station)]
        if not passed.issuperset(before) and not self.places[station].is_still_on_record(serial):
            self.truth.skipped[station, serial] += 1

    def _send_on(self, station: str, serial: str, ending: str) -> None:
        """Bring a unit where it goes next."""
        if ending == "scrapped" and serial not in self._scrap_seen and self._slips(SCRAP_COMES_BACK):
            self.truth.mistakes["scrap_brought_back"] += 1
            self._scrap_seen.add(serial)
            self.queues[SCRAP_GOES[station]].append(serial)
        elif ending == "scrapped" or (station == "test" and ending != "taken_back"):
            self._open -= 1
        elif ending == "taken_back":
            self.queues["bolting"].append(serial)
        elif station == "kitting":
            self.queues[self._after_kitting(serial)].append(serial)
        else:
            self.queues["test"].append(serial)

    def _after_kitting(self, serial: str) -> str:
        visits = sum(visit.unit == serial for visit in self.truth.visits["kitting"])
        chance = 1.0 if self.plan.faultless else self.rng.random()
        if chance < COMES_BACK and visits == 1 and self.queues["kitting"]:
            self.truth.mistakes["comes_back"] += 1
            return "kitting"
        if COMES_BACK <= chance < COMES_BACK + SKIPS:
            self.truth.mistakes["skips_a_station"] += 1
            return "test"
        return "bolting"

    async def _kills(self, gateway: Any) -> None:
        """Kill the gateway each time another share of the units is through."""
        rng, units = random.Random(self.plan.seed + 77), self.plan.units
        while self.killed < self.plan.kills:
            due = (self.killed + 0.5) / self.plan.kills * units
            while units - self._open < due - 1 and self._began() < due:  # noqa: ASYNC110 (nothing tells it)
                await asyncio.sleep(0.05)
            await asyncio.sleep(rng.uniform(0, 1.0))
            await gateway.kill()
            self.killed += 1
            await asyncio.sleep(rng.uniform(0, 0.5))
            await gateway.start()
            await until(lambda: "gateway started" in gateway.said(), gateway.said)

    def _began(self) -> int:
        return len(self.truth.visits["bolting"])

    async def _outages(self) -> None:
        """Take the broker away half of the time."""
        rng, broker = random.Random(self.plan.seed + 78), self.line.plant.broker
        while True:
            seconds = rng.uniform(1, 6)
            await asyncio.sleep(seconds)
            await broker.stop()
            try:
                await asyncio.sleep(seconds)
                self.broker_away_s += seconds
            finally:
                await broker.start()


@asynccontextmanager
async def told(folder: Path, plan: Plan) -> AsyncIterator[Story]:
    """Run a story to its end: all is in the store, and the gateway has stopped in order."""
    async with assembly_line(folder) as line, forked_gateway(line.plant) as gateway:
        await line.plant.store.start()
        await gateway.start()
        story = Story(plan, line)
        await story.run(gateway)
        with line.plant.journal() as journal:
            size = journal.figures().size
        await line.plant.receipted(size, timeout_s=300)
        assert await stopped(line.plant) == 0, said(line.plant)[-4000:]
        yield story
