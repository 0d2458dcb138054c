"""The torque controller simulator runs by itself, and keeps what it made over its own death."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from linewitness_simulators.torque import TorqueOptions, serve
from linewitness_simulators.torque.command import command
from support.torque_client import client_of, condition, running


async def test_a_line_runs_by_itself() -> None:
    options = TorqueOptions(cycle_s=0.001, per_unit=2, nok_share=0.3, seed=5)
    async with serve(options) as simulator:
        await condition(lambda: len(simulator.results()) >= 12)
        made = simulator.results()
    good = [result.vin for result in made if result.ok]
    assert good[:6] == ["SN0001", "SN0001", "SN0002", "SN0002", "SN0003", "SN0003"]
    assert not all(result.ok for result in made)


async def test_the_memory_outlives_a_restart(tmp_path: Path) -> None:
    async with running(state=tmp_path / "memory") as (simulator, client):
        await client.start()
        first = simulator.tighten("SN1")
        await simulator.restart()
        assert await client.at_end()
        assert simulator.tighten() == first + 1
        assert simulator.results()[-1].vin == "SN1"
        async with client_of(simulator) as again:
            await again.start()
            assert (await again.ask(64, b"%010d" % first))[4:8] == b"0065"


async def test_a_process_that_was_killed_still_has_what_it_made(tmp_path: Path) -> None:
    start = (
        "import typer; from linewitness_simulators.torque.command import command; "
        "app = typer.Typer(); app.command()(command); app()"
    )
    arguments = ("-c", start, "--port", "0", "--control-port", "0", "--state", str(tmp_path / "memory"))

    async def operate(process: Any) -> Any:
        ready = (await process.stdout.readline()).decode().split()
        control = (await process.stdout.readline()).decode().split()
        assert (ready[0], control[0]) == ("ready", "control")
        return await asyncio.open_connection("127.0.0.1", int(control[1].rpartition(":")[2]))

    made = []
    for last in (False, True):
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
        )
        try:
            reader, writer = await operate(process)
            for _ in range(3):
                writer.write(b'{"do": "tighten", "vin": "SN1"}\n')
                made.append(await reader.readline())
            process.send_signal(signal.SIGTERM if last else signal.SIGKILL)
            assert await process.wait() == (0 if last else -signal.SIGKILL)
            writer.transport.abort()
        finally:
            if process.returncode is None:
                process.kill()
    assert made == [b'{"ok": true, "answer": %d}\n' % number for number in range(1, 7)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fault", "halfopen"], "half_open"),
        (["--zone", "Mars/Base"], "no such time zone"),
        (["--state", "/"], "directory"),
        (["--host", "203.0.113.77"], "cannot assign"),
    ],
)
def test_wrong_usage_ends_with_a_sentence(arguments: Any, said: Any) -> None:
    app = typer.Typer()
    app.command()(command)
    outcome = CliRunner().invoke(app, ["--port", "0", *arguments])
    assert outcome.exit_code == 2
    assert said in outcome.output
