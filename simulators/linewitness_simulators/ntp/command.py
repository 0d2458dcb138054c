"""`linewitness simulate ntp`: an NTP server for trying things out, honest or not."""

import asyncio
from typing import Annotated

import typer

from linewitness.base.stopping import on_signal
from linewitness_simulators.ntp.device import NtpDevice
from linewitness_simulators.ntp.server import NtpSimulation, serve


def command(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes any free one.")] = 11123,
    offset: Annotated[float, typer.Option(help="Seconds by which the server is wrong.")] = 0.0,
    delay: Annotated[float, typer.Option(help="Seconds that a packet takes in each direction.")] = 0.0,
    stratum: Annotated[int, typer.Option(help="Distance from the reference clock; 16: none.")] = 2,
    leap: Annotated[int, typer.Option(help="1 or 2: a leap second is announced; 3: unsynchronised.")] = 0,
    kiss: Annotated[str | None, typer.Option(help="Answer with this kiss of death, such as RATE.")] = None,
    loss: Annotated[float, typer.Option(help="How many questions get lost, 0 to 1.")] = 0.0,
) -> None:
    """Simulate an NTP server; the machine's own clock counts as true time."""
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
