"""Certificates: load them, make our own, and decide whether a server's one is trusted."""

import datetime as dt
import hashlib
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from linewitness.base.clock import NS_PER_S, Clock
from linewitness.base.errors import ConfigurationError, DeviceRefused
from linewitness.base.secrets import Secret

KEY_BITS = 2048
FILE_ENDINGS = (".der", ".crt", ".cer", ".pem")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdentity:
    """Our certificate, its key, and the application URI that the certificate names."""

    certificate: x509.Certificate
    key: RSAPrivateKey
    application_uri: str


def parse_certificate(data: bytes) -> x509.Certificate:
    """Return the certificate in DER or PEM; ValueError for anything else."""
    return (
        x509.load_pem_x509_certificate(data)
        if b"-----BEGIN" in data
        else x509.load_der_x509_certificate(data)
    )


def load_certificate(path: Path) -> x509.Certificate:
    """Return the certificate in a file; ConfigurationError that names the file."""
    try:
        return parse_certificate(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"the certificate {path} cannot be read: {error.strerror}",
            hint="check the path and its permissions",
        ) from None
    except ValueError as error:
        raise ConfigurationError(
            f"{path} is no certificate: {error}", hint="give a certificate in DER or PEM form"
        ) from None


def load_key(secret: Secret) -> RSAPrivateKey:
    """Return an RSA private key in PEM; ConfigurationError that names the file."""
    try:
        key = load_pem_private_key(secret.read().encode(), password=None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{secret.path} is no private key: {error}",
            hint="give an RSA key in PEM form without a pass phrase",
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError(f"the key in {secret.path} is not RSA", hint="OPC UA policies use RSA keys")
    return key


def load_identity(certificate: Path, key: Secret) -> ClientIdentity:
    """Return our certificate with its key; ConfigurationError where they do not belong together."""
    loaded, private = load_certificate(certificate), load_key(key)
    if loaded.public_key() != private.public_key():
        raise ConfigurationError(
            f"{certificate} and {key.path} do not belong together",
            hint="`linewitness keys opcua` makes a pair",
        )
    return ClientIdentity(certificate=loaded, key=private, application_uri=application_uri(loaded))


def application_uri(certificate: x509.Certificate) -> str:
    """Return the application URI that a certificate names; empty where it names none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0] if uris else ""


def thumbprint(certificate: x509.Certificate) -> str:
    """Return the SHA-1 by which OPC UA tools show certificates, as upper-case hex."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - a name by convention, not a proof


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate as hex."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def store(certificate: x509.Certificate, folder: Path) -> Path:
    """Put a certificate into a folder, which is made if it is not there; return where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{thumbprint(certificate)}.der"
    path.write_bytes(certificate.public_bytes(Encoding.DER))
    return path


def describe(certificate: x509.Certificate) -> str:
    """Return what an operator compares before trusting: subject, SHA-256, last day."""
    return (
        f"{certificate.subject.rfc4514_string()}, SHA-256 {fingerprint(certificate)}, "
        f"valid until {certificate.not_valid_after_utc:%Y-%m-%d}"
    )


def days_left(certificate: x509.Certificate, clock: Clock) -> int:
    """Return for how many more days a certificate is valid; negative once it has expired."""
    seconds = certificate.not_valid_after_utc.timestamp() - clock.stamp().realtime_ns / NS_PER_S
    return int(seconds // 86_400)


class TrustList:
    """A folder of certificates that an operator put there, and one for those to look at."""

    def __init__(self, *, trusted: Path, rejected: Path | None, clock: Clock) -> None:
        """Keep the folders; they are read anew for each decision, so that trust takes effect at once."""
        self._trusted = trusted
        self._rejected = rejected
        self._clock = clock

    def check(self, certificate: x509.Certificate) -> None:
        """Return if the certificate, or who issued it, is trusted and in date; DeviceRefused otherwise."""
        moment = dt.datetime.fromtimestamp(self._clock.stamp().realtime_ns / NS_PER_S, dt.UTC)
        if not self.knows(certificate):
            self._refuse(certificate)
        if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
            raise DeviceRefused(
                f"the server's certificate is out of date: {describe(certificate)}",
                hint="renew it on the server, or check this machine's clock",
            )

    def knows(self, certificate: x509.Certificate) -> bool:
        """Return whether the certificate, or who issued it, is in the trust folder."""
        for trusted in self._read():
            if trusted == certificate:
                return True
            if trusted.subject == certificate.issuer and _may_issue(trusted):
                try:
                    certificate.verify_directly_issued_by(trusted)
                except (InvalidSignature, ValueError, TypeError):
                    continue
                return True
        return False

    def _read(self) -> list[x509.Certificate]:
        if not self._trusted.is_dir():
            raise ConfigurationError(
                f"the trust folder {self._trusted} does not exist",
                hint="make it, and put the server's certificate into it",
            )
        files = sorted(path for path in self._trusted.iterdir() if path.suffix.lower() in FILE_ENDINGS)
        return [load_certificate(path) for path in files]

    def _refuse(self, certificate: x509.Certificate) -> None:
        kept = ""
        if self._rejected is not None:
            kept = f"; it is in {store(certificate, self._rejected)}"
        raise DeviceRefused(
            f"the server's certificate is not trusted: {describe(certificate)}{kept}",
            hint=f"compare it with the server's own display, then move it into {self._trusted}",
        )


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def make_certificate(
    *,
    application_uri: str,
    common_name: str,
    hosts: Sequence[str],
    clock: Clock,
    days: int = 1825,
    server: bool = False,
) -> tuple[x509.Certificate, RSAPrivateKey]:
    """Make a self-signed application certificate as OPC 10000-6, 6.2.2 asks for, and its key."""
    key = generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = dt.datetime.fromtimestamp(clock.stamp().realtime_ns // NS_PER_S, dt.UTC)
    usage = [ExtendedKeyUsageOID.CLIENT_AUTH] + ([ExtendedKeyUsageOID.SERVER_AUTH] if server else [])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # An hour back: a server whose clock is a little behind ours would refuse it otherwise.
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
            critical=False,
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=True,
                key_encipherment=True,
                data_encipherment=True,
                key_agreement=False,
                key_cert_sign=True,  # OPC 10000-6 asks for it on self-signed certificates
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=False,
        )
        .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier(application_uri), *(_host_name(host) for host in hosts)]
            ),
            critical=False,
        )
    )
    return builder.sign(key, hashes.SHA256()), key


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def make_client_certificate(
    *,
    certificate: Path,
    key: Path,
    application_uri: str,
    host: str,
    clock: Clock,
    days: int = 1825,
) -> x509.Certificate:
    """Write a new certificate (DER) and its key (PEM, mode 0600); ConfigurationError if one exists."""
    for path in (certificate, key):
        if path.exists():
            raise ConfigurationError(f"{path} exists already", hint="remove it first if it is to be replaced")
    made, private = make_certificate(
        application_uri=application_uri,
        common_name=f"Linewitness {host}",
        hosts=[host],
        clock=clock,
        days=days,
    )
    for path in (certificate, key):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_key(key, private)
    certificate.write_bytes(made.public_bytes(Encoding.DER))
    return made


def write_key(path: Path, key: RSAPrivateKey) -> None:
    """Write a private key that only its owner may read, never for a moment otherwise."""
    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
