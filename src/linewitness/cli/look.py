"""`linewitness probe` and `browse`: inspect a device, and print YAML for its configuration."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from linewitness.base.errors import ConfigurationError

_TARGET = re.compile(r"(?P<scheme>[a-z.+-]+)://(?P<host>\[[^\]]+\]|[^/:]+)(:(?P<port>\d+))?(?P<rest>/.*)?")
_SPAN = re.compile(r"(?P<table>holding|input|coil|discrete):(?P<first>\d+)-(?P<last>\d+)")

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

    driver, options = _options(target, device, unit=unit)
    if driver == "opcua":
        asyncio.run(_probe_opcua(options, node or [], trust))
    elif driver == "modbus":
        asyncio.run(_probe_modbus(options, scan or []))
    elif driver == "open_protocol":
        asyncio.run(_probe_open_protocol(options))
    else:
        raise ConfigurationError(
            f"there is no probe for {driver}", hint="`linewitness check` says what its settings mean"
        )


def browse(
    target: Target,
    device: Device = None,
    *,
    start: Annotated[str, typer.Option(help="Node to start at.")] = "i=85",
    depth: Annotated[int, typer.Option(min=1, max=50, help="Maximum depth.")] = 12,
    matching: Annotated[
        str, typer.Option("--filter", help="Regular expression that a path must match.")
    ] = "",
) -> None:
    """List the variables of an OPC UA server as YAML points, with types and units."""
    import asyncio

    from linewitness.base.clock import SystemClock
    from linewitness.cli.progress import counting
    from linewitness.devices.opcua.browse import browse as walk
    from linewitness.devices.opcua.browse import to_yaml

    driver, options = _options(target, device, unit=1)
    if driver != "opcua":
        raise ConfigurationError("only OPC UA servers can be browsed", hint="use `linewitness probe --scan`")
    with counting("nodes visited") as tick:
        found = asyncio.run(
            walk(
                options,
                clock=SystemClock(),
                start=start,
                depth=depth,
                pattern=matching,
                progress=lambda visited, _waiting: tick(visited),
            )
        )
    typer.echo(to_yaml(found), nl=False)


def _options(target: str, device: str | None, *, unit: int) -> tuple[str, Any]:
    """Return the driver's name and its options, from a YAML or from an address alone."""
    from linewitness.config import load

    match = _TARGET.fullmatch(target)
    if match is None:
        config = load(Path(target))
        for options in config.devices:
            if options.id == device:
                return options.driver, options
        known = ", ".join(options.id for options in config.devices)
        raise ConfigurationError(f"{target} has no device {device}", hint=f"it has {known}")
    host, port = match["host"].strip("[]"), match["port"]
    place: dict[str, Any] = {"id": "probed", "host": host} | ({"port": int(port)} if port else {})
    if match["scheme"] == "opc.tcp":
        from linewitness.devices.opcua.options import ServerOptions

        return "opcua", ServerOptions(endpoint=target)
    if match["scheme"] == "modbus":
        return "modbus", _class("modbus")(driver="modbus", device_id=unit, **place)
    if match["scheme"] == "open-protocol":
        return "open_protocol", _class("open_protocol")(driver="open_protocol", **place)
    raise ConfigurationError(
        f"{match['scheme']}:// is not a kind of device that can be probed",
        hint="use opc.tcp://, modbus:// or open-protocol://",
    )


def _class(driver: str) -> Any:
    from linewitness.devices.table import options_class

    return options_class(driver)


async def _probe_opcua(options: Any, nodes: list[str], trust: Path | None) -> None:
    from linewitness.base.clock import SystemClock
    from linewitness.devices.opcua.probe import offers, probe

    offered = await offers(options.endpoint)
    typer.echo(f"{options.endpoint} offers")
    for one in offered:
        typer.echo(f"  {one.policy or 'None'} {one.mode}, users {', '.join(one.users)}")
    certificates = {one.shown: one.certificate for one in offered if one.certificate is not None}
    for shown, certificate in certificates.items():
        typer.echo(f"server certificate (not proven yet)\n  {shown}")
        if trust is not None:
            _ask_to_trust(certificate, trust)
    nodes = [*(point.node for point in getattr(options, "points", ())), *nodes]
    report = await probe(options, nodes, clock=SystemClock())
    for name, value in report.identity.items():
        typer.echo(f"{name}: {value}")
    typer.echo(f"namespaces: {', '.join(report.namespaces)}")
    if report.clock_offset_ms is not None:
        typer.echo(f"clock: {report.clock_offset_ms:+d} ms against ours, ±{report.clock_unc_ms} ms")
    for reading in report.readings:
        typer.echo(f"{reading.node} = {reading.value} ({reading.type}) {reading.quality} {reading.status}")
        times = f"source {reading.source_time}, server {reading.server_time}, gateway {reading.gateway_time}"
        typer.echo(f"  {times}")


def _ask_to_trust(certificate: Any, folder: Path) -> None:
    from linewitness.devices.opcua.probe import trust

    typer.confirm("Have you compared the fingerprint with the one that the server shows itself?", abort=True)
    typer.echo(f"trusted: {trust(certificate, folder)}")


async def _probe_modbus(options: Any, scan: list[str]) -> None:
    from linewitness.base.clock import SystemClock
    from linewitness.devices.modbus.probe import Span, probe

    spans = []
    for text in scan:
        match = _SPAN.fullmatch(text)
        if match is None:
            raise ConfigurationError(f"{text!r} is not a range of registers", hint="write holding:0-99")
        table: Any = match["table"]
        spans.append(Span(table=table, first=int(match["first"]), last=int(match["last"])))
    found = await probe(options, clock=SystemClock(), scan=spans)
    typer.echo(found.report())
    if spans:
        typer.echo(found.yaml(), nl=False)


async def _probe_open_protocol(options: Any) -> None:
    from linewitness.base.clock import SystemClock
    from linewitness.devices.open_protocol.probe import probe

    report = await probe(options, clock=SystemClock())
    for line in report.lines():
        typer.echo(line)
    typer.echo("")
    typer.echo(report.yaml, nl=False)
