"""The demo's line with RabbitMQ and its MQTT plugin instead of mosquitto."""

from pathlib import Path

from support.foreign_brokers import RabbitMq, arrives_as, hangs_up_at_mqtt_5, version_of
from support.foreign_outage import outage
from support.plants import account


async def test_whole_way_and_an_outage_with_rabbitmq(tmp_path: Path) -> None:
    """Version 3 speaks MQTT 3.1.1 only, and turns a dot in a topic into a slash: names must be without."""
    async with outage(tmp_path, RabbitMq) as (plant, made):
        account(plant, made).check()
        assert await version_of(plant.broker) == "3.1.1"
        assert await hangs_up_at_mqtt_5(plant.broker)
        found = await arrives_as(plant.broker, "linewitness/v1/acme/gw.02/records")
        assert found == "linewitness/v1/acme/gw/02/records", "no topic that the store subscribes to"
