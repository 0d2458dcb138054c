"""`linewitness probe` and `browse`: inspect a device, and print YAML for its configuration."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linewitness.base.errors import ConfigurationError

if TYPE_CHECKING:
    from linewitness.devices.spec import DriverSpec, ProbeRequest

_TARGET = re.compile(r"(?P<scheme>[a-z.+-]+)://(?P<host>\[[^\]]+\]|[^/:]+)(:(?P<port>\d+))?(?P<rest>/.*)?")

Target = Annotated[
    str,
    typer.Argument(
        help="opc.tcp://host:4840, modbus://host:502, open-protocol://host:4545, or a line's YAML.",
        show_default=False,
    ),
]
Device = Annotated[str | None, typer.Argument(help="With a YAML: the id of the device.", show_default=False)]


def probe(
    target: Target,
    device: Device = None,
    *,
    node: Annotated[list[str] | None, typer.Option(help="OPC UA: also read this node; repeatable.")] = None,
    scan: Annotated[
        list[str] | None,
        typer.Option(help="Modbus: scan these registers, for example holding:0-99; repeatable."),
    ] = None,
    unit: Annotated[int, typer.Option(min=0, max=255, help="Modbus: the unit identifier.")] = 1,
    trust: Annotated[
        Path | None,
        typer.Option(help="OPC UA: save the server's certificate in this folder, after a confirmation."),
    ] = None,
) -> None:
    """Query a device once: identity, capabilities, current values and clock."""
    import asyncio

    from linewitness.base.clock import SystemClock
    from linewitness.devices.spec import ProbeRequest

    spec, options = _device(target, device, unit=unit)
    request = ProbeRequest(
        clock=SystemClock(), confirm=_confirm, nodes=node or (), scan=scan or (), trust=trust
    )
    asyncio.run(_probe(spec, options, request))


def browse(
    target: Target,
    device: Device = None,
    *,
    start: Annotated[str, typer.Option(help="Node to start at.")] = "i=85",
    depth: Annotated[int, typer.Option(min=1, max=50, help="Maximum depth.")] = 12,
    matching: Annotated[
        str, typer.Option("--filter", help="Regular expression (RE2) that a path must match.")
    ] = "",
) -> None:
    """List the variables of an OPC UA server as YAML points, with types and units."""
    import asyncio

    from linewitness.base.clock import SystemClock
    from linewitness.base.patterns import Pattern, PatternError
    from linewitness.cli.progress import counting
    from linewitness.devices.spec import BrowseRequest
    from linewitness.devices.table import BUNDLED

    spec, options = _device(target, device, unit=1)
    if not spec.browse:
        able = ", ".join(each.title for each in BUNDLED if each.browse)
        raise ConfigurationError(
            f"{spec.title} cannot be browsed, only {able}", hint="use `linewitness probe --scan`"
        )
    try:
        Pattern(matching)
    except PatternError as error:
        raise ConfigurationError(f"--filter: {error}") from None
    with counting("nodes visited") as tick:
        request = BrowseRequest(
            clock=SystemClock(), progress=tick, start=start, depth=depth, pattern=matching
        )
        found = asyncio.run(spec.load(spec.browse)(options, request))
    typer.echo(found, nl=False)


async def _probe(spec: "DriverSpec", options: Any, request: "ProbeRequest") -> None:
    if spec.probe is None:
        raise ConfigurationError(
            f"there is no probe for {spec.name}", hint="`linewitness check` says what its settings mean"
        )
    async for line in spec.load(spec.probe.output)(options, request):
        typer.echo(line)


def _confirm(question: str) -> None:
    typer.confirm(question, abort=True)


def _device(target: str, device: str | None, *, unit: int) -> "tuple[DriverSpec, Any]":
    """Return the driver and its options, from a YAML or from an address alone."""
    from linewitness.config import load
    from linewitness.devices.spec import ProbeAddress
    from linewitness.devices.table import known

    match = _TARGET.fullmatch(target)
    if match is None:
        config = load(Path(target))
        for options in config.devices:
            if options.id == device:
                return known(options.driver), options
        listed = ", ".join(options.id for options in config.devices)
        raise ConfigurationError(f"{target} has no device {device}", hint=f"it has {listed}")
    spec = _driver_of(match["scheme"])
    host, port = match["host"].strip("[]"), match["port"]
    address = ProbeAddress(url=target, host=host, port=int(port) if port else None, unit=unit)
    return spec, spec.probe_options(address)


def _driver_of(scheme: str) -> "DriverSpec":
    from linewitness.devices.spec import DriverUnusable
    from linewitness.devices.table import usable

    drivers = [spec for spec in usable() if not isinstance(spec, DriverUnusable)]
    schemes = {spec.probe.scheme: spec for spec in drivers if spec.probe is not None}
    if scheme not in schemes:
        listed = [f"{each}://" for each in schemes]
        raise ConfigurationError(
            f"{scheme}:// is not a kind of device that can be probed",
            hint=f"use {', '.join(listed[:-1])} or {listed[-1]}",
        )
    return schemes[scheme]
