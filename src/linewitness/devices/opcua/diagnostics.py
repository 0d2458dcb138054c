"""What `linewitness probe` and `linewitness browse` print of an OPC UA server."""

from collections.abc import AsyncIterator

from linewitness.devices.opcua.browse import browse, to_yaml
from linewitness.devices.opcua.options import OpcUaOptions, ServerOptions
from linewitness.devices.opcua.probe import offers, probe, trust
from linewitness.devices.spec import BrowseRequest, ProbeAddress, ProbeRequest

_QUESTION = "Have you compared the fingerprint with the one that the server shows itself?"


def options_at(address: ProbeAddress) -> ServerOptions:
    """Return how the server at an address is reached."""
    return ServerOptions(endpoint=address.url)


async def probe_output(options: ServerOptions, request: ProbeRequest) -> AsyncIterator[str]:
    """Yield what the server offers, who it is, what time it has, and what its points and nodes read."""
    offered = await offers(options.endpoint)
    yield f"{options.endpoint} offers"
    for one in offered:
        yield f"  {one.policy or 'None'} {one.mode}, users {', '.join(one.users)}"
    certificates = {one.shown: one.certificate for one in offered if one.certificate is not None}
    for shown, certificate in certificates.items():
        yield f"server certificate (not proven yet)\n  {shown}"
        if request.trust is not None:
            request.confirm(_QUESTION)
            yield f"trusted: {trust(certificate, request.trust)}"
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


async def browse_output(options: ServerOptions, request: BrowseRequest) -> str:
    """Return the server's variables as points to paste, with types and units."""
    found = await browse(
        options,
        clock=request.clock,
        start=request.start,
        depth=request.depth,
        pattern=request.pattern,
        progress=lambda visited, _waiting: request.progress(visited),
    )
    return to_yaml(found)
