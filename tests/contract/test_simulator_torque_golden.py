"""The torque controller simulator sends the golden telegrams of the protocol, byte for byte."""

from datetime import UTC, datetime

import pytest

from linewitness_simulators.torque import ParameterSet, Tool
from torque_client import GOLDEN, MOMENT, Client, Standing, running

PSET = ParameterSet(7, "M8 bracket 25Nm", 2300, 2700, 2500, 20, 90)


def golden_controller(**more):
    tool = Tool(lifetime_before=184_233 - 2, since_service_before=40_211 - 2)
    return running(parameter_sets=(PSET,), tool=tool, first_id=1_000_122, keep_alive_s=0, **more)


def make_golden_results(simulator):
    simulator.controller.identify("LOT-2026-031", 1)
    simulator.tighten("WP1SIM00000000042", torque=2500, angle=50, at=MOMENT)
    return simulator.tighten("WP1SIM00000000042", torque=2512, angle=47, rundown_angle=812, at=MOMENT)


@pytest.mark.parametrize(("name", "revision"), [("0002 r1 reply", 1), ("0002 r6 reply", 6)])
async def test_start_is_answered_with_the_golden_bytes(name, revision):
    async with golden_controller() as (_, client):
        assert await client.start(revision) == GOLDEN[name]


@pytest.mark.parametrize(
    ("name", "revision"),
    [
        ("0061 r1 OK result", 1),
        ("0061 r2 OK result", 2),
        ("0061 r7 OK result", 7),
        ("0061 r999 compact result", 999),
    ],
)
async def test_a_pushed_result_has_the_golden_bytes(name, revision):
    async with golden_controller() as (simulator, client):
        await client.start()
        assert await client.ask(60, revision=revision) == GOLDEN["0005: 0060 accepted"]
        assert make_golden_results(simulator) == 1_000_123
        await client.receive()
        client.send(62)
        assert await client.receive() == GOLDEN[name]


async def test_a_result_that_is_not_ok_has_the_golden_bytes():
    async with golden_controller() as (simulator, client):
        await client.start()
        make_golden_results(simulator)
        await client.subscribe(60, revision=3)
        later = datetime(2026, 3, 14, 9, 27, 31, tzinfo=UTC)
        simulator.tighten(ok=False, torque=2915, angle=11, rundown_angle=812, at=later)
        assert await client.receive() == GOLDEN["0061 r3 NOK result (torque high, angle low, error bit 3)"]


@pytest.mark.parametrize(
    ("name", "revision"),
    [("0065 r1 reply", 1), ("0065 r2 reply", 2), ("0065 r7 reply (with station id/name)", 7)],
)
async def test_an_old_result_has_the_golden_bytes(name, revision):
    async with golden_controller() as (simulator, client):
        await client.start()
        make_golden_results(simulator)
        assert await client.ask(64, b"0000000000", revision) == GOLDEN[name]
        assert await client.ask(64, b"0001000123", revision) == GOLDEN[name]


async def test_other_answers_have_the_golden_bytes():
    async with golden_controller(clock=Standing()) as (simulator, client):
        refused = await client.ask(1, revision=8)
        assert refused == GOLDEN["0004 r1: 0001 refused, revision unsupported (97)"]
        await client.start()
        assert await client.ask(64, b"0000000009") == GOLDEN["0004 r1: 0064 id not found (15)"]
        assert await client.ask(9999) == GOLDEN["9999 keep-alive (both directions)"]
        assert await client.ask(80) == GOLDEN["0081 time"]
        make_golden_results(simulator)
        assert await client.ask(40, revision=2) == GOLDEN["0041 r2 tool data"]
        await client.subscribe(51)
        simulator.set_vin("WP1SIM00000000042")
        assert await client.receive() == GOLDEN["0052 r1 VIN event"]
        client.send(53)
        await client.subscribe(14)
        assert await client.receive() == GOLDEN["0015 r1 event"]
        client.send(16)
        await client.subscribe(70)
        simulator.alarm("E404")
        alarm = await client.receive()
        assert alarm[:36] == GOLDEN["0071 r1 alarm"][:36]
        client.send(72)
        assert simulator.acknowledge_alarm()
        assert (await client.receive())[4:] == b"0074001         E404"
        client.send(75)
        assert await client.receive() == GOLDEN["0076 r1 alarm status: none active"]


def test_the_client_of_these_tests_writes_the_golden_bytes():
    sent = []

    class Writer:
        write = sent.append

    client = Client(None, Writer())
    client.send(64, b"0001000124", 3)
    client.send(60, revision=3, no_ack=b"1")
    assert sent[0] == GOLDEN["0064 r3: id 1000124"] + b"\0"
    assert sent[1] == GOLDEN["0060 r3 subscribe, no-ack flag set (do not use)"] + b"\0"
