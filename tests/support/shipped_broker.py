"""A mosquitto that runs the configuration of config/, moved to a folder and a port of a test's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from linewitness.uplink.options import MqttOptions
from support.brokers import Authority, Broker, Identity

CONFIG = Path(__file__).parents[2] / "config"


def production(authority: Authority, *, without: str = "") -> Callable[..., Any]:
    """Return a configuration for `mosquitto(whole=…)`; `without` names a line that is left out."""

    def configure(folder: Path, port: int) -> str:
        server = authority.issue("broker.test", server=True)
        text = (CONFIG / "mosquitto.conf").read_text()
        for file, ours in (
            ("ca.pem", authority.file),
            ("broker.pem", server.certificate),
            ("broker.key", server.key),
            ("mosquitto.acl", folder / "acl"),
        ):
            assert f"/etc/mosquitto/linewitness/{file}" in text
            text = text.replace(f"/etc/mosquitto/linewitness/{file}", str(ours))
        (folder / "acl").write_text((CONFIG / "mosquitto.acl").read_text())
        (folder / "acl").chmod(0o600)
        assert without in text
        text = text.replace(f"\n{without}\n", "\n") if without else text
        return text.replace("listener 8883", f"listener {port} 127.0.0.1").replace(
            "/var/lib/mosquitto/", f"{folder}/"
        )

    return configure


def as_client(
    broker: Broker,
    authority: Authority,
    identity: Identity | None,
    *,
    client_id: str | None = None,
    **tls: Any,
) -> MqttOptions:
    """Return how a client with a certificate, or none, connects."""
    settings = {"ca": authority.file, **tls}
    if identity is not None:
        settings |= {"certificate": identity.certificate, "key": {"file": identity.key}}
    return MqttOptions(url=broker.url, tls=settings, connect_timeout_s=5, client_id=client_id)
