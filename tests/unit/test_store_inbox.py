"""The store's inbox: who may put something into it, how much, and in which order it comes out."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from linewitness.base.compression.frames import pack
from linewitness.store.inbox import inbox as inbox_module
from linewitness.store.inbox.drops import MAX_NAMED, MAX_STRANGERS, OTHERS, DropCounts, DropReason
from linewitness.store.inbox.inbox import (
    PIECE_BYTES,
    TURN_BYTES,
    TURN_MESSAGES,
    TURN_OF_ONE,
    StoreInbox,
)
from linewitness.store.inbox.quota import MAX_MESSAGE_BYTES, GatewayQuota, QuotaOptions
from linewitness.store.inbox.seam import WaitingMessage
from linewitness.uplink.topics import Topics

MIB = 2**20
GREEDY, HONEST, STRANGER = (Topics("acme", name) for name in ("greedy", "honest", "stranger"))


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def now() -> Time:
    return Time()


def new_inbox(now: Time, **settings: float) -> StoreInbox:
    inbox = StoreInbox(QuotaOptions.model_validate(settings), now=now)
    inbox.enrolled({("acme", "greedy"), ("acme", "honest")})
    return inbox


def fill(inbox: StoreInbox, topics: Topics, count: int, payload: bytes = b"x") -> None:
    for _ in range(count):
        inbox.offer(topics.records, payload)


def reported(inbox: StoreInbox) -> list[tuple[str, DropReason, int]]:
    return [(drop.gateway, drop.reason, drop.messages) for drop in inbox.drops.due(1000.0)]


async def test_nothing_of_a_gateway_that_is_not_enrolled_is_kept(now: Time) -> None:
    inbox = new_inbox(now)
    fill(inbox, STRANGER, 100, b"aa\n" * (5 * MIB))
    assert inbox.size == 0
    assert inbox.strangers
    assert reported(inbox) == [("stranger", DropReason.UNKNOWN, 100)]
    assert inbox.sentence.startswith("drops messages of acme/stranger: this gateway is not enrolled (100 ")
    now.now += 61
    assert inbox.sentence == ""


async def test_a_gateway_that_is_enrolled_meanwhile_is_served_from_then_on(now: Time) -> None:
    inbox = new_inbox(now)
    inbox.offer(STRANGER.records, b"first")
    inbox.enrolled({("acme", "stranger"), ("acme", "honest")})
    assert not inbox.strangers
    inbox.offer(STRANGER.records, b"second")
    assert await inbox.turn() == [(STRANGER.records, b"second")]


async def test_topics_of_nobody_are_ignored(now: Time) -> None:
    inbox = new_inbox(now)
    inbox.offer("linewitness/v1/acme/honest/telemetry/press", b"x")
    inbox.offer(HONEST.checkpoint, b"")
    assert (inbox.size, inbox.strangers, reported(inbox)) == (0, False, [])


async def test_one_gateways_flood_does_not_delay_another_by_more_than_a_turn(now: Time) -> None:
    inbox = new_inbox(now)
    fill(inbox, GREEDY, 1500)
    assert len(await inbox.turn()) == TURN_OF_ONE
    inbox.offer(HONEST.records, b"results")
    inbox.offer(HONEST.checkpoint, b"checkpoint")
    turn = await inbox.turn()
    assert [message for message in turn if message.topic != GREEDY.records] == [
        (HONEST.records, b"results"),
        (HONEST.checkpoint, b"checkpoint"),
    ]


async def test_a_turn_takes_messages_of_many_gateways_and_few_of_each(now: Time) -> None:
    inbox = new_inbox(now)
    many = [Topics("acme", f"gateway-{number}") for number in range(50)]
    inbox.enrolled((topics.tenant, topics.gateway) for topics in many)
    for topics in (GREEDY, *many):
        fill(inbox, topics, 2)
    fill(inbox, GREEDY, 100)
    first, second = await inbox.turn(), await inbox.turn()
    assert len(first) == TURN_MESSAGES
    assert len({message.topic for message in first}) == 51
    assert {message.topic for message in second} >= {topics.records for topics in many[20:]}
    assert Counter(message.topic for message in second)[GREEDY.records] == TURN_OF_ONE


async def test_huge_messages_of_one_take_one_piece_at_a_time_and_others_come_between(now: Time) -> None:
    inbox = new_inbox(now)
    line = b"x" * 999 + b"\n"
    huge = line * 4000
    fill(inbox, GREEDY, 1, huge)
    fill(inbox, HONEST, 1, b"results")
    first = await inbox.turn()
    assert [message.topic for message in first[:3]] == [GREEDY.records, HONEST.records, GREEDY.records]
    assert sum(len(message.payload) for message in first) < TURN_BYTES + PIECE_BYTES
    pieces = [message.payload for message in first if message.topic == GREEDY.records]
    while inbox.size:
        pieces += [message.payload for message in await inbox.turn()]
    assert b"".join(pieces) == huge
    assert all(len(piece) <= PIECE_BYTES and piece.endswith(b"\n") for piece in pieces)


async def test_a_compressed_batch_comes_out_as_lines_piece_by_piece(now: Time) -> None:
    inbox = new_inbox(now)
    huge = (b"x" * 999 + b"\n") * 4000
    fill(inbox, GREEDY, 1, pack(huge))
    assert inbox.size > len(huge), "it takes as much of the queue as it will in memory"
    pieces = [message.payload for message in await drained(inbox)]
    assert b"".join(pieces) == huge
    assert all(len(piece) <= PIECE_BYTES and piece.endswith(b"\n") for piece in pieces)


async def test_a_frame_counts_by_what_it_states(now: Time) -> None:
    inbox = new_inbox(now, bytes_per_s=16 * MIB, queue_size=17 * MIB)
    fill(inbox, GREEDY, 1, pack(b"\n" * (MAX_MESSAGE_BYTES + 1)))
    assert reported(inbox) == [("greedy", DropReason.SIZE, 1)]
    fill(inbox, GREEDY, 2, pack(b"\n" * (16 * MIB)))
    assert reported(inbox) == [("greedy", DropReason.QUEUE, 1)]
    fill(inbox, GREEDY, 1, pack(b"\n" * (16 * MIB)))
    assert reported(inbox) == [("greedy", DropReason.QUOTA, 1)]
    assert 16 * MIB < inbox.size < 17 * MIB


@pytest.mark.parametrize("bad", [pack(b"{}\n" * 99)[:-1], pack(b"{}\n" * 99) + b"\n", pack(b"")])
async def test_what_is_no_whole_frame_is_left_to_the_ledger_as_it_is(now: Time, bad: bytes) -> None:
    inbox = new_inbox(now)
    fill(inbox, GREEDY, 1, bad)
    assert await inbox.turn() == [(GREEDY.records, bad)]
    assert inbox.size == 0


async def test_what_has_no_line_that_could_be_a_record_is_cut_short(now: Time) -> None:
    inbox = new_inbox(now)
    fill(inbox, GREEDY, 1, b"x" * (16 * MIB))
    (message,) = await inbox.turn()
    assert len(message.payload) == 65_536, "one more than a record may have"
    assert inbox.size == 0


async def test_a_full_queue_costs_only_its_own_gateway(now: Time) -> None:
    inbox = new_inbox(now, bytes_per_s=1024 * MIB)
    fill(inbox, GREEDY, 10, b"x" * (10 * MIB))
    fill(inbox, HONEST, 1, b"results")
    assert inbox.size < 32 * MIB
    assert reported(inbox) == [("greedy", DropReason.QUEUE, 7)]
    turns = [message.topic for message in await inbox.turn()]
    assert HONEST.records in turns


async def test_when_all_is_full_who_has_most_waiting_loses_the_newest(now: Time) -> None:
    inbox = new_inbox(now, bytes_per_s=1024 * MIB, queue_size=32 * MIB, total_queue_size=34 * MIB)
    fill(inbox, GREEDY, 3, b"g" * (10 * MIB))
    fill(inbox, HONEST, 2, b"h" * (5 * MIB))
    assert reported(inbox) == [("greedy", DropReason.QUEUE, 1)]
    fill(inbox, GREEDY, 1, b"g" * (10 * MIB))
    assert inbox.size <= 34 * MIB
    topics = [message.topic for message in await drained(inbox)]
    assert set(topics) == {GREEDY.records, HONEST.records}


async def drained(inbox: StoreInbox) -> list[WaitingMessage]:
    found: list[WaitingMessage] = []
    while inbox.size:
        found += await inbox.turn()
    return found


async def test_messages_above_the_quota_are_dropped_and_counted(now: Time) -> None:
    inbox = new_inbox(now, messages_per_s=100)
    fill(inbox, GREEDY, 3600)
    fill(inbox, HONEST, 2)
    assert reported(inbox) == [("greedy", DropReason.QUOTA, 3400)]
    now.now += 1
    fill(inbox, GREEDY, 3600)
    assert len(await drained(inbox)) == 200 + 100 + 2


async def test_a_message_larger_than_any_of_a_gateway_is_dropped(now: Time) -> None:
    inbox = new_inbox(now)
    inbox.offer(HONEST.records, b"x" * (MAX_MESSAGE_BYTES + 1))
    inbox.offer(HONEST.checkpoint, b"x" * 65_536)
    inbox.offer(HONEST.records, b"x" * MAX_MESSAGE_BYTES)
    assert reported(inbox) == [("honest", DropReason.SIZE, 2)]
    assert inbox.size > MAX_MESSAGE_BYTES


async def test_a_turn_waits_for_a_message(now: Time) -> None:
    inbox = new_inbox(now)
    async with asyncio.TaskGroup() as tasks:
        turn = tasks.create_task(inbox.turn())
        await asyncio.sleep(0)
        inbox.offer(HONEST.records, b"results")
    assert turn.result() == [(HONEST.records, b"results")]


OFFERS = st.lists(
    st.tuples(
        st.sampled_from([GREEDY, HONEST]),
        st.lists(st.binary(max_size=9).filter(lambda line: b"\n" not in line), min_size=1, max_size=20),
        st.booleans(),
        st.booleans(),
    ),
    max_size=30,
)


@pytest.mark.heavy
@given(offers=OFFERS)
async def test_each_gateways_lines_come_out_in_order_and_whole_unless_they_were_dropped(
    offers: list[tuple[Topics, list[bytes], bool, bool]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inbox_module, "PIECE_BYTES", 16)
        inbox = new_inbox(Time())
        put: dict[str, bytes] = {}
        got: dict[str, bytes] = {}
        for topics, lines, turn, compressed in offers:
            payload = b"".join(line + b"\n" for line in lines)
            inbox.offer(topics.records, pack(payload) if compressed else payload)
            put[topics.records] = put.get(topics.records, b"") + payload
            for message in await inbox.turn() if turn else ():
                got[message.topic] = got.get(message.topic, b"") + message.payload
        for message in await drained(inbox):
            got[message.topic] = got.get(message.topic, b"") + message.payload
    assert got == put
    assert inbox.size == 0


def test_a_quota_allows_a_burst_and_then_its_rate() -> None:
    quota = GatewayQuota(QuotaOptions(messages_per_s=10), 0.0)
    assert [quota.take(1, 0.0) for _ in range(21)] == [True] * 20 + [False]
    assert [quota.take(1, 0.25) for _ in range(3)] == [True, True, False]
    assert sum(quota.take(1, 100.0) for _ in range(100)) == 20


def test_the_largest_message_fits_into_the_smallest_quota() -> None:
    quota = GatewayQuota(QuotaOptions.model_validate({"bytes_per_s": "64KiB"}), 0.0)
    assert quota.take(MAX_MESSAGE_BYTES, 0.0)
    assert not quota.take(1_000_000, 10.0)
    assert quota.take(MAX_MESSAGE_BYTES, 300.0)


def test_all_queues_together_hold_at_least_one_gateways() -> None:
    with pytest.raises(ValidationError, match="less than queue_size"):
        QuotaOptions.model_validate({"queue_size": "64MiB", "total_queue_size": "32MiB"})


def test_a_drop_is_reported_at_once_and_then_once_a_minute() -> None:
    counts = DropCounts()
    counts.count("acme", "one", DropReason.UNKNOWN, size=5, now=0.0)
    assert counts.due(0.0) == [("acme", "one", DropReason.UNKNOWN, 1, 5)]
    for second in range(1, 60):
        counts.count("acme", "one", DropReason.UNKNOWN, size=5, now=second)
        assert counts.due(second) == []
    counts.count("acme", "two", DropReason.QUOTA, size=7, now=59.0)
    assert counts.due(59.0) == [("acme", "two", DropReason.QUOTA, 1, 7)]
    assert counts.due(60.0) == [("acme", "one", DropReason.UNKNOWN, 59, 295)]
    assert counts.due(120.0) == []


@pytest.mark.heavy
def test_a_flood_of_names_is_counted_in_bounded_memory_and_reported_in_few_lines() -> None:
    counts = DropCounts()
    reports = 0
    for number in range(5 * MAX_STRANGERS):
        counts.count("acme", f"stranger-{number}", DropReason.UNKNOWN, size=1, now=number / 1000)
        reports += len(counts.due(number / 1000))
    assert reports == MAX_NAMED
    last = counts.due(60.0)
    assert len(last) == MAX_NAMED + 1
    assert last[0] == (OTHERS, OTHERS, DropReason.UNKNOWN, 4 * MAX_STRANGERS, 4 * MAX_STRANGERS)
    assert reports + sum(report.messages for report in last) == 5 * MAX_STRANGERS
