"""A broker that was killed remembers an older word of the store: nobody is called for it."""

from pathlib import Path
from typing import Any

from support.plants import Load, at_work, held_tightenings, log_lines, new_plant, settle
from support.waiting import until


async def work(plant: Any, load: Any, steps: Any) -> None:
    goal = load.steps + steps
    async with load.going_on():
        await until(lambda: load.steps > goal, "work")
    await until(lambda: load.made <= held_tightenings(plant), "it in the store")


def receipted(plant: Any) -> Any:
    with plant.journal() as journal:
        return journal.figures().receipted


async def pruned(plant: Any) -> None:
    """Let the gateway prune what the store has, which it does at its start."""
    assert await plant.gateway.stop() == 0
    await plant.gateway.start()
    await at_work(plant)
    await until(lambda: log_lines(plant, "journal pruned"), "pruning")


async def killed(broker: Any) -> None:
    """End mosquitto so that it comes back with what it wrote down at its last orderly end."""
    process, broker._process = broker._process, None
    process.kill()
    await process.wait()


async def test_older_word_of_the_store_that_the_broker_remembers_is_checked_before_anybody_is_called(
    tmp_path: Path,
) -> None:
    async with new_plant(
        tmp_path,
        {"directory: journal\n": "directory: journal\n  keep_days: 0.000001\n  prune_requires: receipt\n"},
    ) as plant:
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        load = Load(plant)
        await work(plant, load, 5)
        await plant.broker.stop()
        await plant.broker.start()
        await work(plant, load, 120)
        await until(lambda: receipted(plant) > 256, "a receipt over the first tile")
        await pruned(plant)

        assert await plant.store.stop() == 0
        await killed(plant.broker)
        connections = len(log_lines(plant, "uplink connected"))
        await plant.broker.start()
        await until(lambda: len(log_lines(plant, "uplink connected")) > connections, "the broker again")
        async with load.going_on():
            goal = load.steps + 30
            await until(lambda: load.steps > goal, "work without the store")
        await plant.store.start()
        await settle(plant, load.made)
        assert not log_lines(plant, "the store lost records")
