"""`linewitness simulate ntp`: an NTP server with configurable errors."""

import asyncio
from typing import Annotated

import typer

from linewitness.base.stopping import on_signal
from linewitness_simulators.ntp.device import NtpDevice
from linewitness_simulators.ntp.server import NtpSimulation, serve


def command(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="UDP port; 0: any free port.")] = 11123,
    offset: Annotated[float, typer.Option(help="Error of the server in seconds.")] = 0.0,
    delay: Annotated[float, typer.Option(help="Delay of a packet in each direction, in seconds.")] = 0.0,
    stratum: Annotated[int, typer.Option(help="Stratum; 16: no reference clock.")] = 2,
    leap: Annotated[
        int, typer.Option(help="Leap indicator; 1 or 2: leap second announced; 3: unsynchronised.")
    ] = 0,
    kiss: Annotated[str | None, typer.Option(help="Answer with this kiss code, for example RATE.")] = None,
    loss: Annotated[float, typer.Option(help="Share of requests that are lost, 0 to 1.")] = 0.0,
) -> None:
    """Simulate an NTP server, with the machine's clock as true time."""
    device = NtpDevice(
        offset_s=offset,
        delay_in_s=delay,
        delay_out_s=delay,
        stratum=stratum,
        leap=leap,
        kiss=kiss,
        loss=loss,
    )
    asyncio.run(_run(NtpSimulation(host=host, port=port, device=device)))


async def _run(options: NtpSimulation) -> None:
    stop = on_signal()
    async with serve(options) as running:
        typer.echo(f"ready ntp://{options.host}:{running.port}")  # echo flushes
        await stop.wait()
