"""Brokers that refuse, or accept and forget: only the store's receipt counts."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from linewitness_selftest.outcome import FaultOutcome
from support.brokers import mosquitto
from support.outcomes import kept
from support.plants import Load, at_work, change, log_lines, new_plant, running_plant, said, settle, stopped
from support.waiting import until


async def with_broker(plant: Any, broker: Any) -> None:
    """Let gateway and store use another broker than the plant's own."""
    change(plant, f"127.0.0.1:{plant.broker.port}", f"127.0.0.1:{broker.port}")
    text = plant.store_file.read_text()
    plant.store_file.write_text(text.replace(f":{plant.broker.port}", f":{broker.port}"))


async def test_broker_whose_acl_refuses_records_is_said_and_loses_nothing(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    """MQTT 5 brokers say so in the PUBACK; when the ACL is mended, everything goes."""
    async with new_plant(tmp_path) as plant:
        acl = "topic read #\ntopic write linewitness/v1/+/+/status\ntopic write linewitness/v1/+/+/receipt\n"
        async with mosquitto(tmp_path / "strict", acl=acl) as strict:
            await with_broker(plant, strict)
            await plant.store.start()
            await plant.gateway.start()
            await at_work(plant)
            load = Load(plant)
            async with load.going_on():
                await until(lambda: load.steps > 20)
                await until(lambda: log_lines(plant, "uplink lost", state="refused"), lambda: said(plant))
            assert len(log_lines(plant, "uplink lost")) == 1
            await until(lambda: set(plant.devices.torque.acked) >= load.made, "confirmations all the same")
            assert await stopped(plant) == 0
            (tmp_path / "strict" / "acl").write_text("topic readwrite #\n")
            strict.stop()
            strict.start()
            assert await strict.ready()
            await plant.gateway.start()
            await at_work(plant)
            await settle(plant, load.made)
            account(kept("broker's ACL refuses records", plant, load.made))


async def test_broker_that_accepts_and_forgets_is_not_believed(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    """An ACL that lets nobody read swallows records behind a PUBACK; without a receipt they go again."""
    async with new_plant(tmp_path) as plant:
        acl = (
            "topic write #\ntopic read linewitness/v1/+/+/receipt\ntopic read linewitness/v1/+/+/checkpoint\n"
        )
        async with mosquitto(tmp_path / "forgetful", acl=acl) as forgetful:
            await with_broker(plant, forgetful)
            change(plant, "clock:\n", "forward: {receipt_timeout_s: 1}\nclock:\n")
            await plant.store.start()
            await plant.gateway.start()
            await at_work(plant)
            load = Load(plant)
            async with load.going_on():
                await until(lambda: load.steps > 40)
                await until(lambda: log_lines(plant, "the store gives no receipt for what is sent"))
            with plant.journal() as journal:
                assert journal.figures().receipted == 0
                assert journal.figures().size > 80
            (tmp_path / "forgetful" / "acl").write_text("topic readwrite #\n")
            forgetful.stop()
            forgetful.start()
            assert await forgetful.ready()
            await settle(plant, load.made)
            assert len(log_lines(plant, "the store gives no receipt for what is sent")) == 1
            account(kept("broker accepts and forgets", plant, load.made))


async def test_broker_that_is_killed_again_and_again_loses_nothing(
    tmp_path: Path, account: Callable[[FaultOutcome], None]
) -> None:
    async with running_plant(tmp_path) as plant:
        load = Load(plant)
        async with load.going_on():
            for kill in range(5):
                await until(partial(lambda steps: load.steps > steps + 12, load.steps))
                cast(Any, plant.broker)._process.kill()
                await cast(Any, plant.broker)._process.wait()
                await until(partial(lambda steps, more: load.steps > steps + more, load.steps, kill * 3))
                await plant.broker.start()
        await settle(plant, load.made)
        account(kept("broker killed", plant, load.made, injected=5))
