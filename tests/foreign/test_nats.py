"""The demo's line with a NATS server instead of mosquitto."""

from pathlib import Path

import pytest

from linewitness.base.errors import UplinkUnavailable
from support.foreign_brokers import Nats, arrives_as, hangs_up_at_mqtt_5, version_of
from support.foreign_outage import outage
from support.plants import account


async def test_whole_way_and_an_outage_with_nats(tmp_path: Path) -> None:
    """It speaks MQTT 3.1.1 only, and hangs up at a topic with a dot: names must be without."""
    async with outage(tmp_path, Nats) as (plant, made):
        account(plant, made).check()
        assert await version_of(plant.broker) == "3.1.1"
        assert not await hangs_up_at_mqtt_5(plant.broker)
        with pytest.raises(UplinkUnavailable):
            await arrives_as(plant.broker, "linewitness/v1/acme/gw.02/records")
