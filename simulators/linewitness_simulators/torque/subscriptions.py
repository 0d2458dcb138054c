"""Begin and end subscriptions; the answer goes out before the first event."""

from typing import Final

from linewitness_simulators.torque import cycles, wire
from linewitness_simulators.torque.controller import ControllerChange, ControllerEvent
from linewitness_simulators.torque.session import ClientSession, RequestRefused
from linewitness_simulators.torque.topics import TOPICS, maker, own_results

NOT_SYNC_MASTER: Final = 30
RESULTS: Final = 60
MULTI_SPINDLE: Final = 100
CYCLE: Final = 106
BOLT: Final = 107


async def subscribe(
    session: ClientSession,
    mid: int,
    revision: int,
    *,
    wait: bool,
    answered: int | None = None,
    rewind_to: int | None = None,
) -> None:
    """Subscribe to the topic that `mid` begins; `answered` is the MID in 0005 where it is another.

    With `rewind_to`, the stored results from this one on are sent first; 0 is the oldest.
    """
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
    for made in own_results(controller) if rewind_to is not None else ():
        if made.id >= (rewind_to or 0):
            session.push(subscription, ControllerEvent(ControllerChange.RESULT, result=made))
    if mid == RESULTS and controller.options.redeliver:
        confirmed = set(controller.memory.acked)
        for made in own_results(controller):
            if made.id not in confirmed:
                session.push(subscription, ControllerEvent(ControllerChange.RESULT, result=made))


def send_bolt(session: ClientSession) -> bool:
    """Send the next bolt (0107) of the cycle that waits for its confirmation; False after the last one."""
    push, controller = session.unconfirmed(CYCLE), session.controller
    made = controller.memory.stored.get(push.number or 0) if push is not None else None
    if push is None or made is None or push.bolts == made.spindles:
        return False
    push.bolts += 1
    values = cycles.bolt(made, push.bolts)
    session.send(wire.encode(controller.faults, BOLT, 1, values))
    return True


async def unsubscribe(session: ClientSession, mid: int, answered: int) -> None:
    """End the topic that `mid` began."""
    if not session.unsubscribe(mid):
        raise RequestRefused(TOPICS[mid].missing)
    await session.accept(answered)
