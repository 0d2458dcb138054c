from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from linewitness.store.options import AuditStoreOptions
from linewitness.uplink.options import MqttOptions

GOOD = {
    "database": "sqlite:///store.db",
    "name": "store.example",
    "key": {"file": "store.key"},
    "mqtt": {"url": "mqtt://127.0.0.1"},
}


def test_absolute_database_stays() -> None:
    options = AuditStoreOptions.model_validate(GOOD | {"database": "sqlite:////var/lib/store.db"})
    assert options.seen_from(Path("/etc")).database_file == Path("/var/lib/store.db")


@pytest.mark.parametrize(
    "wrong",
    [
        {"database": "nonsense"},
        {"database": "sqlite://"},
        {"database": "sqlite:///:memory:"},
        {"database": "postgresql://host"},
        {"database": "postgresql://me:secret@host/db"},
        {"database": "mysql://host/db"},
        {"name": "with space"},
        {"name": "with+plus"},
        {"surprise": 1},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, int | str]) -> None:
    with pytest.raises(ValidationError):
        AuditStoreOptions.model_validate(GOOD | wrong)


@pytest.mark.parametrize(
    ("url", "host", "port", "secure"),
    [
        ("mqtt://broker", "broker", 1883, False),
        ("mqtts://broker", "broker", 8883, True),
        ("mqtts://10.0.0.5:18883/", "10.0.0.5", 18883, True),
        ("mqtt://[::1]:1884", "::1", 1884, False),
    ],
)
def test_url_says_where_the_broker_is(url: str, host: str, port: int, secure: bool) -> None:
    options = MqttOptions(url=url)
    assert (options.host, options.port, options.secure) == (host, port, secure)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "broker:1883"},
        {"url": "http://broker"},
        {"url": "mqtt://"},
        {"url": "mqtt://broker:0"},
        {"url": "mqtt://broker:99999"},
        {"url": "mqtt://user:secret@broker"},
        {"url": "mqtt://broker/topic"},
        {"url": "mqtt://broker", "password": {"file": "pw"}},
        {"url": "mqtt://broker", "tls": {"ca": "ca.pem"}},
        {"url": "mqtts://broker", "tls": {"certificate": "c.pem"}},
        {"url": "mqtts://broker", "tls": {"insecure": True}},
        {"url": "mqtts://broker", "protocol": "3.1"},
    ],
)
def test_wrong_connections_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MqttOptions.model_validate(wrong)


def test_wrong_url_is_not_repeated_with_its_password() -> None:
    with pytest.raises(ValidationError) as raised:
        MqttOptions(url="mqtt://user:hunter2@broker")
    assert "hunter2" not in raised.value.errors()[0]["msg"]
