"""Somebody connects with the gateway's client id, again and again: the gateway says so and goes on."""

import asyncio
import contextlib
from pathlib import Path

from linewitness.base.errors import UplinkUnavailable
from linewitness.uplink.mqtt import MqttConnector
from linewitness.uplink.options import MqttOptions
from support.brokers import free_port
from support.figures import problems
from support.plants import Load, at_work, change, held_tightenings, log_lines, new_plant, settle
from support.waiting import until

NOTICED = "another client takes over our connection to the broker"


async def take(options: MqttOptions) -> None:
    while True:
        with contextlib.suppress(UplinkUnavailable):
            async with MqttConnector(options).connect() as attacker:
                await anext(attacker.messages())


async def test_a_gateway_whose_client_id_is_taken_says_so_and_loses_nothing(tmp_path: Path) -> None:
    async with new_plant(tmp_path) as plant:
        port = free_port()
        change(plant, "clock:\n", f"status: {{listen: '127.0.0.1:{port}'}}\nclock:\n")
        change(plant, "\nuplink:\n", "\nuplink:\n  client_id: gw-10\n")
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        load = Load(plant)
        options = MqttOptions(url=f"mqtt://127.0.0.1:{plant.broker.port}", client_id="gw-10")
        async with asyncio.TaskGroup() as group:
            attacker = group.create_task(take(options))
            async with load.going_on():
                await until(lambda: log_lines(plant, NOTICED), "that it is noticed")
            found = (await problems(port))["client-id-taken"]
            assert (found["subject"], found["alarm"]) == ("uplink", True)
            attacker.cancel()
        await until(lambda: load.made <= held_tightenings(plant), "all records in the store")
        assert len(log_lines(plant, NOTICED)) == 1
        await settle(plant, load.made)
