"""A whole line with a screen beside the work: what the reader reads is there, and a stop waits for nobody."""

import asyncio
from pathlib import Path

import pytest

from linewitness.base.clock import Stamp
from linewitness.config import load
from linewitness.gateway import fleet
from linewitness.gateway.app import create_stream, run_line
from linewitness.gateway.screens import feed
from linewitness.stations.station import Station
from linewitness.stations.view import StationView
from linewitness.status.stations import event_stream
from linewitness_simulators.scanner.server import ScannerSimulation
from linewitness_simulators.scanner.server import serve as serve_scanner
from support.journals import members_of
from support.screens import WAIT_S, Viewer, free_port
from support.waiting import until

YAML = """\
version: 1
line: {{tenant: acme, plant: ber-01, line: line-02, gateway: gw-02, origin: acme.example/ber-01/line-02/1}}
journal: {{directory: journal}}
status: {{listen: "127.0.0.1:{page}"}}
stations:
  - {{id: st-10, name: Bolting, devices: [reader-10], unit: {{scanner: reader-10, pattern: 'SN\\d+'}}}}
devices:
  - {{id: reader-10, driver: scanner, host: 127.0.0.1, port: {reader}, settle_ms: 0}}
"""


class PicturedStation(Station):
    """A station with a picture of its unit."""

    def view(self, now: Stamp) -> StationView:
        return StationView(station="st-10", unit=self.unit)


async def connected(port: int) -> Viewer:
    """Return a viewer of the line's station as soon as there is one."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                viewer = Viewer(*await asyncio.open_connection("127.0.0.1", port))
                if (await viewer.begin("/station/st-10/events")).startswith("HTTP/1.1 200"):
                    return viewer
            except OSError:
                await asyncio.sleep(0.05)
                continue
            await viewer.close()


@pytest.mark.filterwarnings(r"ignore:unclosed <socket.socket fd=\d+, family=1,:ResourceWarning")
async def test_it_is_the_commit_that_changes_the_screen_and_no_timer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks for news, and no beat is sent, for longer than the test may take: pictures come."""
    monkeypatch.setattr(feed, "LOOK_S", 100 * WAIT_S)
    monkeypatch.setattr(event_stream, "BEAT_S", 100 * WAIT_S)
    port, stop = free_port(), asyncio.Event()
    async with serve_scanner(ScannerSimulation()) as reader:
        file = tmp_path / "line.yaml"
        file.write_text(YAML.format(page=port, reader=reader.port))
        config = load(file)
        create_stream(config)
        async with asyncio.TaskGroup() as group:
            group.create_task(run_line(config, stop))
            viewer = await connected(port)
            await until(lambda: reader.clients)
            for serial in ("SN0001", "SN0002", "SN0003"):
                await reader.scan(serial)
                while f">{serial}<" not in (await viewer.event()).data:
                    pass
                entered = [
                    each for each in members_of(tmp_path / "journal") if each["kind"] == "unit.entered"
                ]
                assert entered[-1]["resource"]["parent"]["id"] == serial
            stop.set()
        await viewer.close()


# The library that talks to systemd leaves its own socket (family 1) open where there is no systemd.
@pytest.mark.filterwarnings(r"ignore:unclosed <socket.socket fd=\d+, family=1,:ResourceWarning")
async def test_a_unit_is_on_the_screen_after_its_record_and_the_stop_waits_for_no_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fleet, "Station", PicturedStation)
    port, stop = free_port(), asyncio.Event()
    async with serve_scanner(ScannerSimulation()) as reader:
        file = tmp_path / "line.yaml"
        file.write_text(YAML.format(page=port, reader=reader.port))
        config = load(file)
        create_stream(config)
        async with asyncio.TaskGroup() as group:
            group.create_task(run_line(config, stop))
            viewers = [await connected(port) for _ in range(3)]
            await until(lambda: reader.clients)
            await reader.scan("SN0001")
            for viewer in viewers:
                while ">SN0001<" not in (await viewer.event()).data:
                    pass
            kinds = [record["kind"] for record in members_of(tmp_path / "journal")]
            assert "unit.entered" in kinds
            stop.set()
        for viewer in viewers:
            await viewer.close()
    # The server would give open answers a second, and log an error when it had to cancel them.
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
