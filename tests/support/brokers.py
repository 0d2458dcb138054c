"""Start a real mosquitto for a test, with certificates made on the spot, and stop it by its pid."""

import asyncio
import contextlib
import datetime as dt
import getpass
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.x509 import Name
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

START_TIMEOUT_S = 10.0
ATTEMPTS = 5


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


@dataclass
class Authority:
    """A certificate authority that lives as long as its test."""

    directory: Path
    name: str = "test authority"
    _key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        subject = _subject(self.name)
        self._certificate = (
            _builder(subject, subject, self._key.public_key(), days=30)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = self.directory / "ca.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, server: bool = False, days: int = 30) -> Identity:
        """Make a certificate; for a server also valid for 127.0.0.1 and localhost. Negative days: expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _builder(_subject(name), self._certificate.subject, key.public_key(), days=days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if server:
            names = [x509.DNSName(name), x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        file = self.directory / name.replace("/", "_")
        identity = Identity(file.with_suffix(".pem"), file.with_suffix(".key"))
        identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        identity.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        identity.key.chmod(0o600)
        return identity


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: Name, issuer: Name, public_key: EllipticCurvePublicKey, *, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 (OpenSSL compares with the machine's clock)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=60))
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass
class Broker:
    """A mosquitto on a port of its own; it can be taken away and brought back."""

    directory: Path
    port: int
    secure: bool
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"{'mqtts' if self.secure else 'mqtt'}://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What mosquitto said so far."""
        return (self.directory / "mosquitto.log").read_text(errors="replace")

    def start(self) -> None:
        """Start it and return when it listens."""
        with (self.directory / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["mosquitto", "-c", str(self.directory / "mosquitto.conf")], stdout=log, stderr=log
            )

    async def ready(self) -> bool:
        """Wait until it listens; False if it ended instead (the port was taken)."""
        assert self.process is not None
        async with asyncio.timeout(START_TIMEOUT_S):
            while self.process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                    return True
                await asyncio.sleep(0.02)
        return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait for it."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.send_signal(signal.SIGCONT)  # a frozen one hears only SIGKILL
            self.process.wait(10)
            self.process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it hang: connections stay open and nothing is answered."""
        assert self.process is not None
        process = self.process
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def mosquitto(
    directory: Path,
    *,
    config: str = "",
    acl: str | None = None,
    authority: Authority | None = None,
    passwords: dict[str, str] | None = None,
    whole: Callable[[Path, int], str] | None = None,
) -> AsyncIterator[Broker]:
    """Run a broker; with an authority: TLS, and the name in a client's certificate is its user name.

    `whole` makes the entire configuration for a folder and a port instead.
    """
    broker = Broker(directory, 0, secure=authority is not None)
    for _ in range(ATTEMPTS):
        broker.port = free_port()
        if whole is None:
            _configure(broker, config=config, acl=acl, authority=authority, passwords=passwords)
        else:
            directory.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 (a test's set-up)
            text = f"user {getpass.getuser()}\n{whole(directory, broker.port)}"
            (directory / "mosquitto.conf").write_text(text)
        broker.start()
        if await broker.ready():
            break
        broker.process = None
    else:
        raise RuntimeError(f"mosquitto does not start: {broker.log}")
    try:
        yield broker
    finally:
        broker.stop()


def free_port() -> int:
    """Return a TCP port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _configure(
    broker: Broker,
    *,
    config: str,
    acl: str | None,
    authority: Authority | None,
    passwords: dict[str, str] | None,
) -> None:
    directory = broker.directory
    directory.mkdir(parents=True, exist_ok=True)
    lines = [
        f"listener {broker.port} 127.0.0.1",
        f"user {getpass.getuser()}",  # as root it would become another user, who cannot read our files
        "persistence false",
        f"allow_anonymous {'false' if passwords or authority else 'true'}",
        "log_dest stderr",
        "log_type all",
    ]
    if acl is not None:
        (directory / "acl").write_text(acl)
        (directory / "acl").chmod(0o600)
        lines.append(f"acl_file {directory / 'acl'}")
    if passwords is not None:
        file = directory / "passwords"
        file.write_text("")
        file.chmod(0o600)
        for user, password in passwords.items():
            subprocess.run(["mosquitto_passwd", "-b", str(file), user, password], check=True, env=os.environ)
        lines.append(f"password_file {file}")
    if authority is not None:
        server = authority.issue("broker.test", server=True)
        lines += [
            f"cafile {authority.file}",
            f"certfile {server.certificate}",
            f"keyfile {server.key}",
            "require_certificate true",
            "use_identity_as_username true",
        ]
    (directory / "mosquitto.conf").write_text("\n".join(lines) + "\n" + config)
