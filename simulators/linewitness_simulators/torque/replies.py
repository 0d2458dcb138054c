"""Answer what clients ask and command, MID by MID; a refusal carries the protocol's own code."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from linewitness_simulators.torque import fields, wire
from linewitness_simulators.torque.generic import request, subscribe_generic, unsubscribe_generic
from linewitness_simulators.torque.model import Inputs, StoredResult
from linewitness_simulators.torque.programs import PROGRAM_COMMANDS, PROGRAM_REQUESTS
from linewitness_simulators.torque.session import ClientSession, RequestRefused
from linewitness_simulators.torque.subscriptions import send_bolt, subscribe, unsubscribe
from linewitness_simulators.torque.telegrams import number_at, text_of
from linewitness_simulators.torque.topics import ACKS, ENDS, TOPICS, own_results
from linewitness_simulators.torque.wire import Telegram

Handler = Callable[[ClientSession, Telegram], Awaitable[None]]

INVALID: Final = 1
ID_NOT_FOUND: Final = 15
TOOL_ABSENT: Final = 29
SYNC_UNAVAILABLE: Final = 33
NO_ALARM: Final = 58
ALL_TOOLS: Final = 9999
#: Subscriptions that can begin with what is stored, from this revision on.
REWOUND: Final = (100, 105)
REWINDS: Final = 2


async def tool_data(session: ClientSession, telegram: Telegram) -> None:
    """0040 → 0041."""
    controller = session.controller
    if telegram.revision >= 6:
        _check_tool(session, number_at(telegram.data, 2, 4))
    values = fields.tool_data(controller.setup, controller.state, controller.station)
    await session.reply(wire.encode(controller.faults, 41, _answered(session, telegram.revision), values))


def _answered(session: ClientSession, revision: int) -> int:
    """Return the revision of the answer: the one asked for, unless we misbehave."""
    return max(revision - 1, 1) if session.controller.faults.lower_revision else revision


def _check_tool(session: ClientSession, number: int) -> None:
    if number not in (session.controller.setup.tool.number, ALL_TOOLS):
        raise RequestRefused(TOOL_ABSENT)


async def old_result(session: ClientSession, telegram: Telegram) -> None:
    """0064 → 0065."""
    controller = session.controller
    asked = number_at(telegram.data, 0, 10)
    while controller.faults.push_before_reply:
        controller.faults.push_before_reply -= 1
        controller.tighten(Inputs())
    found = _find(session, asked)
    session.record("asked", 64, asked, text=str(found.id) if found else "")
    if found is None:
        raise RequestRefused(ID_NOT_FOUND)
    values = dict(fields.result(controller.station, found))
    if found.id in controller.faults.altered_torques:
        values["torque"] = controller.faults.altered_torques[found.id]
    await session.reply(wire.encode(controller.faults, 65, _answered(session, telegram.revision), values))


def _find(session: ClientSession, asked: int) -> StoredResult | None:
    """Return the result that 0064 means: the newest for 0, the exact one, or the newest up to it."""
    controller = session.controller
    if controller.options.history == "at-or-before":
        best = controller.memory.at_or_before(asked) if asked else controller.memory.newest()
    else:
        best = controller.memory.stored.get(asked) if asked else controller.newest_of_ours()
        if best is not None and best.station_id != controller.options.station.station_id:
            best = None
    return None if best is None or best.id in controller.faults.missing_ids else best


async def old_sync_result(session: ClientSession, telegram: Telegram) -> None:
    """0104 → 0101, which is not confirmed; refused to those who subscribed."""
    controller = session.controller
    asked = number_at(telegram.data, 2, 10)
    made = next((r for r in reversed(own_results(controller)) if r.spindles > 1 and r.sync_id == asked), None)
    if made is None or session.subscribed(100):
        raise RequestRefused(SYNC_UNAVAILABLE)
    await session.reply(wire.encode(controller.faults, 101, telegram.revision, fields.sync_result(made)))


async def read_time(session: ClientSession, _: Telegram) -> None:
    """0080 → 0081."""
    controller = session.controller
    await session.reply(wire.encode(controller.faults, 81, 1, {"time": controller.times()[1]}))


async def set_time(session: ClientSession, telegram: Telegram) -> None:
    """0082."""
    try:
        session.controller.show_time(text_of(telegram.data[:19]))
    except ValueError as error:
        raise RequestRefused(INVALID) from error
    await session.accept(82)


async def switch_tool(session: ClientSession, telegram: Telegram) -> None:
    """0042 and 0043."""
    if telegram.revision >= 2:
        _check_tool(session, number_at(telegram.data, 2, 4))
    session.controller.enable_tool(telegram.mid == 43)
    await session.accept(telegram.mid)


async def identify(session: ClientSession, telegram: Telegram) -> None:
    """0050 and 0150."""
    limit = 25 if telegram.mid == 50 else 100
    text = text_of(telegram.data)
    if len(text) > limit:
        raise RequestRefused(INVALID)
    await session.accept(telegram.mid)
    if not session.controller.faults.ignore_identifiers:
        session.controller.identify(text)


async def reset_identifiers(session: ClientSession, telegram: Telegram) -> None:
    """0155, 0156 and 0157: only the last one forgets what was read."""
    await session.accept(telegram.mid)
    if telegram.mid == 157:
        session.controller.identify("")


async def acknowledge_alarm(session: ClientSession, _: Telegram) -> None:
    """0078."""
    if not session.controller.alarms:
        raise RequestRefused(NO_ALARM)
    await session.accept(78)
    session.controller.acknowledge_alarm()


async def subscribe_fixed(session: ClientSession, telegram: Telegram) -> None:
    """0014, 0034, 0051, 0060, 0070, 0100, 0105 and 0151."""
    rewind_to = None
    if telegram.mid in REWOUND and telegram.revision >= REWINDS:
        only_new = telegram.revision > REWINDS and number_at(telegram.data, 10, 1)
        rewind_to = None if only_new else number_at(telegram.data, 0, 10)
    await subscribe(
        session,
        telegram.mid,
        _answered_subscription(session, telegram),
        wait=not telegram.no_ack,
        rewind_to=rewind_to,
    )


def _answered_subscription(session: ClientSession, telegram: Telegram) -> int:
    return _answered(session, telegram.revision) if telegram.mid == 60 else telegram.revision


async def unsubscribe_fixed(session: ClientSession, telegram: Telegram) -> None:
    """0017, 0037, 0054, 0063, 0073, 0103, 0109 and 0154."""
    await unsubscribe(session, ENDS[telegram.mid], telegram.mid)


async def confirm(session: ClientSession, telegram: Telegram) -> None:
    """0062 and its like."""
    session.confirm(telegram.mid)


async def confirm_cycle(session: ClientSession, telegram: Telegram) -> None:
    """0108: after the last bolt, or if the client wants none, the cycle is confirmed."""
    if telegram.data[:1] not in (b"0", b"1"):
        raise RequestRefused(INVALID)
    if telegram.data[:1] == b"1" and send_bolt(session):
        return
    session.confirm(108)


async def confirm_by_name(session: ClientSession, telegram: Telegram) -> None:
    """0005 with the MID of an event."""
    session.confirm(number_at(telegram.data, 0, 4), event=True)


async def keep_alive(session: ClientSession, telegram: Telegram) -> None:
    """9999: the same again."""
    if session.overrun_by_keep_alive():
        return
    await session.reply(wire.compose(9999, telegram.revision, telegram.data))


HANDLERS: Final[Mapping[int, Handler]] = {
    5: confirm_by_name,
    6: request,
    8: subscribe_generic,
    9: unsubscribe_generic,
    40: tool_data,
    42: switch_tool,
    43: switch_tool,
    50: identify,
    64: old_result,
    78: acknowledge_alarm,
    104: old_sync_result,
    80: read_time,
    82: set_time,
    150: identify,
    155: reset_identifiers,
    156: reset_identifiers,
    157: reset_identifiers,
    9999: keep_alive,
    **PROGRAM_REQUESTS,
    **PROGRAM_COMMANDS,
    **dict.fromkeys(TOPICS, subscribe_fixed),
    **dict.fromkeys(ENDS, unsubscribe_fixed),
    **dict.fromkeys(ACKS, confirm),
    108: confirm_cycle,
}

#: What changes the controller: refused with 92 while commands are disabled.
COMMANDS: Final = frozenset({42, 43, 50, 78, 82, 150, 155, 156, 157}) | PROGRAM_COMMANDS.keys()
