"""`linewitness simulate press`: a press with an OPC UA server for trying things out."""

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
    port: Annotated[int, typer.Option(help="Port; 0 takes any free one.")] = 4840,
    seed: Annotated[int, typer.Option(help="Same seed, same parts.")] = 1,
    cycle: Annotated[float, typer.Option(help="Seconds from part to part.")] = 4.0,
    tick: Annotated[float, typer.Option(help="Seconds between two looks at the sensors.")] = 0.1,
    signals: Annotated[int, typer.Option(help="Further signals that change with every look.")] = 0,
    missing: Annotated[list[str] | None, typer.Option(help="A variable that the server lacks.")] = None,
    history: Annotated[bool, typer.Option(help="Keep history of set points and counter.")] = False,
    audit: Annotated[bool, typer.Option(help="Report writes as audit events.")] = False,
    certificates: Annotated[
        Path | None, typer.Option(help="Folder of the server's certificate; makes it secure.")
    ] = None,
    trusted_clients: Annotated[
        Path | None, typer.Option(help="Folder of client certificates that are let in.")
    ] = None,
    clock_offset: Annotated[float, typer.Option(help="Seconds that its clock is ahead.")] = 0.0,
    delay: Annotated[float, typer.Option(help="Seconds that each answer takes longer.")] = 0.0,
    restart_every: Annotated[float, typer.Option(help="Restart the server so often; 0 is never.")] = 0.0,
    silent_every: Annotated[
        float, typer.Option(help="Let all subscriptions die without a word so often; 0 is never.")
    ] = 0.0,
    overflow_every: Annotated[
        float, typer.Option(help="Say so often that a queue overflowed; 0 is never.")
    ] = 0.0,
) -> None:
    """Simulate a hydraulic press that makes a part every few seconds."""
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
