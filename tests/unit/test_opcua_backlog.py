"""What waits between the network and capture, and what is said of what did not fit."""

import asyncio
from typing import Any

from asyncua.ua.uaprotocol_auto import PublishResult

from linewitness.base.clock import SystemClock
from linewitness.devices.opcua.backlog import Backlog, Delivery, Dropped
from linewitness_simulators.press.library import ua


def result(subscription: int, sequence: int, changes: int) -> PublishResult:
    message = ua.NotificationMessage(SequenceNumber=sequence)
    if changes:
        notification = ua.DataChangeNotification()
        notification.MonitoredItems = [ua.MonitoredItemNotification() for _ in range(changes)]
        message.NotificationData = [notification]
    found: PublishResult = ua.PublishResult(SubscriptionId=subscription, NotificationMessage=message)
    return found


def backlog(limit: int) -> Backlog:
    return Backlog(limit=limit, clock=SystemClock())


def drained(queue: Backlog) -> list[Any]:
    found = []
    while (held := queue.pop()) is not None:
        found.append(held)
    return found


def test_deliveries_come_out_in_order() -> None:
    queue = backlog(10)
    for number in (1, 2, 3):
        queue.take(result(1, number, 2))
    assert [held.sequence for held in drained(queue)] == [1, 2, 3]


def test_what_does_not_fit_is_marked_where_it_is_missing() -> None:
    queue = backlog(5)
    queue.take(result(1, 1, 4))
    queue.take(result(1, 2, 3))
    queue.take(result(1, 3, 2))
    first, mark = queue.pop(), queue.pop()
    assert isinstance(first, Delivery)
    assert isinstance(mark, Dropped)
    assert mark.count == 5
    queue.take(result(1, 4, 5))
    assert [held.sequence for held in drained(queue)] == [4]


def test_marks_of_two_subscriptions_stay_apart() -> None:
    queue = backlog(1)
    for subscription in (1, 2, 2, 1):
        queue.take(result(subscription, 1, 2))
    assert [(mark.subscription, mark.count) for mark in drained(queue)] == [(1, 2), (2, 4), (1, 2)]


def test_keep_alive_is_no_change_and_always_fits() -> None:
    queue = backlog(1)
    queue.take(result(1, 1, 1))
    queue.take(result(1, 2, 0))
    assert [held.changes for held in drained(queue)] == [1, 0]


def test_end_of_a_subscription_is_told() -> None:
    queue = backlog(1)
    message = ua.NotificationMessage(
        NotificationData=[ua.StatusChangeNotification(Status=ua.StatusCode(ua.StatusCodes.BadTimeout))]
    )
    queue.take(ua.PublishResult(SubscriptionId=1, NotificationMessage=message))
    assert queue.lost == "BadTimeout"


async def test_waiting_ends_with_the_first_delivery() -> None:
    queue = backlog(5)
    async with asyncio.TaskGroup() as group, asyncio.timeout(5):
        waiting = group.create_task(queue.filled())
        await asyncio.sleep(0)
        assert not waiting.done()
        queue.take(result(1, 1, 1))
