"""`linewitness simulate torque`: a torque controller with Open Protocol and configurable faults."""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from linewitness.base.stopping import on_signal
from linewitness_simulators.torque.control import set_faults
from linewitness_simulators.torque.memory import MemoryDamagedError
from linewitness_simulators.torque.model import ControllerDescription, Tool
from linewitness_simulators.torque.options import History, TorqueOptions
from linewitness_simulators.torque.server import serve


def command(  # noqa: PLR0917  (typer reads the options from the signature)
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0: any free port.")] = 4545,
    cycle_s: Annotated[
        float | None, typer.Option("--cycle", help="Seconds between automatic tightenings; default: none.")
    ] = None,
    per_unit: Annotated[int, typer.Option(help="Number of ok tightenings for each unit.")] = 4,
    nok_share: Annotated[float, typer.Option(help="Share of results that are not ok, 0 to 1.")] = 0.0,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps the memory; created if it does not exist.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the results.")] = 1,
    station: Annotated[int, typer.Option(help="Number of the virtual station.")] = 1,
    name: Annotated[str, typer.Option(help="Name of the controller.")] = "ST-07",
    serial: Annotated[str, typer.Option(help="Serial number of the controller.")] = "SIM0000001",
    tool: Annotated[str, typer.Option(help="Serial number of the tool.")] = "A1234567",
    first_id: Annotated[int, typer.Option(help="Id of the first result of an empty memory.")] = 1,
    zone: Annotated[str, typer.Option(help="Time zone of the controller's clock.")] = "UTC",
    max_revision: Annotated[
        int | None, typer.Option(help="Highest supported revision of every message.")
    ] = None,
    history: Annotated[History, typer.Option(help="How 0064 finds old results.")] = "exact",
    spindles: Annotated[int, typer.Option(help="Number of spindles that tighten together.")] = 1,
    ack_timeout_s: Annotated[
        float, typer.Option("--ack-timeout", help="Seconds until an unconfirmed push is sent again.")
    ] = 10.0,
    keep_alive_s: Annotated[
        float,
        typer.Option("--keep-alive", help="Seconds of silence after which a session ends; 0: no limit."),
    ] = 15.0,
    control_port: Annotated[
        int | None,
        typer.Option(
            help='Loopback port for commands, one JSON object a line, for example {"do": "tighten"}.'
        ),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="Inject a fault: NAME, or NAME=VALUE with a JSON value; repeatable."),
    ] = None,
) -> None:
    """Simulate a torque controller with Open Protocol."""
    options = TorqueOptions(
        host=host,
        port=port,
        cycle_s=cycle_s,
        per_unit=per_unit,
        nok_share=nok_share,
        state=state,
        seed=seed,
        station=replace(
            ControllerDescription(),
            name=name,
            serial=serial,
            station_id=station,
            station_name=f"Virtual station {station}",
        ),
        tool=Tool(serial=tool),
        first_id=first_id,
        zone=zone,
        max_revision=max_revision,
        history=history,
        spindles=spindles,
        ack_timeout_s=ack_timeout_s,
        keep_alive_s=keep_alive_s,
        control_port=control_port,
    )
    try:
        ZoneInfo(zone)
        asyncio.run(_run(options, parse_faults(fault or [])))
    except ZoneInfoNotFoundError as error:
        raise typer.BadParameter("no such time zone; try Europe/Berlin", param_hint="--zone") from error
    except OSError as error:
        raise typer.BadParameter(str(error), param_hint="--port, --control-port or --state") from error
    except MemoryDamagedError as error:
        raise typer.BadParameter(str(error), param_hint="--state") from error


def parse_faults(switches: list[str]) -> dict[str, object]:
    """Return the switches by name: NAME means true, NAME=VALUE takes JSON, or else text."""
    values: dict[str, object] = {}
    for switch in switches:
        name, equals, text = switch.partition("=")
        try:
            values[name] = json.loads(text) if equals else True
        except ValueError:
            values[name] = text
    return values


async def _run(options: TorqueOptions, faults: dict[str, object]) -> None:
    stop = on_signal()
    async with serve(options) as simulator:
        try:
            set_faults(simulator.faults, faults)
        except (KeyError, ValueError) as error:
            raise typer.BadParameter(str(error.args[0]), param_hint="--fault") from error
        typer.echo(f"ready {simulator.url}")
        if simulator.control_port is not None:
            typer.echo(f"control tcp://127.0.0.1:{simulator.control_port}")
        sys.stdout.flush()
        await stop.wait()
