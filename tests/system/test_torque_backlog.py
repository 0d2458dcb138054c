"""Five hundred results made while the gateway was down, and a live one while they are fetched."""

from pathlib import Path
from typing import Any

import pytest

from linewitness.base.clock import monotonic
from linewitness_simulators.torque import TorqueSimulator, serve
from support.torque_gateway import Gateway
from support.torque_line import account, fields_of, id_of
from support.waiting import until

MADE = 500
ALL_S, LIVE_S = 60, 1


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_500_results_of_an_outage_come_within_a_minute_in_order_and_live_ones_within_a_second(
    tmp_path: Path,
) -> None:
    async with serve() as simulator:
        gateway = Gateway(tmp_path, simulator.port)
        await gateway.init()
        await gateway.process.start()
        await until(simulator.subscribed, gateway.said)
        simulator.tighten("SN0")
        await until(lambda: gateway.ids() == [1])
        await gateway.process.kill()
        for number in range(MADE):
            simulator.tighten(f"SN{number // 4}")
        began = monotonic()
        await gateway.process.start()
        await until(simulator.subscribed, gateway.said)
        subscribed_s = monotonic() - began
        live = []
        while len(gateway.ids()) < MADE:
            live.append(await acknowledged_s(simulator))
            assert monotonic() - began < ALL_S, len(gateway.ids())
        await until(lambda: len(gateway.ids()) == len(simulator.results()))
        took_s = monotonic() - began
        assert await gateway.process.stop() == 0
        account(tmp_path, simulator)
    filled = [id_of(each)[2] for each in gateway.results() if fields_of(each).get("backfilled")]
    print(
        f"\n{MADE} results: subscribed after {subscribed_s:.1f} s, all on record after {took_s:.1f} s; "
        f"{len(live)} live ones meanwhile, confirmed after {max(live):.3f} s at the latest"
    )
    assert filled == list(range(2, MADE + 2))
    assert max(live) < LIVE_S
    assert took_s < ALL_S


async def acknowledged_s(simulator: TorqueSimulator) -> Any:
    """Tighten once and return how long the confirmation took."""
    began = monotonic()
    number = simulator.tighten("SN777")
    await until(lambda: number in simulator.acked[-5:])
    return monotonic() - began
