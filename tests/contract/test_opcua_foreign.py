"""The OPC UA driver against a server that we did not write: node-opcua, pinned in foreign/node_opcua."""

import base64
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest

from linewitness.base.clock import NS_PER_S, from_datetime
from linewitness.base.errors import DeviceRefused, DeviceUnavailable
from linewitness.devices.base import Gap, Notice, Reading, Result, Signals
from linewitness.devices.opcua.driver import OpcUaDriver as Driver
from linewitness.devices.opcua.look.browse import browse
from linewitness.devices.opcua.look.probe import offers, probe
from linewitness.devices.opcua.options import ServerOptions
from support.node_opcua import foreign, node_opcua
from support.opcua_rig import (
    CLOCK,
    Memory,
    client_files,
    listening,
    listening_again,
    of_type,
    options,
    reading,
)
from support.present import present


@pytest.fixture(scope="session")
def packages() -> Path:
    """The pinned packages; where they cannot be installed the tests fail and say so."""
    return node_opcua()


def point(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name.lower(), "node": f"nsu=urn:foreign:press;s=Press.{name}", **more}


async def test_changes_telemetry_arrays_and_structures(packages: Path, tmp_path: Path) -> None:
    async with foreign(packages, tmp_path) as server:
        settings = options(
            server.url,
            *(point(name) for name in ("Holding", "Temperature", "Limits", "Recipe", "Serial")),
            *(point(f"Signal{number}", record="telemetry") for number in range(20)),
        )
        async with listening(settings) as ear:
            first: dict[Any, Any] = {}
            while len(first) < 5:
                found = await ear.first(of_type(Reading))
                first[found.point] = found.value
            assert first == {
                "holding": "125",
                "temperature": "12.3",
                "limits": {"[0]": "40", "[1]": "60"},
                "recipe": {
                    "Name": "bush",
                    "Steps[0]": "1",
                    "Steps[1]": "2",
                    "Steps[2]": "3",
                    "Force.Low": "1.5",
                    "Force.High": "2.5",
                    "Hold": "250",
                },
                "serial": "SN-1",
            }
            await server.set("Holding", 131.7)
            changed = await ear.first(reading("holding", "131.7"))
            assert changed.when.occurred_from == "device"
            await server.ask(recipe="bush", high=3.3)
            await ear.first(
                lambda one: (
                    isinstance(one, Reading)
                    and one.point == "recipe"
                    and cast(Any, one.value)["Force.High"] == "3.3"
                )
            )
            assert ear.session.identity["product"]
            told = {name for one in ear.heard if isinstance(one, Signals) for name in one.points}
            while len(told) < 20:
                told |= set((await ear.first(of_type(Signals))).points)


async def test_bad_status_and_wrong_node(packages: Path, tmp_path: Path) -> None:
    async with (
        foreign(packages, tmp_path) as server,
        listening(options(server.url, point("Nowhere"), point("Holding"))) as ear,
    ):
        assert "BadNodeIdUnknown" in (await ear.first(of_type(Gap))).reason
        await ear.first(reading("holding", "125"))
        await server.set("Holding", 1, status="BadSensorFailure")
        bad = await ear.first(lambda one: getattr(one, "status", "Good") != "Good")
        assert (bad.status, bad.quality.value) == ("BadSensorFailure", "bad")


@pytest.mark.parametrize("policy", ["basic256sha256", "aes128_sha256_rsaoaep", "aes256_sha256_rsapss"])
@pytest.mark.parametrize("mode", ["sign", "sign_and_encrypt"])
async def test_each_policy_with_user_and_pinned_certificate(
    packages: Path, tmp_path: Path, policy: str, mode: str
) -> None:
    (tmp_path / "password").write_text("secret\n")
    async with foreign(packages, tmp_path) as server:
        pinned = tmp_path / "server.der"
        pinned.write_bytes(base64.b64decode(await server.ask(certificate=True)))
        settings = options(
            server.url,
            point("Holding"),
            security={"policy": policy, "mode": mode, **client_files(tmp_path), "server_certificate": pinned},
            user={"name": "anna", "password": {"file": tmp_path / "password"}},
        )
        async with listening(settings) as ear:
            await ear.first(reading("holding", "125"))
        (tmp_path / "password").write_text("wrong\n")
        with pytest.raises(DeviceRefused, match="password"):
            async with listening(settings):
                pass


async def test_server_that_does_not_know_our_certificate_refuses(packages: Path, tmp_path: Path) -> None:
    async with foreign(packages, tmp_path, accept_all=False) as server:
        pinned = tmp_path / "server.der"
        pinned.write_bytes(base64.b64decode(await server.ask(certificate=True)))
        security = {"policy": "basic256sha256", **client_files(tmp_path), "server_certificate": pinned}
        with pytest.raises(DeviceRefused, match=r"secure channel.*trust our certificate"):
            async with listening(options(server.url, point("Holding"), security=security)):
                pass


async def test_outage_is_filled_from_history(packages: Path, tmp_path: Path) -> None:
    async with foreign(packages, tmp_path) as server:
        settings, memory = options(server.url, point("Holding")), Memory()
        async with listening(settings, memory) as ear:
            await ear.first(reading("holding", "125"))
        for number in (101, 102, 103):
            await server.set("Holding", number)
        async with listening(settings, memory) as ear:
            await ear.first(reading("holding", "103"))
            await server.set("Holding", 104)
            await ear.first(reading("holding", "104"))
            assert [(one.value, one.backfilled) for one in ear.heard if isinstance(one, Reading)] == [
                ("101", True),
                ("102", True),
                ("103", True),
                ("104", False),
            ]


async def test_result_and_handshake(packages: Path, tmp_path: Path) -> None:
    result = {
        "fields": [{"id": "temperature", "node": "nsu=urn:foreign:press;s=Press.Temperature"}],
        "identifier": "nsu=urn:foreign:press;s=Press.Serial",
        "handshake": {"node": "nsu=urn:foreign:press;s=Press.Ack", "value": "trigger"},
    }
    async with foreign(packages, tmp_path) as server:
        settings = options(server.url, point("Count", record="result", result=result))
        async with listening(settings) as ear:
            await ear.next()
            await server.set("Count", 1)
            found = await ear.first(of_type(Result))
            assert (found.identifier, found.measured[0].value) == ("SN-1", "12.3")
            await ear.session.confirm(found)
            assert await server.ask(get="Ack") == 1


async def test_alarm_is_raised_and_cleared(packages: Path, tmp_path: Path) -> None:
    async with foreign(packages, tmp_path) as server:
        alarms = {"id": "alarms", "node": "i=2253", "record": "alarm"}
        async with listening(options(server.url, alarms, point("Temperature"))) as ear:
            await ear.first(reading("temperature"))
            await server.set("Temperature", 75)
            raised = await ear.first(of_type(Notice))
            assert raised.kind == "alarm.raised"
            await server.set("Temperature", 20)
            cleared = await ear.first(lambda one: getattr(one, "kind", "") == "alarm.cleared")
            assert cleared.resource_id == raised.resource_id


async def test_all_points_live_again_after_a_restart_and_no_session_is_left(
    packages: Path, tmp_path: Path
) -> None:
    async with foreign(packages, tmp_path) as server:
        driver, memory = Driver(options(server.url, point("Holding"), point("Serial")), clock=CLOCK), Memory()
        for _ in range(3):
            async with listening_again(driver, memory) as ear:
                await ear.first(reading("holding"))
                assert await server.ask(sessions=True) == 1
        port = int(server.url.rpartition(":")[2])
        async with listening_again(driver, memory) as ear:
            await ear.first(reading("holding"))
            server._process.kill()
            with pytest.raises(DeviceUnavailable):
                await ear.end()
    async with foreign(packages, tmp_path, port=port) as server, listening_again(driver, memory) as ear:
        await ear.first(reading("serial", "SN-1"))
        await server.set("Holding", 140)
        await ear.first(reading("holding", "140"))


async def test_browse_probe_and_offers(packages: Path, tmp_path: Path) -> None:
    async with foreign(packages, tmp_path) as server:
        where = ServerOptions(endpoint=server.url)
        found = {one.path[-1]: one for one in await browse(where, clock=CLOCK, pattern="Press/")}
        assert found["Holding"].node == "nsu=urn:foreign:press;s=Press.Holding"
        assert found["Holding"].historic
        assert len([name for name in found if name.startswith("Signal")]) == 20
        report = await probe(where, ["nsu=urn:foreign:press;s=Press.Holding"], clock=CLOCK)
        assert report.readings[0].value == "125"
        assert abs(present(report.clock_offset_ms)) < 1000
        # It sends picoseconds, which put this time into the year 9999 where they are misread.
        server_time = datetime.fromisoformat(present(report.readings[0].server_time))
        assert abs(CLOCK.stamp().realtime_ns - from_datetime(server_time)) < 300 * NS_PER_S
        assert {one.policy for one in await offers(server.url)} >= {"None", "Basic256Sha256"}
