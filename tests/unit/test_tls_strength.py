"""TLS of the uplink: 1.2 or newer, strong ciphers only, certificates always checked."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from linewitness.base.errors import UplinkRefused, UplinkUnavailable
from linewitness.uplink import wire
from linewitness.uplink.options import MqttOptions, TlsOptions
from linewitness.uplink.wire import open_wire
from support.brokers import Authority
from support.present import present

WEAK = ("NULL", "RC4", "DES", "MD5", "EXP", "ADH", "AECDH", "SEED", "IDEA")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@contextmanager
def server(
    authority: Authority, *, newest: ssl.TLSVersion | None = None, ciphers: str | None = None
) -> Iterator[tuple[int, list[Any]]]:
    """A TLS server that knows no better; yields its port and what was agreed on."""
    identity = authority.issue("broker", server=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    context.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
    if newest is not None:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = newest
    agreed: list[Any] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    agreed.append((secure.version(), present(secure.cipher())[0]))
            except (OSError, ssl.SSLError):
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], agreed
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def options(port: int, authority: Authority) -> MqttOptions:
    return MqttOptions(url=f"mqtts://127.0.0.1:{port}", tls=TlsOptions(ca=authority.file))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("newest", ["TLSv1", "TLSv1_1"])
async def test_a_broker_that_speaks_old_tls_only_is_refused(authority: Authority, newest: str) -> None:
    with (
        server(authority, newest=ssl.TLSVersion[newest]) as (port, agreed),
        pytest.raises((UplinkRefused, UplinkUnavailable)) as refused,
    ):
        await open_wire(options(port, authority))
    assert "TLS" in refused.value.what
    assert agreed == []


@pytest.mark.parametrize("newest", ["TLSv1_2", "TLSv1_3"])
async def test_a_broker_that_speaks_new_tls_is_met(authority: Authority, newest: str) -> None:
    with server(authority, newest=ssl.TLSVersion[newest]) as (port, agreed):
        connected = await open_wire(options(port, authority))
        connected.close()
    assert [version for version, _ in agreed] == [newest.replace("_", ".")]


@pytest.mark.parametrize("ciphers", ["NULL", "aNULL", "AES128-SHA"])
async def test_a_broker_that_offers_weak_ciphers_only_is_refused(authority: Authority, ciphers: str) -> None:
    weak = f"{ciphers}:@SECLEVEL=0"
    with (
        server(authority, newest=ssl.TLSVersion.TLSv1_2, ciphers=weak) as (port, agreed),
        pytest.raises((UplinkRefused, UplinkUnavailable)),
    ):
        await open_wire(options(port, authority))
    assert agreed == []


def test_no_weak_cipher_is_offered(authority: Authority) -> None:
    context = wire._tls_context(options(1, authority))
    offered = context.get_ciphers()
    assert offered
    for cipher in offered:
        assert cipher["strength_bits"] >= 128, cipher
        assert not [word for word in WEAK if word in cipher["name"].split("-")], cipher
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_an_attempt_that_is_given_up_leaves_no_socket(authority: Authority) -> None:
    with server(authority) as (port, _):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(open_wire(options(port, authority)))
            await asyncio.sleep(0)
            task.cancel()
