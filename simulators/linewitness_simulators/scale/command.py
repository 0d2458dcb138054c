"""`linewitness simulate scale`: a scale with MT-SICS."""

import asyncio
import contextlib
from decimal import Decimal
from random import Random
from typing import Annotated

import typer

from linewitness.base.stopping import on_signal
from linewitness_simulators.scale.device import ScaleDevice
from linewitness_simulators.scale.server import RunningScale, ScaleSimulation, serve


def command(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0: any free port.")] = 4305,
    serial: Annotated[str, typer.Option(help="Serial number of the scale.")] = "0123456789",
    period: Annotated[float, typer.Option(help="Seconds between loads.")] = 5.0,
    target: Annotated[float, typer.Option(help="Mean weight of the loads in g.")] = 250.0,
    settle: Annotated[float, typer.Option(help="Seconds until a weight is stable.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of the loads.")] = 1,
) -> None:
    """Simulate a scale with a new load every few seconds."""
    device = ScaleDevice(serial=serial, settle_s=settle, seed=seed)
    asyncio.run(_run(ScaleSimulation(host=host, port=port, device=device), period, target, seed))


async def _run(options: ScaleSimulation, period_s: float, target_g: float, seed: int) -> None:
    stop = on_signal()
    async with serve(options) as running:
        typer.echo(f"ready tcp://{options.host}:{running.port}")  # echo flushes
        await _loads(running, stop, period_s, target_g, Random(seed))


async def _loads(
    running: RunningScale, stop: asyncio.Event, period_s: float, target_g: float, rng: Random
) -> None:
    while not stop.is_set():
        running.load(Decimal(f"{rng.gauss(target_g, target_g / 1000):.2f}"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(period_s):
                await stop.wait()
