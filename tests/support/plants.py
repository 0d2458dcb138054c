"""A whole line for system and fault tests: real processes, load at every device, and what must come of it."""

import asyncio
import contextlib
import itertools
import json
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from sqlalchemy import make_url

from linewitness.demo.plant import Plant, open_plant
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.policy.policy import Attester, Policy
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.stream import verify
from linewitness.evidence.verify.verdict import Verdict
from linewitness.journal.reader import JournalReader
from linewitness.store.database.database import Database
from linewitness.store.reports import read_receipts, read_records
from support.lines import prepare
from support.meaning import Meaning, meaning_of
from support.present import present
from support.waiting import until

WAIT_S = 40.0


@asynccontextmanager
async def new_plant(
    folder: Path, replacements: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Plant]:
    """Start devices and broker, and enroll the gateway at the store; neither of these two runs yet."""
    async with open_plant(folder / "plant", mosquitto=True) as plant:
        for old, new in replacements.items():
            change(plant, old, new)
        await plant.enroll(prepare)
        yield plant


@asynccontextmanager
async def running_plant(folder: Path) -> AsyncIterator[Plant]:
    """Start everything, and wait until the gateway is connected to all devices and to the store."""
    async with new_plant(folder) as plant:
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        await plant.receipted(1)
        yield plant


def change(plant: Plant, old: str, new: str) -> None:
    """Replace a text in the line's YAML, which must be there."""
    text = plant.line_file.read_text()
    assert old in text, old
    plant.line_file.write_text(text.replace(old, new))


async def at_work(plant: Plant) -> None:
    """Wait until the gateway listens to the tool, the reader and the press."""
    devices = plant.devices
    served = devices.oven.served
    await until(lambda: devices.torque.subscribed() > 0, lambda: f"the tool; {said(plant)}")
    await until(lambda: devices.scanner.clients > 0, "the reader")
    await until(lambda: devices.press.sessions > 0, "the press")
    await until(lambda: devices.oven.served > served, "the oven")


def said(plant: Plant, name: str = "gateway") -> str:
    """Return what a process wrote so far."""
    log = plant.folder / f"{name}.log"
    return log.read_text() if log.exists() else ""


def log_lines(plant: Plant, event: str, **members: object) -> list[dict[str, Any]]:
    """Return the gateway's log entries of one kind."""
    entries = [json.loads(line) for line in said(plant).splitlines() if line.startswith("{")]
    return [
        entry
        for entry in entries
        if entry["event"].startswith(event) and all(entry.get(k) == v for k, v in members.items())
    ]


@dataclass
class Load:
    """Work at all devices, and a ledger of what was done there.

    The tool knows no serial numbers: what unit it worked on is the reader's word. Between the last result
    of a unit and the next unit's code passes `changeover_s`, as at every real station, and again after it.
    """

    plant: Plant
    period_s: float = 0.05
    changeover_s: float = 0.3
    made: set[int] = field(default_factory=set)
    steps: int = 0
    units: int = 0
    stopped: bool = False

    async def run(self) -> None:
        """Tighten, change the pressure and the oven once a period, until stopped."""
        while not self.stopped:
            await self.step()
            await asyncio.sleep(self.period_s)

    async def step(self) -> None:
        devices = self.plant.devices
        self.steps += 1
        self.made.add(devices.torque.tighten())
        await devices.press.set("Holding", 100.0 + self.steps)
        devices.oven.oven.inputs.set_points[0] = 1000 + self.steps
        if self.steps % self._results_a_unit == 1:
            await self.next_unit()

    @property
    def _results_a_unit(self) -> int:
        """A unit stays for half a second at least."""
        return max(10, round(0.5 / self.period_s))

    async def next_unit(self) -> str:
        """Take the unit from the table, put another one there, and read its code."""
        await asyncio.sleep(self.changeover_s)
        serial = f"SN{self.units % 10_000:04d}"
        self.units += 1
        self.plant.devices.torque.workplace.unit = serial
        await self.plant.devices.scanner.scan(serial)
        await asyncio.sleep(self.changeover_s)
        return serial

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Work for the time of a block."""
        self.stopped = False
        async with asyncio.TaskGroup() as group:
            group.create_task(self.run(), name="load")
            try:
                yield
            finally:
                self.stopped = True


@dataclass(frozen=True)
class Held:
    """The records of the one stream in the store, as an auditor reads them."""

    records: list[dict[str, Any]]
    verdict: Verdict

    def kind(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["kind"] == kind]

    def tightenings(self) -> Counter[int]:
        return Counter(int(r["resource"]["id"].rpartition("/")[2]) for r in self.kind("tightening.result"))

    def points(self) -> dict[str, list[tuple[object, object]]]:
        """Return (before, after) of each configured point, in the order of the records."""
        points = defaultdict(list)
        for record in self.kind("parameter.changed"):
            for item in record["changes"]:
                if "/" in record["resource"]["id"] and not item["field"].endswith(".quality"):
                    points[record["resource"]["id"]].append((item["before"], item["after"]))
        return dict(points)


def policy_of(plant: Plant) -> Policy:
    with plant.journal() as journal:
        return Policy(
            origin=journal.identity.stream,
            record_0=journal.record_0_hash,
            log_key=journal.log_vkey,
            gateway_party="the plant",
            attesters=(Attester("the customer", "store", Vkey.parse(str(plant.cosigner().vkey))),),
        )


def held(plant: Plant) -> Held:
    """Read and verify what the store holds."""
    policy = policy_of(plant)
    database = Database(make_url(f"sqlite:///{plant.folder / 'store.db'}"))
    try:
        data = [record.data for record in read_records(database, origin=policy.origin)]
        notes = read_receipts(database, policy.origin)
    finally:
        database.close()
    statements = [Statement(f"receipt {number}", note) for number, note in enumerate(notes)]
    return Held([json.loads(line) for line in data], verify(iter(data), policy=policy, statements=statements))


def journal_verdict(plant: Plant) -> Verdict:
    """Verify the gateway's own journal with the receipts that it keeps."""
    with JournalReader(plant.folder / "journal") as journal:
        statements = [Statement(f"receipt over {size}", note) for size, note in journal.receipts()]
        return verify((data for _, data in journal.records()), policy=policy_of(plant), statements=statements)


@dataclass(frozen=True)
class Account:
    """What was promised to the devices, against what the store has."""

    made: int
    told: int
    lost: list[int]
    duplicated: list[int]
    told_and_lost: list[int]
    broken: list[str]
    holes: list[int]
    changes: int
    meaning: Meaning
    verdict: str

    def check(self) -> "Account":
        """Fail unless every promise was kept."""
        assert not self.lost, self
        assert not self.duplicated, self
        assert not self.told_and_lost, self
        assert not self.broken, self
        assert not self.holes, self
        assert not self.meaning.wrong, self
        assert not self.meaning.unexplained, self
        assert self.verdict == "COMPLETE", self
        return self


def account(plant: Plant, made: set[int]) -> Account:
    """Compare the ledgers of the simulated devices with the store."""
    store = held(plant)
    stored = store.tightenings()
    told = set(plant.devices.torque.acked)
    points = store.points()
    numbers = [record["sequence_no"] for record in store.records]
    return Account(
        made=len(made),
        told=len(told),
        lost=sorted(made - stored.keys()),
        duplicated=sorted(number for number, count in stored.items() if count > 1),
        told_and_lost=sorted(told - stored.keys()),
        broken=[text for point, changes in points.items() for text in _breaks(point, changes)],
        holes=[number for position, number in enumerate(numbers) if number != position],
        changes=sum(map(len, points.values())),
        meaning=meaning_of(store.kind("tightening.result"), plant.devices.torque.made_with),
        verdict="COMPLETE" if _complete(store) else store.verdict.status,
    )


def _complete(store: Held) -> bool:
    """Say whether all is attested but what a stopping gateway wrote of its last receipts, which has none."""
    last = store.records[store.verdict.attested :]
    return store.verdict.status != "BROKEN" and all(r["kind"] == "custody.received" for r in last)


def _breaks(point: str, changes: list[tuple[object, object]]) -> list[str]:
    """Return where a change does not begin at what the one before ended with."""
    found = [] if changes[0][0] is None else [f"{point}: begins with {changes[0]}"]
    for (_, after), (before, new) in itertools.pairwise(changes):
        if before != after or before == new:
            found.append(f"{point}: {after!r}, then {before!r} -> {new!r}")
    return found


async def settle(plant: Plant, made: set[int], *, timeout_s: float = 60.0) -> None:
    """Wait until the store has all that was made, then stop the gateway in order."""

    def arrived() -> bool:
        return made <= held_tightenings(plant)

    await until(
        arrived, lambda: f"{len(made)} tightenings in the store; {said(plant)[-2000:]}", timeout_s=timeout_s
    )
    assert await stopped(plant) == 0, said(plant)


def held_tightenings(plant: Plant) -> set[int]:
    """Return the tightenings in the store, without verifying anything."""
    database = Database(make_url(f"sqlite:///{plant.folder / 'store.db'}"))
    try:
        return {
            int(json.loads(record.data)["resource"]["id"].rpartition("/")[2])
            for record in read_records(database)
            if record.kind == "tightening.result"
        }
    finally:
        database.close()


async def stopped(plant: Plant) -> int:
    """Ask the gateway to stop, and return its exit code; it must not take long."""
    async with asyncio.timeout(20):
        return await plant.gateway.stop()


async def ended(plant: Plant, *, timeout_s: float = 20.0) -> int:
    """Wait until the gateway ends by itself, and return its exit code."""
    try:
        async with asyncio.timeout(timeout_s):
            return await plant.gateway.wait()
    except TimeoutError:
        raise AssertionError(f"the gateway goes on: {said(plant)}") from None


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


async def run(*arguments: object, python: tuple[str, ...] = ("-m", "linewitness"), **named: object) -> Ended:
    """Run one command of `linewitness` to its end; a loaded machine takes its time to start it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *python,
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        **cast(Any, named),
    )
    try:
        async with asyncio.timeout(120):
            out, err = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    return Ended(present(process.returncode), out.decode(), err.decode())
