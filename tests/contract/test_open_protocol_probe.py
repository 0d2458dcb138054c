"""Looking into a controller, and commanding it."""

import pytest
from ruamel.yaml import YAML

from linewitness.base.clock import SystemClock
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.probe import probe
from linewitness.devices.open_protocol.session.commands.tool import CommandRefused
from linewitness_simulators.torque import ToolDisabledError, TorqueOptions, serve
from linewitness_simulators.torque.model import Job
from support.open_protocol_rig import Journal, gateway, options_for
from support.present import present
from support.waiting import until


async def test_a_probe_tells_who_it_is_and_what_to_write_into_the_yaml() -> None:
    async with serve(TorqueOptions(first_id=77)) as simulator:
        simulator.tighten("SN")
        report = await probe(options_for(simulator), clock=SystemClock())
        await until(lambda: simulator.clients == 0)
    assert report.identity.serial == "SIM0000001"
    assert report.result_revisions == (11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 998, 999)
    assert report.newest_id == 77
    assert ("alarms", 3) in report.subscriptions
    assert abs(present(report.clock).offset_ms) < 2000
    assert report.parameter_sets == (7, 8, 9)
    assert report.jobs == ("1 Bracket (set 7 x 4)", "2 Cover (set 8 x 2)")
    text = "\n".join(report.lines())
    assert "parameter sets 7, 8, 9" in text
    assert "A1234567" in text
    assert "newest tightening id 77" in text
    (device,) = YAML(typ="safe").load(report.yaml)["devices"]
    options = OpenProtocolOptions(**device)
    assert options.controller_serial == "SIM0000001"
    assert options.port == simulator.port


async def test_a_probe_of_a_small_controller_says_what_is_missing() -> None:
    small = TorqueOptions(max_revision=1, history="none", revisions={1: 1, 3: 1, 60: 1, 63: 1, 9999: 1})
    async with serve(small) as simulator:
        simulator.faults.silent_close = True
        report = await probe(options_for(simulator), clock=SystemClock())
    assert report.start_revision == 1
    assert report.result_revisions == (1,)
    assert not report.memory
    assert "alarms: false" in report.yaml
    assert "parameter sets not told" in "\n".join(report.lines())


async def test_a_probe_goes_on_where_a_subscription_is_refused_for_the_moment() -> None:
    async with serve(TorqueOptions(spindles=2)) as simulator:
        simulator.faults.refuse[100] = 98
        report = await probe(options_for(simulator), clock=SystemClock())
    assert "multi_spindle" not in dict(report.subscriptions)
    assert ("alarms", 3) in report.subscriptions


async def test_a_tool_is_locked_and_released() -> None:
    async with serve() as simulator, gateway(simulator, Journal()) as running:
        await until(lambda: running.session)
        await running.session.command(None, "closed")
        with pytest.raises(ToolDisabledError):
            simulator.tighten("SN")
        await running.session.command(None, "opened")
        simulator.tighten("SN")


async def test_a_command_that_is_refused_says_why_and_leaves_the_session_alone() -> None:
    journal = Journal()
    async with serve() as simulator, gateway(simulator, journal) as running:
        await until(lambda: running.session and simulator.subscribed())
        simulator.faults.commands_disabled = True
        with pytest.raises(CommandRefused, match="disabled"):
            await running.session.command(None, "closed")
        simulator.tighten("SN")
        await until(lambda: journal.ids == [1])
        assert running.connected == 1


async def test_a_probe_of_several_spindles_tells_their_revision_and_counts_the_jobs_that_it_leaves_out() -> (
    None
):
    jobs = tuple(Job(number, f"Job {number}", 7, 4) for number in range(1, 24))
    async with serve(TorqueOptions(spindles=2, jobs=jobs)) as simulator:
        report = await probe(options_for(simulator), clock=SystemClock())
        assert simulator.subscribed(100) == 0
    assert ("multi_spindle", 6) in report.subscriptions
    assert report.jobs[-2:] == ("20 Job 20 (set 7 x 4)", "and 3 more")
