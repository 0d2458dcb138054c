"""What `linewitness probe` and `linewitness browse` print of an OPC UA server."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from cryptography.x509 import Certificate

from linewitness.base.errors import DeviceRefused
from linewitness.devices.opcua.connection.certificates import TrustList
from linewitness.devices.opcua.look.browse import browse
from linewitness.devices.opcua.look.first_contact import ask_trust, refuse_unasked, settle_trust
from linewitness.devices.opcua.look.points_yaml import to_yaml
from linewitness.devices.opcua.look.probe import offers, probe
from linewitness.devices.opcua.options import OpcUaOptions, ServerOptions
from linewitness.devices.spec import BrowseRequest, ProbeRequest

_LISTS_NOTHING: Final = (
    "it lists nothing without security: copy its certificate from it, then pass --security, --certificate "
    "and --server-certificate"
)


async def probe_output(options: ServerOptions, request: ProbeRequest) -> AsyncIterator[str]:
    """Yield what the server offers, who it is, what time it has, and what its points and nodes read."""
    try:
        offered = await offers(options.endpoint)
        yield f"{options.endpoint} offers"
    except DeviceRefused as error:
        if options.security.server_certificate is None:
            raise DeviceRefused(error.what, hint=_LISTS_NOTHING) from error
        offered = []
        yield f"{options.endpoint} does not list what it offers to clients without security"
    for one in offered:
        yield f"  {one.policy or 'None'}/{one.mode}, users {', '.join(one.users)}"
    certificates = {one.shown: one.certificate for one in offered if one.certificate is not None}
    for shown, certificate in certificates.items():
        yield f"server certificate (not proven yet)\n  {shown}"
        # Its own folder is settled below, for the certificate that is used.
        if request.trust is not None and request.trust != options.security.trusted:
            yield _trusted(options, certificate, request.trust, request)
    await settle_trust(options, request.clock, request.confirm)
    points = options.points if isinstance(options, OpcUaOptions) else ()
    report = await probe(options, [*(point.node for point in points), *request.nodes], clock=request.clock)
    for name, value in report.identity.items():
        yield f"{name}: {value}"
    yield f"namespaces: {', '.join(report.namespaces)}"
    if report.clock_offset_ms is not None:
        yield f"clock: {report.clock_offset_ms:+d} ms against ours, ±{report.clock_unc_ms} ms"
    for reading in report.readings:
        yield f"{reading.node} = {reading.value} ({reading.type}) {reading.quality} {reading.status}"
        times = f"source {reading.source_time}, server {reading.server_time}, gateway {reading.gateway_time}"
        yield f"  {times}"


def _trusted(options: ServerOptions, certificate: Certificate, folder: Path, request: ProbeRequest) -> str:
    """Store a certificate in the folder that the command names, after the question; return what was done."""
    if folder.is_dir() and TrustList(trusted=folder, rejected=None, clock=request.clock).knows(certificate):
        return f"trusted already: {folder}"
    if request.confirm is None:
        refuse_unasked(certificate, folder)
    return f"trusted: {ask_trust(options.endpoint, certificate, folder, request.confirm)}"


async def browse_output(options: ServerOptions, request: BrowseRequest) -> str:
    """Return the server's variables as points to paste, with types and units."""
    await settle_trust(options, request.clock, request.confirm)
    found = await browse(
        options,
        clock=request.clock,
        start=request.start,
        depth=request.depth,
        pattern=request.pattern,
        progress=lambda visited, _waiting: request.progress(visited),
    )
    return to_yaml(found, request.place)
