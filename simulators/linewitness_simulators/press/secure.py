"""Give the press's server a certificate, and decide which clients it lets in."""

from pathlib import Path
from typing import Any

from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from linewitness.base.clock import Clock
from linewitness.devices.opcua.connection.certificates import make_certificate, parse_certificate, write_key
from linewitness_simulators.press.library import ua


async def secure(
    server: Any, folder: Path | None, trusted_clients: Path | None, application_uri: str, clock: Clock
) -> None:
    """Offer all security policies with the certificate in `folder`, made if there is none."""
    if folder is None:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        return
    certificate, key = folder / "server.der", folder / "server.pem"
    _provide(folder, application_uri, clock)
    await server.load_certificate(certificate)
    await server.load_private_key(key)
    if trusted_clients is not None:
        server.set_certificate_validator(_validator(trusted_clients))


def _provide(folder: Path, application_uri: str, clock: Clock) -> None:
    certificate, key = folder / "server.der", folder / "server.pem"
    if not certificate.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made, private = make_certificate(
            application_uri=application_uri,
            common_name="Linewitness press",
            hosts=["localhost", "127.0.0.1"],
            clock=clock,
            server=True,
        )
        write_key(key, private)
        certificate.write_bytes(made.public_bytes(Encoding.DER))


class Users:
    """Let in who knows a password, or who shows a certificate in a user's name."""

    def __init__(self, users: dict[str, str]) -> None:
        """Take the passwords by name; without any, everybody is let in."""
        self._users = users

    def get_user(
        self, _server: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        """Return the user, or None for nobody we know."""
        if not self._users:
            return User(role=UserRole.User, name=username)
        if username is not None:
            known = self._users.get(username) == password
            return User(role=UserRole.User, name=username) if known else None
        name = "" if certificate is None else _common_name(certificate)
        return User(role=UserRole.User, name=name) if name in self._users else None


def _common_name(certificate: bytes) -> str:
    (name,) = parse_certificate(certificate).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


def _validator(folder: Path) -> Any:
    def known() -> list[Any]:
        return [parse_certificate(path.read_bytes()) for path in folder.glob("*.der")]

    async def validate(certificate: Any, _application: Any) -> None:
        if certificate not in known():
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    return validate
