"""Answer the generic messages 0006, 0008 and 0009, which carry the MID that they are about."""

from typing import Final

from linewitness_simulators.torque import variable, wire
from linewitness_simulators.torque.controller import ControllerChange, ControllerEvent
from linewitness_simulators.torque.model import StoredResult
from linewitness_simulators.torque.session import ClientSession, RequestRefused
from linewitness_simulators.torque.subscriptions import subscribe, unsubscribe
from linewitness_simulators.torque.telegrams import number_at
from linewitness_simulators.torque.topics import (
    OVERALL,
    PLOT,
    TOPICS,
    TRACE,
    operation,
    operation_results,
    own_results,
    plots,
    traces,
)
from linewitness_simulators.torque.wire import Telegram

ID_NOT_FOUND: Final = 15
EXISTS: Final = 71
MISSING: Final = 72
NOT_SUBSCRIBABLE: Final = 73
SUBSCRIBED_REVISION: Final = 74
NOT_REQUESTABLE: Final = 75
REQUESTED_REVISION: Final = 76
REQUESTED_DATA: Final = 77
SUBSCRIBED_DATA: Final = 78

#: The subscribe MID for each event and unsubscribe MID, and for itself.
NAMES: Final = (
    {mid: mid for mid in TOPICS}
    | {topic.end: mid for mid, topic in TOPICS.items()}
    | {sends.mid: mid for mid, topic in TOPICS.items() for sends in topic.sends.values()}
)
GENERIC_ONLY: Final = (OVERALL, TRACE, PLOT)


def _inner(telegram: Telegram) -> tuple[int, int, bytes]:
    """Return MID, revision and extra data of the message inside."""
    mid, revision = number_at(telegram.data, 0, 4), number_at(telegram.data, 4, 3)
    length = number_at(telegram.data, 7, 2)
    extra = telegram.data[9 : 9 + length]
    if len(extra) != length:
        raise RequestRefused(1)
    return mid, max(revision, 1), extra


def _check(session: ClientSession, mid: int, revision: int, unknown: int, too_high: int) -> None:
    options = session.controller.options
    if options.highest(mid) is None:
        raise RequestRefused(unknown)
    if not options.supports(mid, revision):
        raise RequestRefused(too_high)


async def request(session: ClientSession, telegram: Telegram) -> None:
    """0006."""
    mid, revision, extra = _inner(telegram)
    if mid not in (66, 67, 902, *GENERIC_ONLY):
        raise RequestRefused(NOT_REQUESTABLE)
    _check(session, mid, revision, NOT_REQUESTABLE, REQUESTED_REVISION)
    controller = session.controller
    stored = own_results(controller)
    match mid:
        case 66:
            values = {"offline_results": 0, "offline_curves": 0}
            await session.reply(wire.encode(controller.faults, 66, revision, values))
        case 67:
            data = variable.result_list(stored, number_at(extra, 0, 10), number_at(extra, 10, 3))
            await session.reply(wire.compose(67, revision, data))
        case 902:
            await session.reply(
                wire.compose(902, revision, variable.database(stored, controller.options.capacity))
            )
        case _:
            await _send_result(session, mid, revision, extra, stored)


async def _send_result(
    session: ClientSession, mid: int, revision: int, extra: bytes, stored: list[StoredResult]
) -> None:
    """Answer with one result's 1201 and 1202, 0900 or 0901."""
    asked = number_at(extra, 0, 10)
    wanted = stored[-1:] if asked == 0 else [r for r in stored if r.id == asked]
    if not wanted:
        raise RequestRefused(ID_NOT_FOUND)
    (made,) = wanted
    controller = session.controller
    if mid == OVERALL:
        for _, part in operation(controller, made, revision, objects=True, request=6):
            await session.reply(part)
    elif mid == PLOT:
        await session.reply(wire.compose(PLOT, revision, variable.plot(made)))
    else:
        kind = number_at(extra, 10, 3)
        if kind not in (variable.TRACE_ANGLE, variable.TRACE_TORQUE):
            raise RequestRefused(REQUESTED_DATA)
        await session.reply(wire.compose(TRACE, revision, variable.trace(made, kind, controller.setup.tool)))


async def subscribe_generic(session: ClientSession, telegram: Telegram) -> None:
    """0008."""
    mid, revision, extra = _inner(telegram)
    begins = NAMES.get(mid)
    if begins is not None:
        _check(session, begins, revision, NOT_SUBSCRIBABLE, SUBSCRIBED_REVISION)
        await subscribe(session, begins, revision, wait=not telegram.no_ack, answered=mid)
        return
    if mid not in GENERIC_ONLY:
        raise RequestRefused(NOT_SUBSCRIBABLE)
    _check(session, mid, revision, NOT_SUBSCRIBABLE, SUBSCRIBED_REVISION)
    if session.subscribed(mid):
        raise RequestRefused(EXISTS)
    # Like the products that we know: only what is new can be subscribed to.
    if extra[:1] not in (b"", b"0"):
        raise RequestRefused(SUBSCRIBED_DATA)
    await session.accept(mid)
    _begin(session, mid, revision, extra)


def _begin(session: ClientSession, mid: int, revision: int, extra: bytes) -> None:
    controller = session.controller
    if mid == OVERALL:
        subscription = session.subscribe(
            mid, operation_results(controller, revision, objects=extra[30:31] == b"1")
        )
        if stored := own_results(controller):
            session.push(subscription, ControllerEvent(ControllerChange.RESULT, result=stored[-1]))
    elif mid == TRACE:
        count = number_at(extra, 30, 2) if len(extra) > 30 else 1
        wanted = tuple(number_at(extra, 32 + 3 * n, 3) for n in range(count)) if len(extra) > 32 else (2,)
        session.subscribe(mid, traces(controller, wanted))
    else:
        session.subscribe(mid, plots)


async def unsubscribe_generic(session: ClientSession, telegram: Telegram) -> None:
    """0009."""
    mid, _, _ = _inner(telegram)
    begins = NAMES.get(mid)
    if begins is not None:
        await unsubscribe(session, begins, mid)
        return
    if not session.unsubscribe(mid):
        raise RequestRefused(MISSING if mid in GENERIC_ONLY else NOT_SUBSCRIBABLE)
    await session.accept(mid)
