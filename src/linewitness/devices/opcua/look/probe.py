"""Look at a server now: what it offers, who it is, what time it has, and what some nodes say."""

from collections.abc import Sequence
from dataclasses import dataclass

from asyncua import ua
from cryptography.x509 import Certificate

from linewitness.base.clock import Clock, to_rfc3339
from linewitness.devices.opcua.connection.certificates import describe, parse_certificate
from linewitness.devices.opcua.connection.client import first_of_chain, offered_endpoints, opened
from linewitness.devices.opcua.connection.failures import spoken
from linewitness.devices.opcua.connection.server import CURRENT_TIME, ask_server, read, server_time
from linewitness.devices.opcua.connection.wire import StatusCodes
from linewitness.devices.opcua.decoding.times import ServerClock, verbatim
from linewitness.devices.opcua.decoding.values import Value, plain, quality, status_name
from linewitness.devices.opcua.nodes import resolve
from linewitness.devices.opcua.options import ServerOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One way in which a server lets clients in."""

    policy: str
    mode: str
    users: tuple[str, ...]
    certificate: Certificate | None

    @property
    def shown(self) -> str:
        """The certificate in words; empty without one."""
        return describe(self.certificate) if self.certificate else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What one node says now, with all three times."""

    node: str
    value: Value
    type: str
    quality: str
    status: str
    source_time: str | None
    server_time: str | None
    gateway_time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReport:
    """What a probe found."""

    identity: dict[str, str]
    namespaces: tuple[str, ...]
    clock_offset_ms: int | None
    clock_unc_ms: int | None
    readings: tuple[Probed, ...]


async def offers(endpoint: str, *, timeout_s: float = 4.0) -> list[Offer]:
    """Return how a server lets clients in. It is asked in the clear: nothing of it is proven yet."""
    with spoken(ServerOptions(endpoint=endpoint, timeout_s=timeout_s)):
        found = await offered_endpoints(endpoint, timeout_s)
    return [
        Offer(
            policy=(one.SecurityPolicyUri or "").rpartition("#")[2],
            mode=one.SecurityMode.name.rstrip("_"),
            users=tuple(sorted({token.TokenType.name for token in one.UserIdentityTokens or []})),
            certificate=(
                parse_certificate(first_of_chain(one.ServerCertificate)) if one.ServerCertificate else None
            ),
        )
        for one in found
    ]


async def probe(options: ServerOptions, nodes: Sequence[str], *, clock: Clock) -> ServerReport:
    """Connect as the driver would and read some nodes; DeviceUnavailable or DeviceRefused."""
    async with opened(options, clock) as client:
        with spoken(options):
            server = await ask_server(client)
            measured = ServerClock()
            asked = clock.stamp()
            told = server_time((await read(client, [CURRENT_TIME], limit=1))[0])
            answered = clock.stamp()
            offset = None if told is None else measured.measure(asked=asked, answered=answered, server=told)
            readings: list[Probed] = []
            for text in nodes:
                node = resolve(text, server.namespaces)
                value = (
                    ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(StatusCodes.BadNodeIdUnknown)))
                    if node is None
                    else (await read(client, [node], limit=1))[0]
                )
                readings.append(_probed(text, value, clock))
    return ServerReport(
        identity=dict(server.identity),
        namespaces=tuple(server.namespaces),
        clock_offset_ms=None if offset is None else round(offset.ahead_ns / 1_000_000),
        clock_unc_ms=None if offset is None else offset.unc_ns // 1_000_000 + 1,
        readings=tuple(readings),
    )


def _probed(text: str, value: ua.DataValue, clock: Clock) -> Probed:
    kind = value.Value.VariantType if value.Value else None
    return Probed(
        node=text,
        value=plain(value.Value),
        type="" if kind is None else str(kind.name),
        quality=quality(value.StatusCode).value,
        status=status_name(value.StatusCode),
        source_time=verbatim(value.SourceTimestamp) if value.SourceTimestamp else None,
        server_time=verbatim(value.ServerTimestamp) if value.ServerTimestamp else None,
        gateway_time=to_rfc3339(clock.stamp().realtime_ns),
    )
