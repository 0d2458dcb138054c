"""Confirmations on the link level against the simulated controller."""

import pytest

from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness_simulators.torque import TorqueOptions, TorqueSimulator, serve
from support.open_protocol_rig import Journal, gateway
from support.present import present
from support.waiting import until


def entries(simulator: TorqueSimulator, what: str, mid: int) -> int:
    return sum((entry.what, entry.mid) == (what, mid) for entry in simulator.ledger.entries)


async def ready(simulator: TorqueSimulator) -> None:
    await until(lambda: entries(simulator, "acked", 15), "subscribed to everything")


async def test_results_are_confirmed_on_the_link_level_and_no_0062_is_sent() -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal, acknowledge="link") as running:
        await ready(simulator)
        for number in range(120):
            simulator.tighten(f"SN{number}")
        await until(lambda: len(simulator.acked) == 120)
        assert running.connected == 1
    assert journal.ids == list(range(1, 121))
    assert entries(simulator, "stray-ack", 62) == 0
    assert entries(simulator, "link-ack", 81) == 1, "answers are confirmed too"


async def test_a_lost_confirmation_is_repeated_and_the_result_is_not_processed_again() -> None:
    journal = Journal()
    async with (
        serve(TorqueOptions(ack_timeout_s=0.2)) as simulator,
        gateway(simulator, journal, acknowledge="link", keepalive_s=10, dead_after_s=12) as running,
    ):
        await ready(simulator)
        simulator.faults.lose_acks = 2
        simulator.tighten("SN1")
        await until(lambda: simulator.acked == [1])
        assert running.connected == 1
    assert simulator.ledger.numbers("sent", 61) == [1, 1, 1]
    assert journal.ids == [1]
    assert not [each for each in journal.repeats if present(each.raw)[4:8] == b"0061"], (
        "it was processed again"
    )


async def test_nothing_is_confirmed_before_the_commit() -> None:
    journal = Journal()
    async with serve(TorqueOptions(ack_timeout_s=0.2)) as simulator:
        async with gateway(simulator, journal, acknowledge="link", commits=False, start_after=0):
            await ready(simulator)
            simulator.tighten("SN1")
            await until(lambda: len(simulator.ledger.numbers("sent", 61)) == 4, "sent again and again")
            assert simulator.acked == []
            await until(lambda: entries(simulator, "closed", 0), "and given up")
        async with gateway(simulator, journal, acknowledge="link", start_after=0):
            await until(lambda: journal.ids == [1])
    assert journal.results[0].backfilled


async def test_operations_and_their_objects_are_confirmed_on_the_link_level() -> None:
    journal = Journal()
    async with serve() as simulator:
        simulator.tighten("SN0")
        settings = {"acknowledge": "link", "results": "operations", "start_after": 0}
        async with gateway(simulator, journal, **settings) as running:
            await until(lambda: simulator.subscribed(1201))
            simulator.tighten("SN1")
            simulator.tighten("SN2")
            await until(lambda: sorted(journal.ids) == [1, 2, 3])
            await until(lambda: simulator.acked == [1, 2, 3])
            assert running.connected == 1


async def test_a_controller_without_it_says_what_to_change() -> None:
    async with (
        serve(TorqueOptions(link_level=False)) as simulator,
        gateway(simulator, Journal(), acknowledge="link", reconnects=False) as running,
    ):
        await until(lambda: running.error)
    assert "remove acknowledge: link" in str(running.error)


def test_a_start_that_is_too_low_for_it_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="needs start_revision 6"):
        OpenProtocolOptions(id="w", host="h", acknowledge="link", start_revision=5)
