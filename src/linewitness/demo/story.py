"""Run the demo step by step, and check its result."""

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from linewitness.base.clock import monotonic
from linewitness.base.errors import ExitCode, LinewitnessError
from linewitness.demo.ledger import Comparison, compare
from linewitness.demo.outsider import alter_one_byte, verdict_on_journal, verdict_on_store
from linewitness.demo.plant import DemoFailed, Plant, open_plant
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.policy.policy import Attester, Policy
from linewitness.evidence.verify.verdict import Verdict
from linewitness.journal.reader import JournalReader

FOLDER: Final = Path("demo-run")
PER_UNIT: Final = 4
OUTAGE_S: Final = 10.0
STEP_S: Final = 0.25
#: What a reader sends right after connecting may be an old code, so the driver binds nothing to it.
READER_SETTLES_S: Final = 1.0
WAIT_S: Final = 45.0


@dataclass(slots=True)
class Facts:
    """What happened, as the demo saw it."""

    made: dict[int, str] = field(default_factory=dict)
    units: int = 0
    outages_s: list[float] = field(default_factory=list)
    kills: int = 0
    polls_in_outage: int = 0
    refused: int = 0
    overridden: int = 0


class Story:
    """The demo's steps, one method each."""

    def __init__(self, plant: Plant, console: Console) -> None:
        """Take the plant and where to tell of it."""
        self._plant = plant
        self._console = console
        self._facts = Facts()

    async def run(self) -> bool:
        """Run all acts; return whether everything that was promised came true."""
        await self._prepare()
        await self._ordinary_work()
        enforced = await self._enforced_work()
        await self._outage()
        await self._crash()
        comparison = await self._settle()
        verdict = self._verify()
        forged = self._forge()
        self._figures(comparison, verdict)
        return comparison.clean and verdict.status == "COMPLETE" and forged and enforced

    async def _prepare(self) -> None:
        plant = self._plant
        self._act("A line is set up")
        self._say(
            f"Four simulated devices, one broker ({plant.broker.name}), everything in {plant.folder.name}/."
        )
        await plant.enroll()
        with plant.journal() as journal:
            self._say(f"The gateway's stream begins with record 0: {journal.record_0_hash[:23]}…")
        await plant.store.start()
        await plant.gateway.start()
        await self._connected()

    async def _ordinary_work(self) -> None:
        self._act("Units are built")
        await self._build(3)
        await self._plant.devices.press.set("Holding", 131.5)
        self._plant.devices.oven.oven.inputs.set_points[0] = 1820
        self._say("Each unit is scanned and gets four tightenings. Somebody changes a pressure and an oven.")
        self._say("The torque controller was told 'safe' for each result only after it was on the disk.")

    async def _enforced_work(self) -> bool:
        self._act("A wrong part is refused, and a locked tool is let go on with a reason")
        plant, torque = self._plant, self._plant.devices.torque
        await self._scan("OP7")
        await self._arrive(bearing=self._bearing)  # the one of the unit before
        await self._scan(f"BRG-7-{self._facts.units:04d}")
        self._facts.made[torque.tighten(ok=False)] = self._serial
        await self._wait_for("the lock of the tool", lambda: not torque.controller.state.tool_enabled)
        self._say("The bearing of the unit before was refused: a serial number is in one unit at a time.")
        self._say("A tightening was out of tolerance: the gate locked the tool.")
        await self._scan("PASS-R1")
        await self._wait_for("the tool", lambda: torque.controller.state.tool_enabled)
        for _ in range(PER_UNIT):
            await self._tighten()
        await self._scan("OP7")
        with plant.journal() as journal:
            kinds = [json.loads(data)["kind"] for _, data in journal.records()]
        self._facts.refused = kinds.count("component.refused")
        self._facts.overridden = kinds.count("gate.overridden")
        self._say("Operator OP7 let the unit go on; the record says who, why, and what was wrong.")
        return (self._facts.refused, self._facts.overridden) == (1, 1)

    async def _outage(self) -> None:
        self._act(f"The broker goes away for {OUTAGE_S:.0f} seconds")
        plant = self._plant
        await plant.broker.stop()
        began, polled = monotonic(), plant.devices.oven.served
        while monotonic() - began < OUTAGE_S:
            await self._build(1)
        polls = plant.devices.oven.served - polled
        await plant.broker.start()
        self._facts.outages_s.append(monotonic() - began)
        self._facts.polls_in_outage = polls
        self._say(
            f"Work went on, and so did the gateway: {polls} polls of the oven meanwhile, results confirmed."
        )

    async def _crash(self) -> None:
        self._act("The gateway is killed (SIGKILL) in the middle of a tightening")
        plant = self._plant
        await self._build(1)
        await self._arrive()
        await self._tighten()
        await plant.gateway.kill()
        began = monotonic()
        self._facts.kills += 1
        for _ in range(PER_UNIT - 1):
            await self._tighten()
        self._say("The tool goes on without it; the controller keeps what nobody confirmed.")
        await plant.gateway.start()
        await self._connected()
        self._facts.outages_s.append(monotonic() - began)
        await self._build(2)
        self._say("Started again, the gateway fetched what it had missed from the controller's memory.")

    async def _settle(self) -> Comparison:
        self._act("Everything reaches the audit store")
        plant = self._plant
        made = self._facts.made
        deadline = monotonic() + WAIT_S
        comparison = compare(made, plant.folder / "store.db")
        while comparison.lost and monotonic() < deadline:
            await asyncio.sleep(0.2)
            comparison = compare(made, plant.folder / "store.db")
        code = await plant.gateway.stop()
        self._say(f"{comparison.stored} of {comparison.made} tightenings are in the store.")
        self._say(f"The gateway was asked to stop and ended with {code}.")
        return comparison

    def _verify(self) -> Verdict:
        self._act("An outsider verifies")
        with self._plant.journal() as journal:
            policy = self._policy(journal)
        verdict = verdict_on_store(self._plant.folder / "store.db", policy)
        self._say("Given what the store holds, and a policy that names the store's key, the verdict is")
        self._say(f"  {verdict.text}.")
        return verdict

    def _forge(self) -> bool:
        self._act("Somebody alters one byte in a copy of the journal")
        copy = self._plant.folder / "forged"
        shutil.copytree(self._plant.folder / "journal", copy)
        number = alter_one_byte(copy / "journal.sqlite")
        with JournalReader(copy) as journal:
            verdict = verdict_on_journal(journal, self._policy(journal))
        self._say(f"The byte is in record {number}. The verdict: {verdict.text}.")
        return verdict.status == "BROKEN" and verdict.broken_at == number

    def _policy(self, journal: JournalReader) -> Policy:
        attester = Attester("the customer", "store", Vkey.parse(str(self._plant.cosigner().vkey)))
        return Policy(
            origin=journal.identity.stream,
            record_0=journal.record_0_hash,
            log_key=journal.log_vkey,
            gateway_party="the plant",
            attesters=(attester,),
        )

    def _figures(self, comparison: Comparison, verdict: Verdict) -> None:
        table = Table(title="What was promised, and what came of it", title_justify="left")
        table.add_column("figure")
        table.add_column("value", justify="right")
        rows = (
            ("units built", self._facts.units),
            ("components refused", self._facts.refused),
            ("overrides, with person and reason", self._facts.overridden),
            ("tightenings made by the controller", comparison.made),
            ("tightenings in the audit store", comparison.stored),
            ("lost", len(comparison.lost)),
            ("duplicated", len(comparison.duplicated)),
            ("with another unit or none", len(comparison.misbound)),
            ("gateway killed", self._facts.kills),
            ("longest outage", f"{max(self._facts.outages_s):.1f} s"),
            ("polls of the oven during the broker's outage", self._facts.polls_in_outage),
            ("records in the chain", verdict.size),
            ("verdict", verdict.status),
        )
        for name, value in rows:
            table.add_row(name, str(value))
        self._console.print()
        self._console.print(table)

    async def _build(self, units: int) -> None:
        for _ in range(units):
            await self._arrive()
            for _ in range(PER_UNIT):
                await self._tighten()

    async def _arrive(self, bearing: str | None = None) -> None:
        """Let the next unit come: its code and its bearing's are read, the controller is told its number."""
        self._facts.units += 1
        self._plant.devices.torque.set_vin(self._serial)
        await self._scan(self._serial)
        await self._scan(bearing or self._bearing)

    async def _scan(self, code: str) -> None:
        await self._plant.devices.scanner.scan(code)
        await asyncio.sleep(STEP_S)

    @property
    def _bearing(self) -> str:
        return f"BRG-7-{self._facts.units:04d}"

    async def _tighten(self) -> None:
        self._facts.made[self._plant.devices.torque.tighten()] = self._serial
        await asyncio.sleep(STEP_S)

    @property
    def _serial(self) -> str:
        return f"SN{self._facts.units:04d}"

    async def _connected(self) -> None:
        """Wait until the gateway listens to the tool and trusts the reader's codes to be new."""
        devices = self._plant.devices
        await self._wait_for("the tool", lambda: devices.torque.subscribed() > 0)
        await self._wait_for("the reader", lambda: devices.scanner.clients > 0)
        await asyncio.sleep(READER_SETTLES_S)

    async def _wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = monotonic() + WAIT_S
        while not condition():
            if monotonic() > deadline:
                raise DemoFailed(f"waited {WAIT_S:.0f} s for {what}", hint=f"see {FOLDER}/gateway.log")
            await asyncio.sleep(0.05)

    def _act(self, title: str) -> None:
        self._console.print(f"\n[bold]{title}[/bold]")

    def _say(self, text: str) -> None:
        self._console.print(f"  {text}", soft_wrap=True, highlight=False)


def run_demo(*, mosquitto: bool | None = None) -> ExitCode:
    """Run the demo in the folder `demo-run`; 0 only if all of it came true."""
    console = Console()
    return ExitCode.OK if asyncio.run(_run(console, mosquitto=mosquitto)) else ExitCode.BROKEN


async def _run(console: Console, *, mosquitto: bool | None) -> bool:
    try:
        async with open_plant(FOLDER.resolve(), mosquitto=mosquitto) as plant:
            true = await Story(plant, console).run()
    except LinewitnessError as error:
        console.print(f"\nThe demo failed: {error}", style="red", soft_wrap=True)
        return False
    console.print("\nAll of it came true." if true else "\nNot all of it came true: see above and demo-run/.")
    return true
