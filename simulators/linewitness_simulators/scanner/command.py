"""`linewitness simulate scanner`: a code reader for trying things out."""

import asyncio
from typing import Annotated

import typer

from linewitness.base.stopping import on_signal
from linewitness_simulators.scanner.device import ScannerDevice
from linewitness_simulators.scanner.server import ScannerSimulation, serve


def command(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes any free one.")] = 2001,
    period: Annotated[float, typer.Option(help="Seconds from unit to unit.")] = 2.0,
    no_read_share: Annotated[float, typer.Option(help="How often a read fails, 0 to 1.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Same seed, same codes.")] = 1,
) -> None:
    """Simulate a code reader that reads SN0001, SN0002 and so on."""
    device = ScannerDevice(period_s=period, no_read_share=no_read_share, seed=seed)
    asyncio.run(_run(ScannerSimulation(host=host, port=port, device=device)))


async def _run(options: ScannerSimulation) -> None:
    stop = on_signal()
    async with serve(options) as running:
        typer.echo(f"ready tcp://{options.host}:{running.port}")  # echo flushes
        await stop.wait()
