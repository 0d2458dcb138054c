"""Certificates are found in the settings, read, and said in time; secrets are not looked at."""

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import Certificate
from cryptography.x509.oid import NameOID

from linewitness.base.certificates import CertificateMonitor, expiries, named_in
from support.clocks import START_NS, ManualClock
from support.waiting import until

NOW = dt.datetime.fromtimestamp(START_NS / 1e9, dt.UTC)


def certificate(name: str, days: int) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - dt.timedelta(days=400))
        .not_valid_after(NOW + dt.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )


@pytest.fixture
def files(tmp_path: Path) -> Path:
    pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
    (tmp_path / "ca.pem").write_bytes(
        certificate("old", 20).public_bytes(pem) + certificate("new", 900).public_bytes(pem)
    )
    (tmp_path / "press.der").write_bytes(certificate("press", -3).public_bytes(der))
    (tmp_path / "noise.pem").write_bytes(b"\0" * 100)
    return tmp_path


SETTINGS = {
    "uplink": {
        "tls": {"ca": "{}/ca.pem", "certificate": None, "key": {"file": "{}/key", "credential": None}}
    },
    "devices": [
        {
            "id": "press-4",
            "security": {"server_certificate": "{}/press.der", "certificate": "{}/noise.pem"},
        }
    ],
}


def settings(folder: Path, value: Any = SETTINGS) -> Any:
    if isinstance(value, dict):
        return {name: settings(folder, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [settings(folder, inner) for inner in value]
    return value.format(folder) if isinstance(value, str) else value


def test_the_first_end_of_each_file_counts_soonest_first(files: Path) -> None:
    found = expiries(named_in(cast(Any, settings(files))))
    assert [(one.setting, one.subject, one.days_left(START_NS)) for one in found] == [
        ("devices[press-4].security.server_certificate", "CN=press", -3),
        ("uplink.tls.ca", "CN=old", 20),
    ]


def test_secrets_are_not_opened(files: Path) -> None:
    assert not [file for _, file in named_in(cast(Any, settings(files))) if file.name == "key"]


async def test_what_ends_soon_is_logged(files: Path) -> None:
    monitor = CertificateMonitor(lambda: named_in(cast(Any, settings(files))), clock=ManualClock())
    with structlog.testing.capture_logs() as said:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(monitor.run())
            await until(lambda: len(said) == 2)
            task.cancel()
    assert [entry["event"] for entry in said] == ["certificate has ended", "certificate ends soon"]
    assert len(monitor.expiries) == 2
