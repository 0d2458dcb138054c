"""Failure cases of recovery, through the journal: outages, memories that forget, ids that begin anew."""

from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from linewitness.journal.reader import JournalReader
from linewitness_simulators.torque import (
    ControllerDescription,
    TorqueOptions,
    TorqueSimulator,
    serve,
)
from support.torque_line import account, fields_of, id_of, line, made_by, ready, records_of, wrench
from support.waiting import until


async def test_case_04_all_of_an_outage_comes_in_order_and_a_live_result_is_not_held_up(
    tmp_path: Path,
) -> None:
    """With 500 results and a real gateway process: test_torque_backlog."""
    slow = {"back_fill_per_s": 15}  # four seconds of fetching: room for a commit on a machine that is busy
    async with serve() as simulator, line(tmp_path, [wrench(simulator, **cast(Any, slow))]) as running:
        await ready(simulator)
        simulator.tighten("SN1")
        await until(lambda: running.ids() == [1])
        await simulator.unplug()
        for number in range(60):
            simulator.tighten(f"SN{number}")
        await simulator.plug_in()
        await until(lambda: len(running.ids()) > 3)
        live = simulator.tighten("SN99")
        await until(lambda: len(running.ids()) == 62)
    entries = [(entry.what, entry.number) for entry in simulator.ledger.entries if entry.mid in (61, 64)]
    confirmed = entries.index(("acked", live))
    asked = [number for what, number in entries[confirmed:] if what == "asked"]
    assert len(asked) > 20, "it waited for the others"
    stored = [each for each in records_of(tmp_path / "journal") if fields_of(each).get("backfilled")]
    filled = [id_of(each)[2] for each in stored]
    assert filled == sorted(filled)
    account(tmp_path, simulator)


async def test_case_07_an_id_that_is_not_found_becomes_a_gap_and_the_rest_is_complete(tmp_path: Path) -> None:
    async with serve() as simulator:
        simulator.faults.missing_ids = frozenset({3})
        for number in range(6):
            simulator.tighten(f"SN{number}")
        for connect in (1, 2, 3):
            async with line(tmp_path, [wrench(simulator)]) as running:
                await ready(simulator)
                wanted = 2 * connect
                await until(partial(lambda wanted: _asked(simulator, 3) >= wanted, wanted), "asked again")
                await until(lambda: len(running.ids()) == 5)
                if connect < 3:
                    await until(
                        partial(lambda connect: _rounds(running, 3) == connect, connect),
                        "the round on record",
                    )
                    assert not running.records("source.gap"), "given up too early"
                else:
                    await until(lambda: running.records("source.gap"), "the gap on record")
        (gap,) = records_of(tmp_path / "journal", "source.gap")
        assert fields_of(gap) == {"first": "3", "last": "3", "count": 1}
    account(tmp_path, simulator, missing=[3])


def _rounds(running: Any, number: int) -> Any:
    """Return in how many sessions this id was asked for in vain, as the journal knows it."""
    with JournalReader(running.directory) as reader:
        spans = {key.rpartition("/")[2]: value for key, value in reader.state("device/wrench-10/").items()}
    return int(spans.get(f"{number}-{number}", "0").split()[0])


def _asked(simulator: TorqueSimulator, number: int) -> Any:
    return simulator.ledger.numbers("asked", 64).count(number)


@pytest.mark.parametrize(
    "made", [pytest.param(2, id="case_08_newest_below"), pytest.param(9, id="case_09_newest_above")]
)
async def test_case_08_and_09_ids_that_begin_anew_are_another_epoch(tmp_path: Path, made: Any) -> None:
    async with serve() as simulator:
        async with line(tmp_path, [wrench(simulator)]) as running:
            await ready(simulator)
            for number in range(5):
                simulator.tighten(f"SN{number}")
            await until(lambda: len(running.ids()) == 5)
        simulator.reset()
        for number in range(made):
            simulator.tighten(f"SN1{number}", torque=2400 + number)
        async with line(tmp_path, [wrench(simulator)]) as running:
            await until(lambda: len(running.ids()) == 5 + made)
    new = records_of(tmp_path / "journal")[5:]
    assert [id_of(each)[1:] for each in new] == [(1, number) for number in range(1, made + 1)]
    assert len(records_of(tmp_path / "journal", "source.epoch")) == 2
    (gap,) = records_of(tmp_path / "journal", "source.gap")
    assert fields_of(gap)["first"] == "6", "nobody knows what the old epoch still made"
    account(tmp_path, simulator)


async def test_case_10_a_memory_that_rolled_over_leaves_a_gap_that_names_the_range(tmp_path: Path) -> None:
    async with serve(TorqueOptions(capacity=5)) as simulator:
        async with line(tmp_path, [wrench(simulator)]) as running:
            await ready(simulator)
            simulator.tighten("SN1")
            await until(lambda: running.ids() == [1])
        for number in range(20):
            simulator.tighten(f"SN{number}")
        async with line(tmp_path, [wrench(simulator, reconcile_s=1)]) as running:
            await until(
                lambda: [each for each in running.records("source.gap") if fields_of(each)["last"]],
                "the gap is on record",
            )
    assert [id_of(each)[2] for each in records_of(tmp_path / "journal")] == [1, 17, 18, 19, 20, 21]
    (gap,) = [each for each in records_of(tmp_path / "journal", "source.gap") if fields_of(each)["last"]]
    assert fields_of(gap) == {"first": "2", "last": "16", "count": 15}
    account(tmp_path, simulator, missing=range(2, 17))


async def test_case_11_of_a_shared_memory_only_own_results_and_all_of_them(tmp_path: Path) -> None:
    async with serve(TorqueOptions(history="at-or-before")) as simulator:
        simulator.faults.foreign_ids = 2
        for number in range(6):
            simulator.tighten(f"SN{number}")
        async with line(tmp_path, [wrench(simulator)]) as running:
            await until(lambda: len(running.ids()) == 6)
            simulator.tighten("SN9")
            await until(lambda: len(running.ids()) == 7)
        for number in range(6):
            simulator.tighten(f"SN{number}")
        async with line(tmp_path, [wrench(simulator)]) as running:
            await until(lambda: len(running.ids()) == 13)
    assert [id_of(each)[2] for each in records_of(tmp_path / "journal")] == made_by(simulator)
    assert not records_of(tmp_path / "journal", "source.gap")
    account(tmp_path, simulator)


async def test_case_12_another_controller_behind_the_same_address_is_not_captured(tmp_path: Path) -> None:
    async with serve() as simulator:
        async with line(tmp_path, [wrench(simulator)]) as running:
            await ready(simulator)
            simulator.tighten("SN1")
            await until(lambda: running.ids() == [1])
        simulator.faults.other_serial = "SIM9999999"
        async with line(tmp_path, [wrench(simulator)]) as running:
            await until(lambda: "SIM9999999" in running.health.why.get("wrench-10", ""))
            simulator.tighten("SN2")
            assert not simulator.subscribed()
            assert running.ids() == [1]
            await until(
                lambda: any("controller_serial" in each["reason"] for each in running.records("device.lost"))
            )
        simulator.faults.other_serial = None
        async with line(tmp_path, [wrench(simulator)]) as running:
            await until(lambda: running.ids() == [1, 2])
    account(tmp_path, simulator)


async def test_case_12_the_exchange_on_purpose_is_another_source(tmp_path: Path) -> None:
    new = TorqueOptions(station=ControllerDescription(serial="SIM0000002"))
    async with serve() as simulator, serve(new) as replacement:
        async with line(tmp_path, [wrench(simulator)]) as running:
            await ready(simulator)
            simulator.tighten("SN1")
            await until(lambda: running.ids() == [1])
        replacement.tighten("SN2")
        exchanged = wrench(replacement, controller_serial="SIM0000002")
        async with line(tmp_path, [exchanged]) as running:
            await until(lambda: running.ids() == [1, 1])
        account(tmp_path, simulator, replacement)
