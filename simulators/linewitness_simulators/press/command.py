"""`linewitness simulate press`: a press with an OPC UA server and configurable faults."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from linewitness.base.stopping import on_signal
from linewitness_simulators.press.server import PressSimulation, RunningPress, serve


def command(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0: any free port.")] = 4840,
    seed: Annotated[int, typer.Option(help="Seed of the parts.")] = 1,
    cycle: Annotated[float, typer.Option(help="Seconds between parts.")] = 4.0,
    tick: Annotated[float, typer.Option(help="Seconds between updates of the sensors.")] = 0.1,
    signals: Annotated[int, typer.Option(help="Number of further signals that change with each update.")] = 0,
    missing: Annotated[
        list[str] | None, typer.Option(help="A variable that does not exist on the server; repeatable.")
    ] = None,
    history: Annotated[bool, typer.Option(help="Keep the history of set points and counter.")] = False,
    audit: Annotated[bool, typer.Option(help="Report writes as audit events.")] = False,
    certificates: Annotated[
        Path | None, typer.Option(help="Folder of the server's certificate; enables security.")
    ] = None,
    trusted_clients: Annotated[
        Path | None, typer.Option(help="Folder of trusted client certificates.")
    ] = None,
    clock_offset: Annotated[float, typer.Option(help="Offset of its clock in seconds.")] = 0.0,
    delay: Annotated[float, typer.Option(help="Delay of each answer in seconds.")] = 0.0,
    restart_every: Annotated[
        float, typer.Option(help="Seconds between restarts of the server; 0: never.")
    ] = 0.0,
    silent_every: Annotated[
        float, typer.Option(help="Seconds between silent ends of all subscriptions; 0: never.")
    ] = 0.0,
    overflow_every: Annotated[
        float, typer.Option(help="Seconds between reported queue overflows; 0: never.")
    ] = 0.0,
) -> None:
    """Simulate a hydraulic press with an OPC UA server."""
    options = PressSimulation(
        host=host,
        port=port,
        seed=seed,
        cycle_s=cycle,
        tick_s=tick,
        extra=signals,
        missing=frozenset(missing or ()),
        history=history,
        audit=audit,
        certificates=certificates,
        trusted_clients=trusted_clients,
        clock_offset_s=clock_offset,
    )
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    faults = {"restart": restart_every, "silence": silent_every, "overflow": overflow_every}
    asyncio.run(_run(options, delay, faults))


async def _run(options: PressSimulation, delay: float, faults: Mapping[str, float]) -> None:
    stop = on_signal()
    async with serve(options) as running:
        running.wire.delay_s = delay
        typer.echo(f"ready {running.url}")
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_again_and_again(running, fault, every_s))
                for fault, every_s in faults.items()
                if every_s
            ]
            await stop.wait()
            for task in tasks:
                task.cancel()


async def _again_and_again(running: RunningPress, fault: str, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        match fault:
            case "restart":
                await running.restart()
            case "silence":
                running.silence()
            case _:
                await running.overflow("Force", running.value("Force"))
