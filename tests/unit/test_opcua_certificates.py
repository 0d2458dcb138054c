"""Which certificates are made, and which are trusted."""

import datetime as dt
import stat
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from cryptography.x509.oid import NameOID

from linewitness.base.clock import NS_PER_S, Stamp, SystemClock
from linewitness.base.errors import ConfigurationError, DeviceRefused
from linewitness.base.secrets import Secret
from linewitness.devices.opcua.connection.certificates import (
    TrustList,
    application_uri,
    days_left,
    load_identity,
    make_certificate,
    make_client_certificate,
    thumbprint,
)

CLOCK = SystemClock()


class Later:
    """A clock that is years ahead."""

    boot_id = "later"

    def stamp(self) -> Stamp:
        return Stamp(CLOCK.stamp().realtime_ns + 3000 * 86_400 * NS_PER_S, 0)


def made(name: str = "press") -> Certificate:
    return make_certificate(application_uri="urn:press", common_name=name, hosts=["plc"], clock=CLOCK)[0]


def put(folder: Path, certificate: Certificate, ending: str = "der") -> None:
    folder.mkdir(exist_ok=True)
    encoding = Encoding.PEM if ending == "pem" else Encoding.DER
    (folder / f"{thumbprint(certificate)}.{ending}").write_bytes(certificate.public_bytes(encoding))


def issued(*, ca: bool) -> list[Certificate]:
    """Return an issuer's certificate and one that it issued."""
    keys = [generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("issuer", "press")]
    now = dt.datetime.fromtimestamp(CLOCK.stamp().realtime_ns // NS_PER_S, dt.UTC)
    return [
        (
            x509.CertificateBuilder()
            .subject_name(names[number])
            .issuer_name(names[0])
            .public_key(keys[number].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca and number == 0, path_length=None), critical=True)
            .sign(keys[0], hashes.SHA256())
        )
        for number in range(2)
    ]


@pytest.mark.parametrize("ending", ["der", "pem"])
def test_certificate_that_a_person_put_there_is_trusted(tmp_path: Path, ending: str) -> None:
    certificate = made()
    put(tmp_path, certificate, ending)
    TrustList(trusted=tmp_path, rejected=None, clock=CLOCK).check(certificate)


def test_certificate_of_a_trusted_issuer_is_trusted(tmp_path: Path) -> None:
    issuer, press = issued(ca=True)
    put(tmp_path, issuer)
    TrustList(trusted=tmp_path, rejected=None, clock=CLOCK).check(press)


def test_certificate_signed_by_a_trusted_one_that_is_no_issuer_is_not_trusted(tmp_path: Path) -> None:
    issuer, press = issued(ca=False)
    put(tmp_path, issuer)
    with pytest.raises(DeviceRefused):
        TrustList(trusted=tmp_path, rejected=None, clock=CLOCK).check(press)


def test_another_certificate_of_the_same_name_is_not_trusted(tmp_path: Path) -> None:
    put(tmp_path, made())
    with pytest.raises(DeviceRefused, match="SHA-256"):
        TrustList(trusted=tmp_path, rejected=None, clock=CLOCK).check(made())


def test_trusted_certificate_that_ran_out_is_refused(tmp_path: Path) -> None:
    certificate = made()
    put(tmp_path, certificate)
    with pytest.raises(DeviceRefused, match="out of date"):
        TrustList(trusted=tmp_path, rejected=None, clock=Later()).check(certificate)


def test_missing_trust_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        TrustList(trusted=tmp_path / "nowhere", rejected=None, clock=CLOCK).check(made())


def test_own_certificate_names_the_application_and_its_key_is_private(tmp_path: Path) -> None:
    certificate, key = tmp_path / "a" / "us.der", tmp_path / "a" / "us.pem"
    written = make_client_certificate(
        certificate=certificate, key=key, application_uri="urn:us", host="gateway", clock=CLOCK, days=100
    )
    assert application_uri(written) == "urn:us"
    assert days_left(written, CLOCK) == 99
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert load_identity(certificate, Secret(file=key)).application_uri == "urn:us"


def test_existing_files_are_never_overwritten(tmp_path: Path) -> None:
    paths = {"certificate": tmp_path / "us.der", "key": tmp_path / "us.pem"}
    make_client_certificate(**cast(Any, paths), application_uri="urn:us", host="gateway", clock=CLOCK)
    before = paths["key"].read_bytes()
    with pytest.raises(ConfigurationError, match="exists already"):
        make_client_certificate(**cast(Any, paths), application_uri="urn:us", host="gateway", clock=CLOCK)
    assert paths["key"].read_bytes() == before


def test_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_client_certificate(
            certificate=tmp_path / f"{name}.der",
            key=tmp_path / f"{name}.pem",
            application_uri="urn:us",
            host="gateway",
            clock=CLOCK,
        )
    with pytest.raises(ConfigurationError, match="do not belong together"):
        load_identity(tmp_path / "one.der", Secret(file=tmp_path / "two.pem"))
