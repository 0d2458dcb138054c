"""Every device of a line but one, and the broker, send without end: the gateway keeps within its memory."""

from pathlib import Path

import pytest

from linewitness.demo.plant import Plant
from support.memory import MIB, memory_limit, peak
from support.plants import Load, at_work, change, held_tightenings, log_lines, new_plant, said
from support.waiting import until
from support.worst_peers import PEERS, in_yaml, worst_peers

pytestmark = pytest.mark.heavy

#: What the gateway's unit allows it, and what it takes at most of that.
LIMIT = 1024 * MIB
MOST = 400 * MIB
RESULTS = 12
#: Seven floods share the machine with them.
WAIT_S = 240


def complained(plant: Plant, name: str) -> bool:
    """Return whether the gateway said of a device that it sends what it should not."""
    return f'"{name}"' in said(plant)


async def test_the_worst_peers_at_once_do_not_end_a_gateway_within_its_memory(tmp_path: Path) -> None:
    with memory_limit(LIMIT) as group:
        async with (
            new_plant(tmp_path) as plant,
            worst_peers(plant.broker.port, "linewitness/v1/demo/gw-02/receipt") as ports,
        ):
            change(plant, "\ndevices:\n", f"\ndevices:\n{in_yaml(ports)}")
            change(plant, "[press-10, oven-10]", f"[{', '.join(['press-10', 'oven-10', *ports])}]")
            plant.gateway.wrapper = tuple(group.around())
            await plant.store.start()
            await plant.gateway.start()
            await at_work(plant)
            load = Load(plant)
            async with load.going_on():
                await until(lambda: len(load.made) > RESULTS, "work", timeout_s=WAIT_S)
            await until(lambda: load.made <= held_tightenings(plant), "it in the store", timeout_s=WAIT_S)
            await until(lambda: all(complained(plant, name) for name in PEERS), "every peer in the log")
            assert plant.gateway.running, said(plant)[-2000:]
            assert log_lines(plant, "uplink connected")
            assert peak(plant.gateway.pid) < MOST
            await plant.gateway.kill()
        await until(lambda: not group.pids, "the group to be empty")
    assert (tmp_path / "plant" / "gateway.log").stat().st_size < 4 * MIB
