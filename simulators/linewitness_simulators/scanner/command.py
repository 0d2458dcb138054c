"""`linewitness simulate scanner`: a code reader over TCP."""

import asyncio
from typing import Annotated

import typer

from linewitness.base.stopping import on_signal
from linewitness_simulators.scanner.device import ScannerDevice
from linewitness_simulators.scanner.server import ScannerSimulation, serve


def command(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0: any free port.")] = 2001,
    period: Annotated[float, typer.Option(help="Seconds between units.")] = 2.0,
    no_read_share: Annotated[float, typer.Option(help="Share of reads that fail, 0 to 1.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the codes.")] = 1,
) -> None:
    """Simulate a code reader that reads SN0001, SN0002 and so on."""
    device = ScannerDevice(period_s=period, no_read_share=no_read_share, seed=seed)
    asyncio.run(_run(ScannerSimulation(host=host, port=port, device=device)))


async def _run(options: ScannerSimulation) -> None:
    stop = on_signal()
    async with serve(options) as running:
        typer.echo(f"ready tcp://{options.host}:{running.port}")  # echo flushes
        await stop.wait()
