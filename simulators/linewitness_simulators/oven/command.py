"""`linewitness simulate oven`: ovens on a Modbus port, with faults from the command line."""

import asyncio
from collections.abc import Callable
from typing import Annotated

import typer

from linewitness.base.stopping import on_signal
from linewitness_simulators.oven.server import OvenServerOptions, RunningOvens, serve


def command(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0: any free port.")] = 5020,
    units: Annotated[str, typer.Option(help="Unit identifiers, separated by commas.")] = "1",
    seed: Annotated[int, typer.Option(help="Seed of the noise and the results.")] = 1,
    cycle_s: Annotated[float, typer.Option(help="Seconds between results.")] = 10.0,
    handshake: Annotated[
        bool, typer.Option(help="Publish a result only after the last was acknowledged.")
    ] = False,
    rtu: Annotated[bool, typer.Option(help="RTU frames over TCP, like a serial converter.")] = False,
    delay_ms: Annotated[int, typer.Option(help="Delay of each answer in milliseconds.")] = 0,
    dead_units: Annotated[str, typer.Option(help="Units that never answer, separated by commas.")] = "",
    illegal: Annotated[
        list[str] | None,
        typer.Option(help="Registers that do not exist, for example `holding:100-120`; repeatable."),
    ] = None,
    exception: Annotated[
        list[str] | None,
        typer.Option(help="Answer all requests to a unit with an exception, for example `1:4`."),
    ] = None,
    wrong_transactions: Annotated[
        int, typer.Option(help="Number of answers with a wrong transaction id.")
    ] = 0,
    corrupt: Annotated[int, typer.Option(help="With --rtu: number of answers with a wrong checksum.")] = 0,
    drop_every_s: Annotated[
        float, typer.Option(help="Seconds between breaks of all connections; 0: never.")
    ] = 0.0,
) -> None:
    """Simulate a curing oven with Modbus."""
    options = OvenServerOptions(
        host=host, port=port, units=_numbers(units), seed=seed, cycle_s=cycle_s, handshake=handshake, rtu=rtu
    )

    def prepare(running: RunningOvens) -> None:
        faults = running.faults
        faults.dead_units.update(_numbers(dead_units))
        faults.delay_s = delay_ms / 1000
        faults.wrong_transactions = wrong_transactions
        faults.corrupt = corrupt
        faults.illegal.extend(_span(text) for text in illegal or [])
        faults.exceptions.update(_pair(text) for text in exception or [])

    asyncio.run(_run(options, prepare, drop_every_s))


async def _run(
    options: OvenServerOptions, prepare: Callable[[RunningOvens], None], drop_every_s: float
) -> None:
    stop = on_signal()
    async with serve(options) as running:
        prepare(running)
        typer.echo(f"ready modbus://{options.host}:{running.port}")
        while not stop.is_set():
            try:
                async with asyncio.timeout(drop_every_s or None):
                    await stop.wait()
            except TimeoutError:
                running.drop()


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a list of numbers such as 1,2,7") from None


def _span(text: str) -> tuple[str, int, int]:
    table, _, span = text.partition(":")
    first, _, last = span.partition("-")
    if table not in ("holding", "input", "coil", "discrete") or not first.isdecimal():
        raise typer.BadParameter(f"{text!r} is not a range such as holding:100-120")
    return table, int(first), int(last) if last.isdecimal() else int(first)


def _pair(text: str) -> tuple[int, int]:
    unit, _, code = text.partition(":")
    if not (unit.isdecimal() and code.isdecimal()):
        raise typer.BadParameter(f"{text!r} is not a unit and a code such as 1:4")
    return int(unit), int(code)
