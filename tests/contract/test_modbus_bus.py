"""Devices that share a bus or gateway, and the other ways to reach one: serial, RTU over TCP, TLS."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadCoilsResponse

from linewitness.base.clock import SystemClock, monotonic
from linewitness.base.errors import DeviceRefused, DeviceUnavailable
from linewitness.devices.base import Reading
from linewitness.devices.modbus.driver import ModbusDriver
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.wire import bus
from linewitness.devices.modbus.wire.bus import Buses
from linewitness.devices.modbus.wire.link import ModbusLink
from linewitness_simulators.oven.server import OvenServerOptions, serve, serve_serial
from support.one_by_one import one_by_one
from support.waiting import until

POINTS = [
    {"id": "set-point", "record": "change", "address": 1, "type": "int16", "scale": "0.1"},
    {"id": "batch", "record": "change", "address": 10, "type": "string", "length": 20},
    {"id": "door", "record": "change", "table": "coil", "address": 0},
    {"id": "temperature", "record": "telemetry", "table": "input", "address": 0, "type": "int16"},
]


class NoMemory:
    async def get(self, key: str) -> None:
        return None

    async def items(self, prefix: str) -> Any:
        return {}


def driver_for(buses: Buses | None = None, *, unit: int = 1, **settings: Any) -> ModbusDriver:
    defaults = {
        "id": f"oven-{unit}",
        "device_id": unit,
        "period_ms": 20,
        "timeout_s": 0.3,
        "dead_timeout_s": 0.1,
        "retries": 0,
        "points": POINTS,
    }
    return ModbusDriver(ModbusOptions(**(defaults | settings)), clock=SystemClock(), buses=buses or Buses())


async def readings(driver: ModbusDriver, count: int = 3) -> dict[str, Any]:
    """Connect, return the first values of evidence by name, and leave."""
    found = {}
    async with (
        driver.connect(NoMemory()) as session,
        asyncio.timeout(10),
        aclosing(one_by_one(session.observations())) as observations,
    ):
        async for observation in observations:
            if isinstance(observation, Reading):
                found[observation.point] = observation.value
                if len(found) == count:
                    return found
    raise AssertionError("the observations ended")


EXPECTED = {"set-point": "180.0", "batch": "LOT-0001", "door": False}


async def test_rtu_over_tcp_reads_the_same_values() -> None:
    async with serve(OvenServerOptions(rtu=True)) as oven:
        driver = driver_for(host="127.0.0.1", port=oven.port, transport="rtu-over-tcp")
        assert await readings(driver) == EXPECTED


async def test_a_serial_line_reads_the_same_values() -> None:
    async with serve_serial(OvenServerOptions(units=(1, 2))) as (oven, path):
        oven.ovens[2].inputs.batch = "LOT-0002"
        settings = {"transport": "serial", "serial": {"port": path, "parity": "none"}}
        assert await readings(driver_for(**cast(Any, settings))) == EXPECTED
        assert await readings(driver_for(unit=2, **cast(Any, settings))) == EXPECTED | {"batch": "LOT-0002"}


async def test_a_late_answer_on_a_serial_line_is_not_taken_for_the_next() -> None:
    async with serve_serial(OvenServerOptions()) as (oven, path):
        points = [
            {"id": "program", "record": "change", "address": 0, "type": "uint16"},
            {"id": "first", "record": "change", "address": 100, "type": "uint16"},
        ]
        driver = driver_for(
            transport="serial",
            serial={"port": path, "parity": "none"},
            points=points,
            timeout_s=0.1,
            retries=1,
            gap=0,
        )
        oven.oven.inputs.program = 7
        async with (
            driver.connect(NoMemory()) as session,
            asyncio.timeout(10),
            aclosing(one_by_one(session.observations())) as observations,
        ):
            # The first answer comes when the request was given up and asked again, the second after that.
            oven.faults.delays_s = [0.15, 0.06]
            values = {each.point: each.value for each in [await anext(observations) for _ in range(2)]}
    assert values == {"program": "7", "first": "0"}


async def test_a_disturbed_answer_is_asked_for_again_and_never_believed() -> None:
    async with serve(OvenServerOptions(rtu=True)) as oven:
        driver = driver_for(
            host="127.0.0.1", port=oven.port, transport="rtu-over-tcp", retries=3, timeout_s=0.1
        )
        oven.oven.inputs.set_points[0] = 1701
        async with (
            driver.connect(NoMemory()) as session,
            asyncio.timeout(10),
            aclosing(one_by_one(session.observations())) as observations,
        ):
            oven.faults.corrupt = 2
            values = [each.value async for each in first_of(observations, 3)]
        assert oven.faults.corrupt == 0
    assert values == [False, "170.1", "LOT-0001"]


async def first_of(observations: AsyncIterator[Any], count: int) -> AsyncIterator[Reading]:
    for _ in range(count):
        yield await anext(observations)


async def test_a_serial_port_that_is_not_there_is_unavailable() -> None:
    driver = driver_for(transport="serial", serial={"port": "/dev/does-not-exist"})
    with pytest.raises(DeviceUnavailable, match="/dev/does-not-exist cannot be reached"):
        await readings(driver)


async def poll_until_cancelled(driver: Any, counts: Any) -> None:
    """Do what capture does: connect again after each loss, with little patience."""
    while True:
        try:
            async with driver.connect(NoMemory()) as session:
                async for _ in session.observations():
                    counts[driver.device] = counts.get(driver.device, 0) + 1
        except DeviceUnavailable:
            counts[f"{driver.device} lost"] = counts.get(f"{driver.device} lost", 0) + 1
            await asyncio.sleep(0.05)


async def test_devices_behind_one_gateway_share_its_connection() -> None:
    async with serve(OvenServerOptions(units=(1, 2, 3))) as oven, AsyncExitStack() as stack:
        buses = Buses()
        for unit in (1, 2, 3):
            driver = driver_for(buses, unit=unit, host="127.0.0.1", port=oven.port)
            await stack.enter_async_context(driver.connect(NoMemory()))
        assert oven.connections == 1


async def test_complaint_13_a_dead_device_hardly_slows_the_others_on_its_bus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The living ones keep most of their polls; the dead one is tried rarely, and comes back.

    A bus like it, on which nobody is dead, is polled meanwhile: so a slow machine slows both.
    """
    monkeypatch.setattr(bus, "LONGEST_REST_S", 2.0)
    options = OvenServerOptions(units=(1, 2, 3))
    async with serve(options) as oven, serve(options) as healthy, asyncio.TaskGroup() as group:
        counts, unharmed = dict[Any, Any](), dict[Any, Any]()
        tasks = [
            group.create_task(poll_until_cancelled(driver, found))
            for each, buses, found in ((oven, Buses(), counts), (healthy, Buses(), unharmed))
            for driver in [
                driver_for(buses, unit=unit, host="127.0.0.1", port=each.port, timeout_s=1.0)
                for unit in (1, 2, 3)
            ]
        ]

        def polls(each: Any, unit: int) -> int:
            return sum(count for key, count in each.requests.items() if key[:2] == cast(Any, (unit, "coil")))

        def tries() -> int:
            return sum(count for key, count in oven.requests.items() if key[0] == 2)

        oven.faults.dead_units.add(2)
        await until(lambda: counts.get("oven-2 lost", 0) >= 2, "the dead one")
        begun, before, tried = monotonic(), (polls(oven, 1), polls(healthy, 1)), tries()
        await until(lambda: polls(healthy, 1) >= before[1] + 60, "polls of the other bus")
        took_s = monotonic() - begun
        assert polls(oven, 1) - before[0] > 0.8 * (polls(healthy, 1) - before[1])
        assert counts.get("oven-1 lost", 0) == counts.get("oven-3 lost", 0) == 0
        assert tries() - tried <= 1 + took_s
        oven.faults.dead_units.clear()
        came = counts.get("oven-2", 0)
        await until(lambda: counts.get("oven-2", 0) > came, "the one that was dead")
        for task in tasks:
            task.cancel()


async def test_a_gateway_that_says_that_the_device_is_silent_makes_it_unavailable() -> None:
    async with serve(OvenServerOptions()) as oven:
        oven.faults.exceptions[1] = 11
        driver = driver_for(host="127.0.0.1", port=oven.port)
        with pytest.raises(DeviceUnavailable, match="the device behind the gateway did not answer"):
            await readings(driver)


async def test_a_connection_that_swallows_everything_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two devices keep each other's dead connection alive unless somebody counts the silence."""
    monkeypatch.setattr(bus, "LONGEST_REST_S", 0.1)
    monkeypatch.setattr(bus, "FIRST_REST_S", 0.1)
    async with serve(OvenServerOptions(units=(1, 2))) as oven, AsyncExitStack() as stack:
        buses = Buses()
        first, second = (
            driver_for(buses, unit=unit, host="127.0.0.1", port=oven.port, timeout_s=0.05) for unit in (1, 2)
        )
        await stack.enter_async_context(second.connect(NoMemory()))
        oven.faults.dead_units.update((1, 2))
        for _ in range(4):
            with pytest.raises(DeviceUnavailable):
                await readings(first)
        oven.faults.dead_units.clear()
        assert await readings(first) == EXPECTED
        assert oven.connections == 2


async def test_one_serial_port_cannot_be_set_in_two_ways() -> None:
    async with serve_serial(OvenServerOptions(units=(1, 2))) as (_, path):
        buses = Buses()
        first = driver_for(buses, transport="serial", serial={"port": path, "parity": "none"})
        second = driver_for(
            buses, unit=2, transport="serial", serial={"port": path, "parity": "none", "baudrate": 9600}
        )
        async with first.connect(NoMemory()):
            with pytest.raises(DeviceRefused, match=r"describe .* differently"):
                await readings(second)


def make_certificate(folder: Path, name: Any, host: x509.GeneralName) -> Any:
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    begun = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begun)
        .not_valid_after(begun + dt.timedelta(days=365 * 30))
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{name}.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem


def server_context(pem: Any) -> Any:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem, pem.with_suffix(".key"))
    return context


async def test_tls_reads_the_same_values_and_checks_who_answers(tmp_path: Path) -> None:
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    trusted = make_certificate(tmp_path, "oven", loopback)
    other = make_certificate(tmp_path, "stranger", loopback)
    async with serve(OvenServerOptions(tls=server_context(trusted))) as oven:
        place = {"host": "127.0.0.1", "port": oven.port, "transport": "tls"}
        assert await readings(driver_for(**cast(Any, place), tls={"ca": trusted})) == EXPECTED
        with pytest.raises(DeviceRefused, match="not trusted"):
            await readings(driver_for(**cast(Any, place), tls={"ca": other}))
        with pytest.raises(DeviceRefused, match="not trusted"):
            await readings(
                driver_for(**cast(Any, place), tls={"ca": trusted, "server_name": "press.example"})
            )


async def test_tls_under_another_name_is_trusted_when_the_yaml_says_so(tmp_path: Path) -> None:
    trusted = make_certificate(tmp_path, "oven", x509.DNSName("oven.example"))
    async with serve(OvenServerOptions(tls=server_context(trusted))) as oven:
        tls = {"ca": trusted, "server_name": "oven.example"}
        driver = driver_for(host="127.0.0.1", port=oven.port, transport="tls", tls=tls)
        assert await readings(driver) == EXPECTED


async def test_a_cancellation_that_meets_the_answer_is_not_swallowed() -> None:
    """Otherwise a shutdown at the wrong moment would leave a device polling for ever."""
    async with serve(OvenServerOptions()) as oven:
        options = ModbusOptions(id="oven", host="127.0.0.1", port=oven.port)
        link = ModbusLink(options)
        await link.open()
        oven.faults.dead_units.add(1)
        request = ReadCoilsRequest(address=0, count=1, dev_id=1)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(link.ask(request, 5.0))
            while not oven.served:  # noqa: ASYNC110 - the oven counts, it has no event
                await asyncio.sleep(0.01)
            link._client.ctx.response_future.set_result(ReadCoilsResponse(bits=[True]))
            asking.cancel()
        assert asking.cancelled()
        link.close()


async def test_tls_files_that_are_not_there_are_refused_by_name(tmp_path: Path) -> None:
    driver = driver_for(host="127.0.0.1", port=1, transport="tls", tls={"ca": tmp_path / "absent.pem"})
    with pytest.raises(DeviceRefused, match="the TLS files cannot be used"):
        await readings(driver)
