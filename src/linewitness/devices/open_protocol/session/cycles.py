"""Subscribe to results of several bolts at once: multi-spindle (0101), and PowerMACS cycles (0106)."""

from collections.abc import Mapping
from typing import Final

from linewitness.base.errors import DeviceRefused, DeviceUnavailable
from linewitness.devices.open_protocol.ledger.cycle_numbers import NEWEST_KEY
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.wire.codec import decode, encode
from linewitness.devices.open_protocol.wire.mids import (
    COME_BACK_LATER,
    STILL_SUBSCRIBED,
    TRANSIENT,
    UNSUBSCRIBE_OF,
    Mid,
)
from linewitness.devices.open_protocol.wire.refusals import RefusedByController, Unanswered
from linewitness.devices.open_protocol.wire.telegram import Telegram

#: Revision 2 of 0100 sends everything that is stored at each subscription, so it is passed over.
MULTI_REVISIONS: Final = (6, 5, 4, 3, 1)
CYCLE_REVISIONS: Final = (4, 3, 2, 1)
#: From these revisions on a subscription names a cycle to begin with, and whether only new ones are wanted.
REWINDS: Final = 2
ONLY_NEW: Final = 3


async def begin(link: ControllerLink, options: OpenProtocolOptions, remembered: Mapping[str, str]) -> None:
    """Subscribe to PowerMACS cycles from the newest one on record on. Raises `DeviceRefused`."""
    newest = remembered.get(NEWEST_KEY)
    await subscribe_cycles(link, options.name, options.start_after if newest is None else int(newest))


def said_to(pushed: Telegram, options: OpenProtocolOptions) -> bytes:
    """Return what the confirmation of a push says: that of a cycle or a bolt asks for the next bolt."""
    if pushed.mid not in {Mid.CYCLE_RESULT, Mid.CYCLE_BOLT}:
        return b""
    said = decode(pushed)
    follows = (said.number("message") or 0) < (said.number("messages") or 0)
    return b"1" if options.bolt_details and follows else b"0"


async def subscribe_spindles(link: ControllerLink) -> int | None:
    """Subscribe to new multi-spindle results; return the revision, None where none is offered."""
    for revision in MULTI_REVISIONS:
        values = {"rewind_to": 0, "only_new": 1} if revision >= ONLY_NEW else {}
        if await _subscribed(link, encode(Mid.MULTI_SUBSCRIBE, revision, values)):
            return revision
    return None


async def subscribe_cycles(link: ControllerLink, name: str, newest: int | None) -> int:
    """Subscribe to PowerMACS cycles from the cycle `newest` on; return the revision.

    0 is the oldest that is stored, None only what is made from now on; revision 1 has new ones only. Raises
    `DeviceRefused` where the controller offers none.
    """
    for revision in CYCLE_REVISIONS:
        values = {"rewind_to": newest or 0} if revision >= REWINDS else {}
        if revision >= ONLY_NEW:
            values["only_new"] = int(newest is None)
        if await _subscribed(link, encode(Mid.CYCLE_SUBSCRIBE, revision, values)):
            return revision
    raise DeviceRefused(
        f"{name} offers no PowerMACS results (0105) in any revision",
        hint="remove results: powermacs from this device, or use the address of the station controller",
    )


async def _subscribed(link: ControllerLink, telegram: Telegram) -> bool:
    """Subscribe, after an earlier session's subscription is undone; False where this is not offered.

    Raises `DeviceUnavailable` for a refusal that passes: a lower revision would be given for good, and send
    nothing that is stored.
    """
    for again in (False, True):
        try:
            await link.ask(telegram, Mid.ACCEPTED, optional=True)
        except Unanswered:
            return False
        except RefusedByController as error:
            if error.code in TRANSIENT | COME_BACK_LATER:
                raise DeviceUnavailable(str(error), hint=error.hint) from error
            if again or error.code not in STILL_SUBSCRIBED:
                return False
            await unsubscribe(link, Mid(telegram.mid))
        else:
            return True
    return False


async def unsubscribe(link: ControllerLink, mid: Mid) -> None:
    """End a subscription, if there is one."""
    try:
        await link.ask(Telegram(mid=UNSUBSCRIBE_OF[mid]), Mid.ACCEPTED, optional=True)
    except RefusedByController:
        return
