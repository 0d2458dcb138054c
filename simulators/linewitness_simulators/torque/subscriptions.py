"""Begin and end subscriptions; the answer goes out before the first event."""

from typing import Final

from linewitness_simulators.torque.controller import ControllerChange, ControllerEvent
from linewitness_simulators.torque.session import ClientSession, RequestRefused
from linewitness_simulators.torque.topics import TOPICS, maker, own_results

NOT_SYNC_MASTER: Final = 30
RESULTS: Final = 60
MULTI_SPINDLE: Final = 100


async def subscribe(
    session: ClientSession, mid: int, revision: int, *, wait: bool, answered: int | None = None
) -> None:
    """Subscribe to the topic that `mid` begins; `answered` is the MID in 0005 where it is another."""
    topic, controller = TOPICS[mid], session.controller
    if session.subscribed(mid):
        raise RequestRefused(topic.exists)
    if mid == MULTI_SPINDLE and controller.setup.spindles < 2:
        raise RequestRefused(NOT_SYNC_MASTER)
    make = maker(controller, topic, revision, wait=wait)
    await session.accept(answered or mid)
    subscription = session.subscribe(mid, make)
    if topic.immediate:
        session.push(subscription, ControllerEvent(topic.immediate))
    if ControllerChange.ALARM_STATUS in topic.sends and controller.alarms:
        session.push(subscription, ControllerEvent(ControllerChange.ALARM_STATUS))
    if mid == RESULTS and controller.options.redeliver:
        confirmed = set(controller.memory.acked)
        for made in own_results(controller):
            if made.id not in confirmed:
                session.push(subscription, ControllerEvent(ControllerChange.RESULT, result=made))


async def unsubscribe(session: ClientSession, mid: int, answered: int) -> None:
    """End the topic that `mid` began."""
    if not session.unsubscribe(mid):
        raise RequestRefused(TOPICS[mid].missing)
    await session.accept(answered)
