"""Somebody publishes on the store's topic: nothing that the store did not sign stops the line's records."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linewitness.evidence.format.accusation import Accusation
from linewitness.evidence.format.keys import new_key
from linewitness.store.keys import Cosigner
from linewitness.uplink.mqtt import MqttConnector
from linewitness.uplink.options import MqttOptions
from linewitness.uplink.topics import Topics
from support.brokers import free_port
from support.figures import figures, problems
from support.plants import Load, at_work, change, held_tightenings, log_lines, new_plant, said, settle
from support.waiting import until

FLOOD = 3000
IGNORED = "an answer that is not the store's was ignored"


def topic(plant: Any) -> str:
    line = plant.config.line
    return Topics(line.tenant, line.gateway).receipt


async def publish(plant: Any, *payloads: bytes, retain: bool = False) -> None:
    """Publish on the receipt's topic as a client that may do so, and has no key of the store."""
    options, receipts = MqttOptions(url=f"mqtt://127.0.0.1:{plant.broker.port}"), topic(plant)
    async with MqttConnector(options).connect() as attacker, asyncio.TaskGroup() as group:
        for payload in payloads:
            group.create_task(attacker.publish(receipts, payload, retain=retain))


def first_receipt(plant: Any) -> bytes:
    with plant.journal() as journal:
        return str(next(journal.receipts())[1]).encode()


def accusation(plant: Any, **members: Any) -> Accusation:
    """Return a conflict that is true of every word but who says it, or of whom."""
    with plant.journal() as journal:
        held_record = next(data for _, data in journal.records(0, 1))
        known = {
            "origin": journal.identity.stream,
            "subject": "record",
            "at": 0,
            "reason": "at record 0: another record is held",
            "receipt": first_receipt(plant).decode(),
            "held": held_record,
            "sent": b"{}",
        }
    return Accusation(**(known | members))


def by_another_key(plant: Any) -> bytes:
    store = Cosigner(plant.cosigner().name, new_key())
    return str(store.accuse(accusation(plant), 1_900_000_000)).encode()


def of_another_stream(plant: Any) -> bytes:
    other = accusation(plant, origin="acme.example/ber-01/line-77/1", receipt="")
    return str(plant.cosigner().accuse(other, 1_900_000_000)).encode()


FORGERIES: dict[str, Callable[[Any], bytes]] = {
    "a conflict that nobody signed": lambda _: b"conflict acme.example/x at record 3: another record is held",
    "a conflict before an old receipt": lambda plant: b"conflict since today\n\n" + first_receipt(plant),
    "an old receipt": first_receipt,
    "the empty message": lambda _: b"",
    "a conflict by another key": by_another_key,
    "a conflict about another stream": of_another_stream,
    "garbage": lambda _: b"\xff\x00" * 5000,
    "a message too large": lambda _: b"linewitness/conflict/v1\n" + b"x" * 400_000,
}


def receipted(plant: Any) -> int:
    with plant.journal() as journal:
        return int(journal.figures().receipted)


async def goes_on(plant: Any, load: Load, after: str) -> None:
    """Work, and require that it arrives at the store and that a receipt over it comes."""
    goal, before = load.steps + 5, receipted(plant)
    async with load.going_on():
        await until(lambda: load.steps > goal, "work")
    await until(
        lambda: load.made <= held_tightenings(plant), lambda: f"records after {after}; {said(plant)[-1500:]}"
    )
    await until(lambda: receipted(plant) > before, f"a receipt after {after}")


async def test_what_the_store_did_not_sign_changes_nothing_now_nor_after_a_restart(tmp_path: Path) -> None:
    async with new_plant(tmp_path) as plant:
        port = free_port()
        change(plant, "clock:\n", f"status: {{listen: '127.0.0.1:{port}'}}\nclock:\n")
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        load = Load(plant)
        await goes_on(plant, load, "the start")
        for name, forge in FORGERIES.items():
            await publish(plant, forge(plant))
            await goes_on(plant, load, name)
        assert (await figures(port))["linewitness_uplink_answers_ignored_total"] >= 6
        assert (await figures(port))["linewitness_uplink_conflict"] == 0
        found = (await problems(port))["answers-ignored"]
        assert (found["subject"], found["alarm"]) == ("uplink", False)

        await publish(plant, *[b"conflict %d" % number for number in range(FLOOD)])
        await goes_on(plant, load, "a flood")
        ignored = (await figures(port))["linewitness_uplink_answers_ignored_total"]
        assert ignored > FLOOD / 3, "the broker itself drops what it cannot queue"
        assert len(log_lines(plant, IGNORED)) <= 5, "the first, and then one a minute"

        for name in ("a conflict that nobody signed", "a conflict before an old receipt", "garbage"):
            assert await plant.gateway.stop() == 0
            await publish(plant, FORGERIES[name](plant), retain=True)
            await plant.gateway.start()
            await at_work(plant)
            await goes_on(plant, load, f"a restart with {name}")
        await settle(plant, load.made)
        with plant.journal() as journal:
            assert not journal.frozen
        assert not log_lines(plant, "another history contradicts this journal")


@pytest.mark.parametrize("name", ["the empty message", "an old receipt"])
async def test_an_answer_that_asks_for_what_was_pruned_is_checked_with_the_store(
    tmp_path: Path, name: str
) -> None:
    """Nobody can serve it: so the gateway asks the store, which answers with its newest receipt."""
    pruning = "directory: journal\n  keep_days: 0.000001\n  prune_requires: receipt\n"
    async with new_plant(tmp_path, {"directory: journal\n": pruning}) as plant:
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        load = Load(plant, period_s=0.01)
        await goes_on(plant, load, "the start")
        old = FORGERIES[name](plant)
        async with load.going_on():
            await until(lambda: receipted(plant) > 256, "a receipt over the first tile")
        await goes_on(plant, load, "more work")
        assert await plant.gateway.stop() == 0
        await plant.gateway.start()
        await at_work(plant)
        await until(lambda: log_lines(plant, "journal pruned"), "pruning")
        await goes_on(plant, load, "pruning")
        await publish(plant, old)
        await goes_on(plant, load, name)
        assert not log_lines(plant, "the store lost records"), "an alarm only if the store itself says so"
        await settle(plant, load.made)
