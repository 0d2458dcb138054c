"""`linewitness probe` and `browse`: inspect a device, and print YAML for its configuration."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linewitness.base.errors import ConfigurationError

if TYPE_CHECKING:
    from linewitness.devices.spec import DriverSpec, ProbeRequest

Target = Annotated[
    str,
    typer.Argument(
        help="opc.tcp://host:4840, modbus://host:502, open-protocol://host:4545, or a line's YAML.",
        show_default=False,
    ),
]
Device = Annotated[str | None, typer.Argument(help="With a YAML: the id of the device.", show_default=False)]
Security = Annotated[
    str,
    typer.Option(
        help="OPC UA: policy and mode as `probe` lists them, for example Basic256Sha256/SignAndEncrypt.",
        show_default=False,
    ),
]
User = Annotated[
    str,
    typer.Option(help="OPC UA: who logs on; the password is asked on the terminal.", show_default=False),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(help="OPC UA: file that holds the password, mode 0600; it is not asked for then."),
]
Certificate = Annotated[
    Path | None,
    typer.Option(help="OPC UA: our certificate, made by `linewitness keys opcua`; --security needs it."),
]
Key = Annotated[
    Path | None,
    typer.Option(help="OPC UA: private key of our certificate; default: beside it, with the ending .pem."),
]
ServerCertificate = Annotated[
    Path | None,
    typer.Option(help="OPC UA: the certificate that the server must show; nothing is asked then."),
]
Trust = Annotated[
    Path | None,
    typer.Option(
        help="OPC UA: folder of trusted certificates; the server's is stored there after a question. "
        "Default with --security: certs/trusted."
    ),
]


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
    security: Security = "",
    user: User = "",
    password_file: PasswordFile = None,
    certificate: Certificate = None,
    key: Key = None,
    server_certificate: ServerCertificate = None,
    trust: Trust = None,
) -> None:
    """Query a device once: identity, capabilities, current values and clock."""
    import asyncio

    from linewitness.base.clock import SystemClock
    from linewitness.cli.looked_at import access, confirmation, looked_at
    from linewitness.devices.spec import ProbeRequest

    given = access(
        security=security,
        user=user,
        password_file=password_file,
        certificate=certificate,
        key=key,
        server_certificate=server_certificate,
        trusted=trust if security else None,
    )
    found = looked_at(target, device, unit=unit, access=given)
    request = ProbeRequest(
        clock=SystemClock(), confirm=confirmation(), nodes=node or (), scan=scan or (), trust=trust
    )
    asyncio.run(_probe(found.spec, found.options, request))


def browse(
    target: Target,
    device: Device = None,
    *,
    start: Annotated[str, typer.Option(help="Node to start at.")] = "i=85",
    depth: Annotated[int, typer.Option(min=1, max=50, help="Maximum depth.")] = 12,
    matching: Annotated[
        str, typer.Option("--filter", help="Regular expression (RE2) that a path must match.")
    ] = "",
    security: Security = "",
    user: User = "",
    password_file: PasswordFile = None,
    certificate: Certificate = None,
    key: Key = None,
    server_certificate: ServerCertificate = None,
    trust: Trust = None,
) -> None:
    """List the variables of an OPC UA server as YAML points, with types and units."""
    import asyncio

    from linewitness.base.clock import SystemClock
    from linewitness.base.patterns import Pattern, PatternError
    from linewitness.cli.looked_at import access, confirmation, looked_at
    from linewitness.cli.progress import counting
    from linewitness.devices.spec import BrowseRequest
    from linewitness.devices.table import BUNDLED

    given = access(
        security=security,
        user=user,
        password_file=password_file,
        certificate=certificate,
        key=key,
        server_certificate=server_certificate,
        trusted=trust,
    )
    found = looked_at(target, device, unit=1, access=given)
    if not found.spec.browse:
        able = ", ".join(each.title for each in BUNDLED if each.browse)
        raise ConfigurationError(
            f"{found.spec.title} cannot be browsed, only {able}", hint="use `linewitness probe --scan`"
        )
    try:
        Pattern(matching)
    except PatternError as error:
        raise ConfigurationError(f"--filter: {error}") from None
    with counting("nodes visited") as tick:
        request = BrowseRequest(
            clock=SystemClock(),
            confirm=confirmation(),
            progress=tick,
            start=start,
            depth=depth,
            pattern=matching,
            place=found.place,
        )
        points = asyncio.run(found.spec.load(found.spec.browse)(found.options, request))
    if not points:
        typer.echo("no variable that may be read was found: try another --start or --filter", err=True)
    typer.echo(points, nl=False)


async def _probe(spec: "DriverSpec", options: Any, request: "ProbeRequest") -> None:
    if spec.probe is None:
        raise ConfigurationError(
            f"there is no probe for {spec.name}", hint="`linewitness check` says what its settings mean"
        )
    async for line in spec.load(spec.probe.output)(options, request):
        typer.echo(line)
