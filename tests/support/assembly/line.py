"""The line: kitting, bolting and test with gates, its lists, its simulated devices and its real processes."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any, Final, cast

from linewitness.demo.broker import Mosquitto
from linewitness.demo.plant import STORE_NAME, Plant, free_port
from linewitness_simulators.oven.device import OvenInputs
from linewitness_simulators.oven.server import OvenServerOptions, RunningOvens
from linewitness_simulators.oven.server import serve as serve_plc
from linewitness_simulators.scanner.server import RunningScanner, ScannerSimulation
from linewitness_simulators.scanner.server import serve as serve_reader
from linewitness_simulators.torque import Tool, TorqueOptions
from linewitness_simulators.torque import serve as serve_wrench
from linewitness_simulators.torque.server import TorqueSimulator
from linewitness_simulators.workplace import MadeWith
from support.lines import prepare
from support.present import present

STATIONS: Final = ("kitting", "bolting", "test")
GTIN: Final = "04012345000016"
GOOD_TOOL: Final = Tool(serial="WR000001")
DUE_TOOL: Final = Tool(serial="WR000002")
#: Good bolts that a unit of each product needs.
BOLTS: Final[Mapping[str, int]] = {"A": 2, "B": 3}
#: Nobody walks from one station to another in less time.
WALK_S: Final = 3
#: What of the glue a unit takes.
PORTION: Final = 0.5

_YAML: Final = r"""
version: 1
line: {{tenant: acme, plant: ber-01, line: line-07, gateway: gw-07, origin: acme.example/ber-01/line-07/1}}
journal: {{directory: journal}}
status: {{listen: "127.0.0.1:{page}"}}
uplink: {{url: "mqtt://127.0.0.1:{broker}"}}
store: {{vkey: store.demo.example+af2add38+BMkzGYD25lzCqldM5FG44mXDTFMW14TNvrzAd3lV0hRW}}
lists:
  lots: {{file: lists/lots.csv, only_listed: true}}
  calibrations: {{file: lists/calibrations.csv}}
  qualifications: {{file: lists/qualifications.csv}}
  routes: {{file: lists/routes.csv}}
stations:
  - id: kitting
    devices: [reader-kitting, plc-kitting]
    {people}
    unit: {{scanner: reader-kitting, pattern: "SN(?P<product>[AB])[0-9]{{4}}"}}
    operator: {{scanner: reader-kitting, pattern: "OP[0-9]+", needed: qualified}}
    gate: {{device: plc-kitting, {gate}}}
    requires:
      - {{id: glue, kind: component, part: GLUE, source: loaded, quantity: {portion},
         pattern: "GLUE-(?P<lot>[A-Z0-9]+)/(?P<quantity>[0-9.]+)"}}
      - {{id: board-a, kind: component, part: PCB-A, when: {{product: [A]}},
         pattern: "(?P<part>PCB-[AB])-(?P<serial>[0-9]+)"}}
      - {{id: board-b, kind: component, part: PCB-B, when: {{product: [B]}},
         pattern: "(?P<part>PCB-[AB])-(?P<serial>[0-9]+)"}}
      - {{id: valve, kind: component, part: V7, gtin: "{gtin}", after: [board-a, board-b]}}
      - {{id: inspected, kind: sign_off, meaning: kit is complete and clean, code: SIGN-KIT,
         second_person: true, after: [glue, valve]}}
  - id: bolting
    devices: [reader-bolting, wrench, plc-bolting]
    {people}
    route: true
    unit: {{scanner: reader-bolting, pattern: "SN(?P<product>[AB])[0-9]{{4}}"}}
    operator: {{scanner: reader-bolting, pattern: "OP[0-9]+", needed: qualified, walk_s: {walk_s}}}
    gate: {{device: plc-bolting, {gate}}}
    tools: {{calibration: list}}
    requires:
      - {{id: kitted, kind: after, station: kitting}}
      - {{id: bolts-a, device: wrench, count: 2, when: {{product: [A]}}, after: [kitted]}}
      - {{id: bolts-b, device: wrench, count: 3, when: {{product: [B]}}, after: [kitted]}}
      - {{id: settled, kind: wait, at_least_s: 0.5}}
  - id: test
    devices: [reader-test, screwdriver, plc-test]
    {people}
    route: true
    unit: {{scanner: reader-test, pattern: "SN(?P<product>[AB])[0-9]{{4}}"}}
    operator: {{scanner: reader-test, pattern: "OP[0-9]+", needed: qualified, walk_s: {walk_s}}}
    gate: {{device: plc-test, {gate}}}
    requires:
      - {{id: bolted, kind: after}}
      - {{id: tape, kind: component, part: TAPE, source: loaded, pattern: "TAPE-(?P<lot>[A-Z0-9]+)"}}
      - {{id: cover, device: screwdriver, count: 1}}
      - {{id: tight, kind: check, point: plc-test/tight, value: "true"}}
      - {{id: pressed, kind: condition, point: plc-test/pressure, low: 100, high: 150, for_s: 0.3}}
      - {{id: released, kind: sign_off, meaning: test passed, code: SIGN-TEST,
         after: [tight, pressed, cover]}}
devices:
  - {{id: reader-kitting, driver: scanner, host: 127.0.0.1, port: {kitting}, {reader}}}
  - {{id: reader-bolting, driver: scanner, host: 127.0.0.1, port: {bolting}, {reader}}}
  - {{id: reader-test, driver: scanner, host: 127.0.0.1, port: {test}, {reader}}}
  - {{id: wrench, driver: open_protocol, host: 127.0.0.1, port: {wrench_bolting}, {controller}}}
  - {{id: screwdriver, driver: open_protocol, host: 127.0.0.1, port: {wrench_test}, {controller}}}
  - {{id: plc-kitting, {plc}, port: {plc_kitting}, points: [{hold}]}}
  - {{id: plc-bolting, {plc}, port: {plc_bolting}, points: [{hold}]}}
  - id: plc-test
    {plc_lines}
    port: {plc_test}
    points:
      - {hold}
      - {{id: tight, record: change, table: coil, address: 0}}
      - {{id: pressure, record: change, address: 1, type: int16}}
"""
_FIXED: Final = {
    "people": (
        'codes: {remove: "REMOVE-(?P<reason>[A-Z0-9]+)", scrap: "SCRAP-(?P<reason>[A-Z0-9]+)"}\n'
        "    reasons: {codes: {R1: solder joint cracked, R2: housing cracked, R3: deviation 4711 granted}}"
    ),
    "gate": (
        'point: hold, closed: "true", opened: "false", hold: [missing], '
        'pass_code: "PASS-(?P<reason>[A-Z0-9]+)"'
    ),
    "reader": "settle_ms: 0, duplicate_s: 0.3",
    "controller": "timezone: UTC, start_after: 0, back_fill_per_s: 50",
    "walk_s": WALK_S,
    "plc": "driver: modbus, host: 127.0.0.1, period_ms: 50",
    "plc_lines": "driver: modbus\n    host: 127.0.0.1\n    period_ms: 50",
    "hold": "{id: hold, record: change, table: coil, address: 1}",
    "portion": PORTION,
    "gtin": GTIN,
}
_LISTS: Final = {
    "lots": "part,lot,status,reason,expiry,supplier\n"
    + "".join(f"GLUE,L{number:03d},released,,2099-12-31,Schmidt\n" for number in range(1000))
    + "".join(f"TAPE,T{number:03d},released,,,\n" for number in range(1000))
    + "V7,V1,released,,,Meyer\nV7,V2,released,,,Meyer\nV7,V9,blocked,crack in the seat,,Meyer\n"
    + "GLUE,L999X,blocked,wrong mixture,,Schmidt\nTAPE,T999X,released,,2020-01-31,\n",
    "calibrations": f"tool,due\n{GOOD_TOOL.serial},2099-06-30\n{DUE_TOOL.serial},2020-01-15\n",
    "qualifications": "person,station,until\nOP1,*,2099-12-31\nOP2,bolting,2099-12-31\n"
    "OP3,test,2099-12-31\nOP4,*,2099-12-31\nOP9,kitting,2020-12-31\n",
    "routes": "product,stations\nA,kitting > bolting > test\nB,kitting > bolting > test\n",
}


class StopInputs(OvenInputs):
    """What was written to a station's PLC, which notices each time that its stop is closed."""

    closings = 0

    def __setattr__(self, name: str, value: object) -> None:
        if name == "fan" and value:
            object.__setattr__(self, "closings", self.closings + 1)
        object.__setattr__(self, name, value)


@dataclass(frozen=True)
class AssemblyLine:
    """The devices in this process, and the processes of gateway, broker and store."""

    plant: Plant
    readers: Mapping[str, RunningScanner]
    plcs: Mapping[str, RunningOvens]
    wrenches: Mapping[str, TorqueSimulator]
    page: int

    def holds(self, station: str) -> bool:
        """Return whether the PLC of a station was told to hold what stands there."""
        return self.plcs[station].oven.inputs.fan

    @property
    def made_with(self) -> Mapping[int, MadeWith]:
        """Return what each tightening was really made with, by its id; no two controllers share one."""
        return {number: made for each in self.wrenches.values() for number, made in each.made_with.items()}

    def closings(self, station: str) -> int:
        """Return how often it was told so."""
        inputs = self.plcs[station].oven.inputs
        assert isinstance(inputs, StopInputs)
        return inputs.closings


@asynccontextmanager
async def assembly_line(folder: Path) -> AsyncIterator[AssemblyLine]:
    """Start devices and broker and enroll the gateway; gateway and store do not run yet."""
    place = folder / "plant"
    (place / "lists").mkdir(parents=True)
    for name, text in _LISTS.items():
        (place / "lists" / f"{name}.csv").write_text(text)
    async with AsyncExitStack() as stack:
        broker = Mosquitto(place, free_port(), Path(present(which("mosquitto", path="/usr/sbin:/usr/bin"))))
        stack.push_async_callback(broker.stop)
        await broker.start()
        enter = stack.enter_async_context
        readers = {name: await enter(serve_reader(ScannerSimulation())) for name in STATIONS}
        plcs = {name: await enter(serve_plc(OvenServerOptions(cycle_s=1e9))) for name in STATIONS}
        for plc in plcs.values():
            plc.oven.inputs = StopInputs()
        wrenches = {name: await enter(serve_wrench(each)) for name, each in _controllers(place).items()}
        plant = Plant(place, cast(Any, None), broker)
        page = free_port()
        ports = {name: reader.port for name, reader in readers.items()}
        ports |= {f"plc_{name}": plc.port for name, plc in plcs.items()}
        ports |= {f"wrench_{name}": wrench.port for name, wrench in wrenches.items()}
        ports |= {"broker": broker.port, "page": page}
        plant.line_file.write_text(_YAML.format(**ports, **_FIXED))
        plant.store_file.write_text(
            f"database: sqlite:///store.db\nname: {STORE_NAME}\nkey: {{file: store.key}}\n"
            f"mqtt: {{url: mqtt://127.0.0.1:{broker.port}}}\n"
        )
        await plant.enroll(prepare)
        stack.push_async_callback(plant.store.stop)
        stack.push_async_callback(plant.gateway.kill)
        yield AssemblyLine(plant, readers, plcs, wrenches, page)


def _controllers(folder: Path) -> Mapping[str, TorqueOptions]:
    """Return the controllers of the line; their ids differ, so that an id alone names a result."""
    return {
        name: TorqueOptions(tool=GOOD_TOOL, state=folder / f"{name}.db", first_id=first)
        for name, first in (("bolting", 1), ("test", 1_000_001))
    }
