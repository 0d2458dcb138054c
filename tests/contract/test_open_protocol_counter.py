"""The tool's own counter as independent evidence, across sessions."""

from linewitness_simulators.torque import Tool, TorqueOptions, serve
from support.open_protocol_rig import Journal, gateway
from support.waiting import until


async def captured(journal: Journal, number: int) -> None:
    await until(lambda: len(journal.ids) == number, f"{number} captured")
    await until(lambda: "tool-base" in journal.state, "counted")


async def test_what_the_controller_lost_while_we_were_away_is_seen_by_the_tools_counter() -> None:
    journal = Journal()
    async with serve() as simulator:
        simulator.tighten("BEFORE")
        async with gateway(simulator, journal, start_after=0):
            await captured(journal, 1)
        simulator.tighten("KEPT")
        async with gateway(simulator, journal):
            await captured(journal, 2)
        assert not journal.notices("source.conflict")
        simulator.tighten("LOST")
        simulator.tighten("LOST")
        simulator.reset(next_id=3)
        async with gateway(simulator, journal):
            await until(lambda: journal.notices("source.conflict"))
        (conflict,) = journal.notices("source.conflict")
        assert conflict.changes == (("counted_by_tool", None, 3), ("captured", None, 1))
        async with gateway(simulator, journal):
            await until(simulator.subscribed)
            simulator.tighten("AFTER")
            await captured(journal, 3)
    assert len(journal.notices("source.conflict")) == 1, "it is said once"


async def test_everything_captured_is_no_conflict_across_many_sessions() -> None:
    journal = Journal()
    async with serve() as simulator:
        for session in range(1, 6):
            simulator.tighten("STORED")
            async with gateway(simulator, journal, start_after=0) as running:
                await until(lambda: simulator.subscribed() and running.connected)
                simulator.tighten("LIVE")
                await captured(journal, 2 * session)
    assert not journal.notices("source.conflict")


async def test_another_tool_begins_another_count() -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal, start_after=0):
        simulator.tighten("SN1")
        await captured(journal, 1)
    other = TorqueOptions(tool=Tool(serial="B7654321", lifetime_before=900_000))
    async with serve(other) as simulator, gateway(simulator, journal):
        await until(lambda: "B7654321" in journal.state["tool-base"])
    assert not journal.notices("source.conflict")
