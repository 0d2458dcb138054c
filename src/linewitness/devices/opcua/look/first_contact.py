"""Reach a secured server before there is a YAML, and ask once whether its certificate is trusted."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn, get_args

from cryptography.x509 import Certificate
from pydantic import ValidationError

from linewitness.base.clock import Clock
from linewitness.base.errors import ConfigurationError
from linewitness.devices.opcua.connection.certificates import (
    TrustList,
    application_uri,
    describe,
    fingerprint,
    store,
    thumbprint,
)
from linewitness.devices.opcua.connection.client import MODES, POLICIES, offered_certificate
from linewitness.devices.opcua.connection.failures import spoken
from linewitness.devices.opcua.options import OpcUaOptions, Policy, ServerOptions
from linewitness.devices.spec import Access, ProbeAddress

#: Where a certificate is stored that was compared at the terminal, as the sample's YAML has it.
TRUSTED: Final = Path("certs/trusted")
_POLICIES: Final = {re.sub("_", "", name): name for name in get_args(Policy)}
_MODES: Final = {re.sub("_", "", name): name for name in MODES}
_EXAMPLE: Final = "write it as `linewitness probe` lists it, for example Basic256Sha256/SignAndEncrypt"


def options_at(address: ProbeAddress) -> ServerOptions:
    """Return how the server at an address is reached; ConfigurationError says which option is missing."""
    access = address.access
    settings: dict[str, Any] = {"endpoint": address.url, "security": _security(access)}
    if access.user:
        settings["user"] = {"name": access.user, "password": access.password}
    try:
        return ServerOptions.model_validate(settings)
    except ValidationError as error:
        what = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigurationError(what, hint="`linewitness probe --help` shows the options") from None


def _security(access: Access) -> dict[str, Any]:
    policy, mode = _words(access.security)
    if policy == "none":
        if access.certificate or access.key or access.server_certificate:
            raise ConfigurationError(
                "certificates are of no use without security", hint=f"--security: {_EXAMPLE}"
            )
        return {"policy": "none"}
    if access.certificate is None:
        raise ConfigurationError(
            f"--security {access.security} needs a certificate of ours",
            hint="pass --certificate and --key; `linewitness keys opcua` makes both",
        )
    key = access.key or access.certificate.with_suffix(".pem")
    if access.key is None and not key.exists():
        raise ConfigurationError(
            f"the key of {access.certificate} is not in {key}", hint="pass it with --key"
        )
    ours = {"policy": policy, "mode": mode, "certificate": access.certificate, "key": {"file": key}}
    if access.server_certificate is not None:
        return {**ours, "server_certificate": access.server_certificate}
    return {**ours, "trusted": access.trusted or TRUSTED}


def _words(text: str) -> tuple[str, str]:
    """Return policy and mode as the YAML names them; both are taken in the server's words as well."""
    policy, *rest = [re.sub("[_-]", "", word).lower() for word in re.split(r"[\s/]+", text.strip())]
    mode = rest[0] if rest else "signandencrypt"
    if policy in {"", "none"} and rest in ([], ["none"]):
        return "none", "sign_and_encrypt"
    if policy not in _POLICIES or policy == "none" or mode not in _MODES or len(rest) > 1:
        raise ConfigurationError(f"--security {text} is no policy and mode that we know", hint=_EXAMPLE)
    return _POLICIES[policy], _MODES[mode]


async def settle_trust(options: ServerOptions, clock: Clock, confirm: Callable[[str], None] | None) -> None:
    """Ask whether to trust the server's certificate if it is not in the trust folder; yes stores it there.

    Without a terminal a server that is named by a YAML is left to the driver, which refuses it.
    """
    security = options.security
    if security.policy == "none" or security.trusted is None:
        return
    with spoken(options):
        shown = await offered_certificate(
            options.endpoint, POLICIES[security.policy].URI, MODES[security.mode], options.timeout_s
        )
    trusted = TrustList(trusted=security.trusted, rejected=None, clock=clock)
    if security.trusted.is_dir() and trusted.knows(shown):
        return
    if confirm is not None:
        ask_trust(options.endpoint, shown, security.trusted, confirm)
    elif not isinstance(options, OpcUaOptions):
        refuse_unasked(shown, security.trusted)


def ask_trust(endpoint: str, shown: Certificate, folder: Path, confirm: Callable[[str], None]) -> Path:
    """Show a certificate, ask whether it is the server's, and store it; return where it is."""
    confirm(
        f"{endpoint} shows this certificate, which is not trusted yet:\n"
        f"  subject      {shown.subject.rfc4514_string()}\n"
        f"  application  {application_uri(shown) or '(names none)'}\n"
        f"  SHA-256      {fingerprint(shown)}\n"
        f"  SHA-1        {thumbprint(shown)}\n"
        f"  valid        {shown.not_valid_before_utc:%Y-%m-%d} to {shown.not_valid_after_utc:%Y-%m-%d}\n"
        f"Compare it with the server's own display. Trust it, and store it in {folder}?"
    )
    return store(shown, folder)


def refuse_unasked(shown: Certificate, folder: Path) -> NoReturn:
    """Raise ConfigurationError: there is nobody to ask. The certificate is stored for a look."""
    path = store(shown, folder.with_name("rejected"))
    raise ConfigurationError(
        f"the server's certificate is not trusted, and there is no terminal to ask: {describe(shown)}",
        hint=f"compare it with the server's own display, then pass --server-certificate {path}",
    )
