"""Say what happened on a connection in words that tell an operator what to do."""

import contextlib
from collections.abc import Iterator
from typing import Final

from asyncua import ua
from cryptography.exceptions import InvalidSignature

from linewitness.base.errors import ConfigurationError, DeviceRefused, DeviceUnavailable
from linewitness.devices.endings import how_ended
from linewitness.devices.opcua.connection.wire import StatusCodes, UaError, UaStatusCodeError
from linewitness.devices.opcua.options import ServerOptions

_CODES = StatusCodes
#: What messages call the other side.
SERVER: Final = "the server"
#: Status codes that require operator action, with the hint what to do.
REFUSALS: Final[dict[int, str]] = {
    _CODES.BadSecurityChecksFailed: "let the server trust our certificate (look into its rejected folder)",
    _CODES.BadCertificateUntrusted: "let the server trust our certificate (look into its rejected folder)",
    _CODES.BadCertificateInvalid: "make a new certificate with `linewitness keys opcua`",
    _CODES.BadCertificateTimeInvalid: "our certificate is out of date, or the server's clock is wrong",
    _CODES.BadCertificateUriInvalid: "the certificate must name our application URI: make a new one",
    _CODES.BadCertificateHostNameInvalid: "make a certificate that names this machine",
    _CODES.BadCertificateUseNotAllowed: "make a new certificate with `linewitness keys opcua`",
    _CODES.BadCertificateRevoked: "the server has revoked our certificate: make a new one",
    _CODES.BadSecurityPolicyRejected: "choose a security policy that the server offers",
    _CODES.BadSecurityModeRejected: "choose a security mode that the server offers",
    _CODES.BadSecurityModeInsufficient: "the server asks for more security: set security.policy",
    _CODES.BadUserAccessDenied: "check user.name and the password file",
    _CODES.BadIdentityTokenInvalid: "check user.name and the password file",
    _CODES.BadIdentityTokenRejected: "the server does not let this kind of user in: check user:",
    _CODES.BadUserSignatureInvalid: "check user.certificate and user.key",
    _CODES.BadTcpEndpointUrlInvalid: "check the path in endpoint:",
    _CODES.BadServiceUnsupported: "try mode: poll",
}


@contextlib.contextmanager
def spoken(options: ServerOptions) -> Iterator[None]:
    """Turn what the library raises into DeviceRefused or DeviceUnavailable, with what to do."""
    endpoint = options.endpoint
    try:
        yield
    except UaStatusCodeError as error:
        name = ua.StatusCode(error.code).name
        if error.code in REFUSALS:
            raise DeviceRefused(f"{endpoint} refused us: {name}", hint=REFUSALS[error.code]) from error
        raise DeviceUnavailable(f"{endpoint} answered {name}") from error
    except TimeoutError as error:
        raise DeviceUnavailable(
            f"{endpoint}: no answer within {options.timeout_s:g} s", hint="check address, cable and firewall"
        ) from error
    except InvalidSignature as error:
        raise DeviceRefused(
            f"{endpoint} does not hold the key of its certificate",
            hint="find out what answers at this address",
        ) from error
    except ConfigurationError as error:
        # A file that the YAML names is wrong: this device parks, the others go on.
        raise DeviceRefused(error.what, hint=error.hint) from error
    except ConnectionRefusedError as error:
        raise DeviceUnavailable(
            f"{endpoint}: nothing listens there", hint="check address and port, and that the server runs"
        ) from error
    except ConnectionError as error:
        raise DeviceUnavailable(f"{endpoint}: {how_ended(error, SERVER)}") from error
    except OSError as error:
        raise DeviceUnavailable(f"{endpoint} cannot be reached: {error}") from error
    except UaError as error:
        raise _unsuitable(endpoint, error) from error


def _unsuitable(endpoint: str, error: UaError) -> DeviceRefused | DeviceUnavailable:
    text = str(error)
    if "No matching endpoints" in text:
        return DeviceRefused(
            f"{endpoint} does not offer this security policy and mode",
            hint="`linewitness probe` lists what it offers; we never fall back to less",
        )
    if "certificate mismatch" in text:
        return DeviceRefused(
            f"{endpoint} showed another certificate than security.server_certificate",
            hint="compare both; if the server was renewed, replace the file",
        )
    return DeviceUnavailable(f"{endpoint} sent what we do not understand: {text}")


class DeviceAnswerTooLarge(DeviceUnavailable):
    """The device sent more than we take in one message, and the connection was ended."""


def too_much(endpoint: str, exceeded: str) -> DeviceAnswerTooLarge:
    """Return the error for a message beyond our limits."""
    return DeviceAnswerTooLarge(
        f"{endpoint} {exceeded}: the connection was ended",
        hint="name single fields of large arrays or structures, or let the server limit its answers",
    )
