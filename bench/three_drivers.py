"""How much memory a real gateway takes with an OPC UA server, a Modbus device and a torque controller.

    python bench/three_drivers.py [--rate 5000] [--record telemetry] [--seconds 60]

`linewitness run` with half of the values from each of the first two, at 5 Hz and at 1 Hz, and two tightenings
a second; devices, mosquitto and audit store have processes of their own. Printed are the peak memory of the
gateway and its processor seconds for 100,000 values. Most of the memory is that of the libraries: of 115 MB,
84 are taken when everything is imported.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

import psutil
from generators import Generator, generators
from peak_memory import peak_mib
from whole_line import Plant, plant

from linewitness.base.clock import monotonic
from linewitness.demo.plant import Process, free_port
from linewitness.journal.reader import JournalReader
from linewitness_simulators.torque.server import TorqueSimulator, serve

MODBUS_HZ = 5
TIGHTENINGS_HZ = 2
SHARE = "share: {records_per_s: 1000000, bytes_per_s: 1 GiB}"
LINE = """\
version: 1
line: {{tenant: bench, plant: plant, line: line, gateway: gw, origin: bench.example/plant/line/1}}
journal: {{directory: journal}}
clock: {{chrony: auto}}
uplink: {{url: "mqtt://127.0.0.1:{broker}"}}
store: {{vkey: {vkey}}}
status: {{listen: "127.0.0.1:{status}"}}
stations:
  - {{id: st-10, devices: [wrench-10]}}
devices:
  - {{id: wrench-10, driver: open_protocol, host: 127.0.0.1, port: {torque}, timezone: UTC, start_after: 0}}
  - {{id: oven-3, driver: modbus, host: 127.0.0.1, port: {modbus}, period_ms: {period_ms}, {share}, points: [
      {{id: 'zone-{{n}}', address: 0..{registers}, type: uint16, record: {record}}}]}}
  - id: press-4
    driver: opcua
    endpoint: opc.tcp://127.0.0.1:{opcua}
    {share}
    points:
"""


def written(running: Plant, ports: dict[str, int], rate: int, record: str) -> None:
    """Write the line's YAML into the plant's folder."""
    text = LINE.format(
        broker=running.port,
        status=free_port(),
        vkey=running.store_vkey,
        period_ms=1000 // MODBUS_HZ,
        registers=rate // 2 // MODBUS_HZ - 1,
        record=record,
        share=SHARE,
        **ports,
    )
    nodes = "".join(
        f"      - {{id: p{n}, node: 'ns=2;s=p{n}', record: {record}}}\n" for n in range(rate // 2)
    )
    (running.folder / "line.yaml").write_text(text + nodes, encoding="utf-8")


async def work(devices: tuple[Generator, Generator], torque: TorqueSimulator, seconds: float) -> int:
    """Let all devices work for a time; return how many values they had."""
    opcua, modbus = devices
    opcua.go(1)
    modbus.go(MODBUS_HZ)
    begun, tightened = monotonic(), 0
    while (passed := monotonic() - begun) < seconds:
        while tightened < passed * TIGHTENINGS_HZ:
            torque.tighten()
            tightened += 1
        await asyncio.sleep(0.1)
    return tightened


async def measure(rate: int, record: str, seconds: float, folder: Path) -> None:
    with generators(rate // 2, rate // 2) as devices:
        async with plant(folder) as running, serve() as torque:
            opcua, modbus = devices
            ports = {"opcua": opcua.port, "modbus": modbus.port, "torque": torque.port}
            written(running, ports, rate, record)
            line = Process("gateway", folder, "run", "line.yaml")
            await line.start()
            try:
                async with asyncio.timeout(60):
                    while line.log.read_text().count("device connected") < len(ports):
                        if not line.running:
                            raise SystemExit(line.log.read_text())
                        await asyncio.sleep(0.1)
                process = psutil.Process(line.pid)
                cpu_s = sum(process.cpu_times()[:2])
                tightened = await work(devices, torque, seconds)
                cpu_s = sum(process.cpu_times()[:2]) - cpu_s
                polls = max(modbus.stop().values(), default=0)
                changes = opcua.stop()["ticks"]
                peak_mb = peak_mib(line.pid) * 1.048576
            finally:
                await line.stop()
    with JournalReader(folder / "journal") as reader:
        records = reader.size()
    values = polls * (rate // 2 // MODBUS_HZ) + changes * (rate // 2) + tightened
    print(
        f"{values / seconds:,.0f} values a second ({record}) of three drivers for {seconds:g} s, "
        f"{records:,} records: peak memory of the gateway {peak_mb:.0f} MB, "
        f"{cpu_s / values * 1e5:.2f} CPU s per 100,000"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rate", type=int, default=5000, help="values a second")
    parser.add_argument("--record", choices=["telemetry", "change"], default="telemetry")
    parser.add_argument("--seconds", type=float, default=60)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(chosen.rate, chosen.record, chosen.seconds, Path(folder)))


if __name__ == "__main__":
    main()
