"""The torque controller simulator sends the golden telegrams of the protocol, byte for byte."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from linewitness_simulators.torque import ParameterSet, Tool, TorqueSimulator
from support.torque_client import GOLDEN, MOMENT, Client, Standing, running

PSET = ParameterSet(7, "M8 bracket 25Nm", 2300, 2700, 2500, 20, 90)


def golden_controller(**more: Any) -> Any:
    tool = Tool(lifetime_before=184_233 - 2, since_service_before=40_211 - 2)
    return running(parameter_sets=(PSET,), tool=tool, first_id=1_000_122, keep_alive_s=0, **more)


def make_golden_results(simulator: TorqueSimulator) -> Any:
    simulator.controller.identify("LOT-2026-031", 1)
    simulator.tighten("WP1SIM00000000042", torque=2500, angle=50, at=MOMENT)
    return simulator.tighten("WP1SIM00000000042", torque=2512, angle=47, rundown_angle=812, at=MOMENT)


@pytest.mark.parametrize(("name", "revision"), [("0002 r1 reply", 1), ("0002 r6 reply", 6)])
async def test_start_is_answered_with_the_golden_bytes(name: str, revision: int) -> None:
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
async def test_a_pushed_result_has_the_golden_bytes(name: str, revision: int) -> None:
    async with golden_controller() as (simulator, client):
        await client.start()
        assert await client.ask(60, revision=revision) == GOLDEN["0005: 0060 accepted"]
        assert make_golden_results(simulator) == 1_000_123
        await client.receive()
        client.send(62)
        assert await client.receive() == GOLDEN[name]


async def test_a_result_that_is_not_ok_has_the_golden_bytes() -> None:
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
async def test_an_old_result_has_the_golden_bytes(name: str, revision: int) -> None:
    async with golden_controller() as (simulator, client):
        await client.start()
        make_golden_results(simulator)
        assert await client.ask(64, b"0000000000", revision) == GOLDEN[name]
        assert await client.ask(64, b"0001000123", revision) == GOLDEN[name]


async def test_other_answers_have_the_golden_bytes() -> None:
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


def test_the_client_of_these_tests_writes_the_golden_bytes() -> None:
    sent: list[Any] = []

    class Writer:
        write = sent.append

    client = Client(cast(Any, None), cast(Any, Writer()))
    client.send(64, b"0001000124", 3)
    client.send(60, revision=3, no_ack=b"1")
    assert sent[0] == GOLDEN["0064 r3: id 1000124"] + b"\0"
    assert sent[1] == GOLDEN["0060 r3 subscribe, no-ack flag set (do not use)"] + b"\0"


LENGTHS = {
    61: {
        1: 231,
        2: 385,
        3: 419,
        4: 500,
        5: 506,
        6: 526,
        7: 544,
        8: 571,
        9: 592,
        10: 662,
        11: 677,
        998: 547,
        999: 121,
    },
    65: {1: 118, 2: 226, 3: 233, 4: 314, 5: 320, 6: 340, 7: 379, 8: 406, 9: 427, 10: 497, 11: 512},
    41: {1: 81, 2: 156, 3: 180, 4: 184, 5: 198, 6: 236, 7: 260},
    13: {1: 104, 2: 120, 5: 141},
    15: {1: 42, 2: 141},
    35: {1: 63, 2: 65, 3: 79, 4: 83, 5: 198},
    52: {1: 45, 2: 128},
    71: {1: 53, 2: 54, 3: 109},
    152: {1: 148},
}


async def lengths_of_answers(client: Any, mid: Any, data: Any) -> Any:
    return {n: len(await client.ask(mid, data(n), n)) for n in LENGTHS[mid + 1]}


async def test_answers_have_the_length_of_their_revision() -> None:
    async with golden_controller() as (simulator, client):
        await client.start()
        make_golden_results(simulator)
        assert await lengths_of_answers(client, 64, lambda _: b"0000000000") == LENGTHS[65]
        assert await lengths_of_answers(client, 40, lambda n: b"010001" if n > 5 else b"") == LENGTHS[41]
        assert await lengths_of_answers(client, 12, lambda _: b"007") == LENGTHS[13]


@pytest.mark.parametrize("mid", [14, 34, 51, 60, 70, 151])
async def test_events_have_the_length_of_their_revision(mid: int) -> None:
    async with running() as (simulator, client):
        await client.start()

        def cause() -> None:
            if mid == 34:
                simulator.controller.select_job(1)
            elif mid == 60:
                simulator.tighten()
            elif mid == 70:
                simulator.alarm()
            elif mid != 14:
                simulator.set_vin("SN1")

        seen = {}
        for revision in LENGTHS[mid + 1]:
            client.send(mid, revision=revision, no_ack=b"1")
            assert (await client.receive())[4:8] == b"0005"
            cause()
            seen[revision] = len(await client.receive_mid(mid + 1))
            client.send({14: 17, 34: 37, 51: 54, 60: 63, 70: 73, 151: 154}[mid])
            assert (await client.receive_mid(5))[20:]
        assert seen == LENGTHS[mid + 1]
