"""The demo's line with aedes, a broker in JavaScript, instead of mosquitto."""

from pathlib import Path

from support.foreign_brokers import Aedes, arrives_as, hangs_up_at_mqtt_5, version_of
from support.foreign_outage import outage
from support.plants import account


async def test_whole_way_and_an_outage_with_aedes(tmp_path: Path) -> None:
    """It speaks MQTT 3.1.1 only, and forgets its retained messages when it is stopped."""
    async with outage(tmp_path, Aedes) as (plant, made):
        account(plant, made).check()
        assert await version_of(plant.broker) == "3.1.1"
        assert not await hangs_up_at_mqtt_5(plant.broker)
        topic = "linewitness/v1/acme/gw.02/records"
        assert await arrives_as(plant.broker, topic) == topic
