"""TLS with client certificates, at a mosquitto that runs the configuration we hand out."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from linewitness.base.errors import ConfigurationError, UplinkRefused, UplinkUnavailable
from linewitness.uplink.mqtt import MqttConnector
from linewitness.uplink.options import MqttOptions
from support.brokers import Authority, Broker, mosquitto
from support.shipped_broker import as_client, production


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def broker(tmp_path: Path, authority: Authority) -> AsyncIterator[Broker]:
    async with mosquitto(tmp_path / "broker", authority=authority, whole=production(authority)) as running:
        yield running


async def fails(
    options: MqttOptions, error: type[Exception] | tuple[type[Exception], ...], match: str
) -> Any:
    with pytest.raises(error, match=match) as raised:
        async with MqttConnector(options).connect():
            pass
    return raised.value


async def test_each_gateway_keeps_to_its_own_topics(broker: Broker, authority: Authority) -> None:
    store = as_client(broker, authority, authority.issue("audit-store"))
    gateway = as_client(broker, authority, authority.issue("acme/ber-01"))
    mine, others = "linewitness/v1/acme/ber-01", "linewitness/v1/acme/ber-02"
    async with MqttConnector(store).connect() as receiver, MqttConnector(gateway).connect() as sender:
        await receiver.subscribe("linewitness/v1/+/+/records")
        await sender.subscribe(f"{mine}/receipt")
        await sender.subscribe(f"{others}/receipt")
        for topic in ("records", "checkpoint", "notice", "status", "telemetry/press"):
            await sender.publish(f"{mine}/{topic}", b"x")
        for topic in (
            f"{mine}/receipt",
            f"{others}/records",
            f"{others}/checkpoint",
            f"{others}/notice",
            "elsewhere",
        ):
            with pytest.raises(UplinkRefused, match="not authorized"):
                await sender.publish(topic, b"x")
        with pytest.raises(UplinkRefused, match="not authorized"):
            await receiver.publish(f"{mine}/records", b"x")
        await receiver.publish(f"{others}/receipt", b"not for us")
        await receiver.publish(f"{mine}/receipt", b"for us")
        assert (await anext(sender.messages())).payload == b"for us"
        assert (await anext(receiver.messages())).topic == f"{mine}/records"


async def test_large_and_many_messages_pass_in_both_directions(broker: Broker, authority: Authority) -> None:
    store = as_client(broker, authority, authority.issue("audit-store"))
    gateway = as_client(broker, authority, authority.issue("acme/ber-01"))
    records = "linewitness/v1/acme/ber-01/records"
    payloads = [bytes([number % 251]) * (number * 997 % 70_000) for number in range(200)]
    async with (
        MqttConnector(store).connect() as receiver,
        MqttConnector(gateway).connect() as sender,
        asyncio.TaskGroup() as group,
    ):
        await receiver.subscribe(records)
        for payload in payloads:
            group.create_task(sender.publish(records, payload))
        received = []
        async with asyncio.timeout(20):
            async for message in receiver.messages():
                received.append(message.payload)
                if len(received) == len(payloads):
                    break
    assert received == payloads


async def test_client_without_a_certificate_is_refused(broker: Broker, authority: Authority) -> None:
    error = await fails(as_client(broker, authority, None), UplinkRefused, "does not accept our certificate")
    assert "tls.certificate" in error.hint


async def test_client_of_an_unknown_authority_is_refused(
    broker: Broker, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger", "stranger").issue("acme/ber-01")
    await fails(as_client(broker, authority, stranger), UplinkRefused, "does not accept our certificate")


async def test_expired_client_certificate_is_refused(broker: Broker, authority: Authority) -> None:
    expired = authority.issue("acme/ber-09", days=-1)
    await fails(as_client(broker, authority, expired), UplinkRefused, "does not accept our certificate")


async def test_broker_of_an_unknown_authority_is_refused(
    broker: Broker, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other", "other")
    options = as_client(broker, other, authority.issue("acme/ber-01"))
    error = await fails(options, UplinkRefused, "is not accepted: ")
    assert "tls.ca" in error.hint


async def test_broker_of_another_name_is_refused(broker: Broker, authority: Authority) -> None:
    client = authority.issue("acme/ber-01")
    await fails(
        as_client(broker, authority, client, server_name="other.test"), UplinkRefused, "[Hh]ostname mismatch"
    )
    async with MqttConnector(
        as_client(broker, authority, client, server_name="broker.test")
    ).connect() as connection:
        await connection.publish("linewitness/v1/acme/ber-01/status", b"")


async def test_tls_at_a_port_without_it_says_so(tmp_path: Path, authority: Authority) -> None:
    async with mosquitto(tmp_path / "plain") as plain:
        options = MqttOptions(url=plain.url.replace("mqtt:", "mqtts:"), tls={"ca": authority.file})
        error = await fails(options, (UplinkRefused, UplinkUnavailable), "TLS")
        assert "TLS port" in error.hint


async def test_plain_connection_at_a_tls_port_says_so(broker: Broker) -> None:
    options = MqttOptions(url=broker.url.replace("mqtts:", "mqtt:"))
    error = await fails(options, UplinkUnavailable, "broke")
    assert "mqtts://" in error.hint


async def test_missing_files_are_configuration_errors(
    broker: Broker, authority: Authority, tmp_path: Path
) -> None:
    client = authority.issue("acme/ber-01")
    await fails(
        as_client(broker, authority, client, ca=tmp_path / "no"), ConfigurationError, "cannot be read"
    )
    client.key.unlink()
    await fails(as_client(broker, authority, client), ConfigurationError, "cannot be used")
