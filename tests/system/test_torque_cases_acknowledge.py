"""Failure cases of capture, through the journal: confirmations, contradictions, what cannot be read."""

from pathlib import Path
from typing import Any

import pytest

from linewitness_simulators.torque import ControllerDescription, TorqueOptions, TorqueSimulator, serve
from linewitness_simulators.torque.replies import HANDLERS
from support.torque_line import account, fields_of, id_of, line, ready, records_of, station, unit_of, wrench
from support.waiting import until


def sent(simulator: TorqueSimulator) -> Any:
    return simulator.ledger.numbers("sent", 61)


async def test_case_03_three_lost_confirmations_give_one_record(tmp_path: Path) -> None:
    async with (
        serve(TorqueOptions(ack_timeout_s=0.2)) as simulator,
        line(tmp_path, [wrench(simulator)]) as running,
    ):
        await ready(simulator)
        simulator.faults.lose_acks = 3
        simulator.tighten("SN1")
        await until(lambda: simulator.acked == [1], "confirmed in the end")
        assert running.ids() == [1]
    assert sent(simulator) == [1, 1, 1, 1]
    assert simulator.ledger.numbers("lost-ack", 61) == [1, 1, 1]
    account(tmp_path, simulator)


async def test_case_05_a_result_between_subscription_and_newest_is_on_record_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any]
    newest, made = HANDLERS[64], []

    async def tighten_first(session: Any, telegram: Any) -> None:
        if session.subscribed(60) and not made:
            made.append(simulator.tighten("SN4"))
        await newest(session, telegram)

    monkeypatch.setitem(HANDLERS, 64, tighten_first)
    async with serve() as simulator:
        for number in (1, 2, 3):
            simulator.tighten(f"SN{number}")
        async with line(tmp_path, [wrench(simulator)]) as running:
            await until(lambda: len(running.ids()) == 4, running.ids)
            await until(lambda: simulator.acked == [4])
    assert made == [4]
    account(tmp_path, simulator)


async def test_case_06_a_result_between_a_question_and_its_answer_is_on_record_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = HANDLERS[64]

    async def push_first(session: Any, telegram: Any) -> None:
        if telegram.data.endswith(b"3") and not simulator.acked:
            simulator.faults.push_before_reply = 3
        await answer(session, telegram)

    monkeypatch.setitem(HANDLERS, 64, push_first)
    async with serve() as simulator:
        for number in range(5):
            simulator.tighten(f"SN{number}")
        async with line(tmp_path, [wrench(simulator)]) as running:
            await until(lambda: len(running.ids()) == len(simulator.results()) == 8, running.ids)
            await until(lambda: simulator.acked == [6, 7, 8])
    account(tmp_path, simulator)


async def test_case_13_two_controllers_with_equal_ids_do_not_clash(tmp_path: Path) -> None:
    other = TorqueOptions(station=ControllerDescription(serial="SIM0000002"))
    async with (
        serve() as first,
        serve(other) as second,
        line(tmp_path, [wrench(first), wrench(second, "wrench-20")]) as running,
    ):
        await ready(first)
        await ready(second)
        for number in range(5):
            first.tighten(f"SN{number}")
            second.tighten(f"SN{number}")
        await until(lambda: len(running.ids()) == 10)
        assert not running.records("source.conflict")
    assert {id_of(each)[0] for each in records_of(tmp_path / "journal")} == {
        "ACT:SIM0000001:1",
        "ACT:SIM0000002:1",
    }
    account(tmp_path, first, second)


async def test_case_14_an_undecodable_result_is_kept_and_confirmed_and_its_unit_lacks_it(
    tmp_path: Path,
) -> None:
    place = station("wrench-10", requires=[{"device": "wrench-10", "count": 2}])
    async with serve() as simulator, line(tmp_path, [wrench(simulator)], [place]) as running:
        await ready(simulator)
        simulator.tighten("SN1")
        await until(lambda: running.ids() == [1])
        simulator.faults.corrupt_results = 1
        simulator.faults.missing_ids = frozenset({2})
        simulator.tighten("SN1")
        await until(lambda: simulator.acked == [1, 2], "the damaged telegram is confirmed")
        simulator.tighten("SN2")
        await until(lambda: running.records("unit.left"))
        left = fields_of(running.records("unit.left")[0])
        assert left["wrench-10.tightening.missing"] == 1
        simulator.faults.missing_ids = frozenset()
        simulator.faults.drop_after_push = 1
        simulator.tighten("SN2")
        await until(lambda: sorted(running.ids()) == [1, 2, 3, 4], "its stored copy came later")
    damaged = [each for each in records_of(tmp_path / "journal") if fields_of(each).get("decoded") is False]
    assert len(damaged) == 1
    assert "not decodable from byte" in damaged[0]["reason"]
    assert damaged[0]["context"]["raw_hmac_sha256"]
    assert unit_of(damaged[0]) is None
    account(tmp_path, simulator)


async def test_case_16_another_torque_under_a_known_id_is_a_conflict_and_overwrites_nothing(
    tmp_path: Path,
) -> None:
    async with serve() as simulator, line(tmp_path, [wrench(simulator)]) as running:
        await ready(simulator)
        simulator.tighten("SN1", torque=2500)
        await until(lambda: simulator.acked == [1])
        simulator.push_again(1, torque=2600)
        await until(lambda: running.records("source.conflict"))
        await until(lambda: len(simulator.ledger.numbers("repeated-ack", 61)) + len(simulator.acked) >= 2)
        (conflict,) = running.records("source.conflict")
        assert "2500" in str(conflict["changes"])
        assert "2600" in str(conflict["changes"])
        await until(lambda: len(running.records()) == 2, "both, whole")
        first, second = map(fields_of, running.records())
        assert (first["torque"], second["torque"]) == ("25.00", "26.00")
        assert fields_of(conflict)["recorded_as"] == running.records()[1]["resource"]["id"].rpartition("/")[2]
        assert len(running.records("source.epoch")) == 1
    account(tmp_path, simulator)
