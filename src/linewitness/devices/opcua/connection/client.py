"""Open one secured session with a server, and close it so that nothing is left behind."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from asyncua import ua
from asyncua.crypto import security_policies
from cryptography.x509 import Certificate

from linewitness.base.clock import Clock
from linewitness.base.errors import ConfigurationError, DeviceRefused, DeviceUnavailable
from linewitness.devices.opcua.connection.bounded import MessageLimits, bound
from linewitness.devices.opcua.connection.certificates import (
    ClientIdentity,
    TrustList,
    days_left,
    describe,
    load_certificate,
    load_identity,
    parse_certificate,
)
from linewitness.devices.opcua.connection.failures import REFUSALS, spoken, too_much
from linewitness.devices.opcua.connection.hardening import harden
from linewitness.devices.opcua.connection.wire import Client, StatusCodes
from linewitness.devices.opcua.options import ServerOptions

POLICIES: Final[dict[str, Any]] = {
    "none": security_policies.SecurityPolicyNone,
    "basic256sha256": security_policies.SecurityPolicyBasic256Sha256,
    "aes128_sha256_rsaoaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "aes256_sha256_rsapss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
MODES: Final = {
    "sign": ua.MessageSecurityMode.Sign,
    "sign_and_encrypt": ua.MessageSecurityMode.SignAndEncrypt,
}
#: The server forgets a session of ours that broke off without a word after this time.
SESSION_TIMEOUT_MS: Final = 60_000
#: Keys of the secure channel are renewed after three quarters of this time.
CHANNEL_LIFETIME_MS: Final = 3_600_000
CLOSE_TIMEOUT_S: Final = 2.0
#: The library's own watch would read the server's state; the session does that itself.
NEVER_S: Final = 86_400.0


def _new_client(endpoint: str, timeout_s: float) -> tuple[Client, MessageLimits]:
    """Return a client of the hardened library; every client is made here."""
    harden()
    client = Client(endpoint, timeout=timeout_s, watchdog_intervall=NEVER_S)
    return client, bound(client)


@contextlib.asynccontextmanager
async def opened(options: ServerOptions, clock: Clock) -> AsyncIterator[Client]:
    """Open a session; DeviceUnavailable, DeviceRefused or ConfigurationError where that fails."""
    client, bounds = _new_client(options.endpoint, options.timeout_s)
    client.name = "Linewitness"
    client.description = "Linewitness"
    client.product_uri = "urn:linewitness"
    client.application_uri = f"urn:{socket.gethostname()}:linewitness"
    client.session_timeout = SESSION_TIMEOUT_MS
    client.secure_channel_timeout = CHANNEL_LIFETIME_MS
    with spoken(options):
        await _set_user(client, options)
        await _set_security(client, options, clock)
    try:
        try:
            with spoken(options):
                # One limit for the whole handshake: a server that answers each step slowly is away too.
                async with asyncio.timeout(4 * options.timeout_s):
                    await _connect(client, options)
        except (DeviceUnavailable, DeviceRefused):
            await _raise_if_another(client, options)
            raise
        yield client
    except DeviceUnavailable as error:
        # The library knows only that the connection is closed.
        if bounds.exceeded:
            raise too_much(options.endpoint, bounds.exceeded) from error
        if bounds.ended:
            raise DeviceUnavailable(f"{options.endpoint}: {bounds.ended}") from error
        raise
    finally:
        await _close(client)


async def _connect(client: Client, options: ServerOptions) -> None:
    try:
        await client.connect()
    except (AssertionError, AttributeError) as error:
        # The library trips over a server that answers the request for a secure channel with a fault.
        raise DeviceRefused(
            f"{options.endpoint} refused to open a secure channel",
            hint=REFUSALS[StatusCodes.BadCertificateUntrusted],
        ) from error


async def _raise_if_another(client: Client, options: ServerOptions) -> None:
    """Say so if the server has another certificate than the pinned one: it could not even answer."""
    pinned = server_certificate(client)
    if pinned is None:
        return
    policy, mode = client.security_policy.URI, client.security_policy.Mode
    try:
        with spoken(options):
            found = await offered_certificate(options.endpoint, policy, mode, options.timeout_s)
    except (DeviceUnavailable, DeviceRefused):
        return  # some servers show nothing without security: why they refused us is known already
    if found != pinned:
        raise DeviceRefused(
            f"{options.endpoint} shows another certificate than the expected one: {describe(found)}",
            hint="if the server was renewed, compare it with the server's display and replace the file",
        )


async def _close(client: Client) -> None:
    """Close session, channel and socket; a server that does not answer is left after a moment."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await client.disconnect()
    except TimeoutError:
        return
    finally:
        client.disconnect_socket()


async def _set_user(client: Client, options: ServerOptions) -> None:
    user = options.user
    if user is None:
        return
    if user.name is not None and user.password is not None:
        await _require_secrecy(options)
        client.set_user(user.name)
        client.set_password(user.password.read())
    elif user.certificate is not None and user.key is not None:
        identity = load_identity(user.certificate, user.key)
        client.user_certificate = identity.certificate
        client.user_private_key = identity.key


async def _require_secrecy(options: ServerOptions) -> None:
    """Refuse to log on where the password would be readable on the network."""
    security = options.security
    if security.policy != "none" and security.mode == "sign_and_encrypt":
        return
    mode = ua.MessageSecurityMode.None_ if security.policy == "none" else MODES[security.mode]
    policy = POLICIES[security.policy]
    found = Client.find_endpoint(
        await offered_endpoints(options.endpoint, options.timeout_s), mode, policy.URI
    )
    for token in found.UserIdentityTokens:
        token_policy = token.SecurityPolicyUri or policy.URI
        if token.TokenType == ua.UserTokenType.UserName and token_policy != POLICIES["none"].URI:
            return
    raise DeviceRefused(
        f"the password would go to {options.endpoint} in the clear",
        hint="set security.policy, or let the server ask for encrypted passwords",
    )


async def _set_security(client: Client, options: ServerOptions, clock: Clock) -> None:
    security = options.security
    if security.policy == "none":
        return
    if security.certificate is None or security.key is None:  # the options' validator refuses this before
        raise ConfigurationError("security needs certificate and key")
    identity: ClientIdentity = load_identity(security.certificate, security.key)
    mode, policy = MODES[security.mode], POLICIES[security.policy]
    client.application_uri = identity.application_uri or client.application_uri
    if security.server_certificate is not None:
        server = load_certificate(security.server_certificate)
    else:
        server = await offered_certificate(options.endpoint, policy.URI, mode, options.timeout_s)
        if security.trusted is not None:
            TrustList(trusted=security.trusted, rejected=security.rejected, clock=clock).check(server)
    client.security_policy = policy(server, identity.certificate, identity.key, mode)
    client.uaclient.set_security(client.security_policy)


async def offered_certificate(
    endpoint: str, policy_uri: str, mode: ua.MessageSecurityMode, timeout_s: float
) -> Certificate:
    """Ask for the certificate of the endpoint with this policy and mode; nothing it says is trusted yet."""
    found = await offered_endpoints(endpoint, timeout_s)
    return parse_certificate(first_of_chain(Client.find_endpoint(found, mode, policy_uri).ServerCertificate))


async def offered_endpoints(endpoint: str, timeout_s: float) -> list[ua.EndpointDescription]:
    """Ask a server for its endpoints over an open channel; what the library raises is passed on."""
    asking, _ = _new_client(endpoint, timeout_s)
    async with asyncio.timeout(2 * timeout_s):
        return await asking.connect_and_get_server_endpoints()


def first_of_chain(der: bytes) -> bytes:
    """Return the server's own certificate from a DER chain: its length stands in bytes 2 and 3."""
    return der[: int.from_bytes(der[2:4], "big") + 4]


def server_certificate(client: Client) -> Certificate | None:
    """Return the certificate of the server that we are connected to, if it showed one."""
    der = client.security_policy.peer_certificate
    return parse_certificate(first_of_chain(der)) if der else None


def own_certificate(client: Client) -> Certificate | None:
    """Return the certificate that we showed, if any."""
    der = client.security_policy.host_certificate
    return parse_certificate(der) if der else None


def certificates_left(client: Client, clock: Clock) -> Mapping[str, str]:
    """Return for how many days the certificates of both sides are still valid, where there are any."""
    pairs = {"our_certificate": own_certificate(client), "certificate": server_certificate(client)}
    return {
        f"{name}.days_left": str(days_left(certificate, clock))
        for name, certificate in pairs.items()
        if certificate is not None
    }
