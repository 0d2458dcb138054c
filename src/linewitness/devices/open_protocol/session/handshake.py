"""The questions at the start of a session: who are you, what do you offer, what time is it."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Final

from linewitness.base.errors import DeviceRefused, DeviceUnavailable
from linewitness.base.mappings import EMPTY
from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.session.identity import ControllerIdentity
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.session.silence import MemorySilence
from linewitness.devices.open_protocol.wire.codec import DecodedTelegram, decode, encode
from linewitness.devices.open_protocol.wire.layouts import layout_for
from linewitness.devices.open_protocol.wire.mids import (
    COME_BACK_LATER,
    STEP_DOWN,
    STILL_SUBSCRIBED,
    TRANSIENT,
    UNSUBSCRIBE_OF,
    UNSUPPORTED,
    Mid,
    Refusal,
)
from linewitness.devices.open_protocol.wire.refusals import (
    ClosedByController,
    RefusedByController,
    Unanswered,
)
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram, Telegram
from linewitness.devices.open_protocol.wire.variable import generic

#: Revisions of results in the order in which they are tried.
RESULT_REVISIONS: Final = (7, 6, 5, 4, 3, 2, 1, 999)
#: From this revision on 0001 has that field, and 0040 that one.
OPTIONAL_KEEP_ALIVE: Final = 7
TOOL_NUMBER: Final = 6
LOWER: Final = STEP_DOWN | UNSUPPORTED
#: New traces only, no time and index, of two types: angle and torque.
TRACES_WANTED: Final = "0" + " " * 29 + "02" + "001" + "002"


class NoResultsOffered(DeviceRefused):
    """The controller has no tightening results (0061) in any revision."""


class ClosedAtStart(DeviceUnavailable):
    """The controller closed the connection in place of an answer to the start in this revision."""

    def __init__(self, what: str, revision: int) -> None:
        """Keep the revision, which may be lower than the first one that was asked."""
        super().__init__(what)
        self.revision = revision


class ControllerBusy(DeviceUnavailable):
    """The controller still holds an earlier session, or has no room: too early."""


async def start(link: ControllerLink, name: str, highest: int) -> DecodedTelegram:
    """Start the communication in the highest revision that both know.

    Raises `ClosedAtStart`, `ControllerBusy` and `DeviceRefused`.
    """
    for revision in range(highest, 0, -1):
        values = {"optional_keep_alive": 0} if revision >= OPTIONAL_KEEP_ALIVE else {}
        try:
            answer = await link.ask(encode(Mid.START, revision, values), Mid.STARTED)
        except ClosedByController as error:
            raise ClosedAtStart(error.what, revision) from error
        except RefusedByController as error:
            if error.code in COME_BACK_LATER:
                raise ControllerBusy(f"{name}: {error}", hint=error.hint) from error
            if error.code in TRANSIENT:
                raise DeviceUnavailable(f"{name}: {error}", hint=error.hint) from error
            if error.code not in LOWER or revision == 1:
                raise DeviceRefused(f"{name}: {error}", hint=error.hint) from error
            continue
        return decode(answer.telegram)
    raise DeviceRefused(f"{name} accepts no revision of the communication start up to {highest}")


def identify(started: DecodedTelegram, tool: DecodedTelegram | None) -> ControllerIdentity:
    """Put together what 0002 and, where that has no serial number, 0041 say."""
    serial = started.text("controller_serial_number") or ""
    if not serial and tool is not None:
        serial = tool.text("controller_serial_number") or ""
    return ControllerIdentity(
        name=started.text("controller_name") or "",
        supplier=started.text("supplier_code") or "",
        serial=serial,
        software=started.text("controller_sw_version") or "",
        protocol=started.text("open_protocol_version") or "",
        station=started.number("station_or_cell_id"),
        station_name=started.text("station_or_cell_name") or "",
        revision=started.revision,
    )


async def ask_stepping_down(
    link: ControllerLink,
    mid: int,
    revisions: Iterable[int],
    answer: int,
    values: Mapping[str, int] = EMPTY,
) -> ReceivedTelegram | None:
    """Ask in these revisions until one is answered; None where the controller offers none of them."""
    for revision in revisions:
        telegram = Telegram(mid=mid, revision=revision)
        if layout_for(mid, revision) is not None:
            telegram = encode(mid, revision, values)
        try:
            return await link.ask(telegram, answer, optional=True)
        except RefusedByController as error:
            if error.code not in LOWER:
                return None
    return None


async def tool_data(link: ControllerLink, highest: int) -> ReceivedTelegram | None:
    """Ask for the tool; None where there is none, or the controller does not say."""
    for revision in range(highest, 0, -1):
        values = {"tool_number": 1} if revision >= TOOL_NUMBER else {}
        question = encode(Mid.TOOL_DATA_REQUEST, revision, values)
        try:
            return await link.ask(question, Mid.TOOL_DATA, optional=True)
        except Unanswered:
            return None
        except RefusedByController:
            continue
    return None


async def subscribe(
    link: ControllerLink, mid: Mid, revision: int, *, optional: bool = False, ignorable: bool = False
) -> None:
    """Subscribe, and if an earlier session's subscription is in the way, undo that first."""
    telegram = Telegram(mid=mid, revision=revision)
    try:
        await link.ask(telegram, Mid.ACCEPTED, optional=optional, ignorable=ignorable)
    except RefusedByController as error:
        if error.code not in STILL_SUBSCRIBED:
            raise
        with contextlib.suppress(RefusedByController):
            await link.ask(Telegram(mid=UNSUBSCRIBE_OF[mid]), Mid.ACCEPTED, optional=True)
        await link.ask(telegram, Mid.ACCEPTED)


async def subscribe_stepping_down(link: ControllerLink, mid: Mid, revisions: Iterable[int]) -> int | None:
    """Subscribe in the first of these revisions that is offered; None where none is."""
    for revision in revisions:
        try:
            await subscribe(link, mid, revision, optional=True)
        except Unanswered:
            return None
        except RefusedByController as error:
            if error.code not in LOWER:
                return None
        else:
            return revision
    return None


async def subscribe_results(link: ControllerLink, name: str, wanted: int | None, highest: int) -> int | None:
    """Subscribe to results and return their revision; None where the controller answers no subscription.

    Revisions above `highest` are not tried. Raises `DeviceRefused` with what to change.
    """
    order = [each for each in RESULT_REVISIONS if each <= highest or each > RESULT_REVISIONS[0]]
    tried = (wanted,) if wanted is not None else tuple(order)
    last: RefusedByController | None = None
    silent = False
    for revision in tried:
        try:
            await subscribe(link, Mid.RESULT_SUBSCRIBE, revision, optional=silent, ignorable=True)
        except Unanswered:
            silent = True
        except RefusedByController as error:
            last = error
            if error.code in COME_BACK_LATER:
                raise ControllerBusy(f"{name}: {error}", hint=error.hint) from error
            if error.code in TRANSIENT:
                raise DeviceUnavailable(f"{name}: {error}", hint=error.hint) from error
            if error.code not in LOWER:
                raise DeviceRefused(f"{name}: {error}", hint=error.hint) from error
        else:
            return revision
    if silent and last is None:
        return None
    raise await _no_results(link, name, wanted, last)


async def _no_results(
    link: ControllerLink, name: str, wanted: int | None, error: RefusedByController | None
) -> DeviceRefused:
    offered = None
    if wanted is not None:
        offered = await subscribe_stepping_down(link, Mid.RESULT_SUBSCRIBE, RESULT_REVISIONS)
    if offered is not None:
        return DeviceRefused(
            f"{name} does not offer results in revision {wanted}: {error}",
            hint=f"remove result_revision from this device, or set it to {offered}",
        )
    what = f"{name} offers no tightening results (0061) in any revision"
    if error is not None and error.code == Refusal.UNKNOWN_MID:
        return NoResultsOffered(
            f"{what}: {error}",
            hint="enable results over Open Protocol there, or use the port of a station with a tool",
        )
    return NoResultsOffered(
        f"{what}: {error}", hint="check the station behind this port and the controller's licence"
    )


async def subscribe_more(
    link: ControllerLink, options: OpenProtocolOptions, silence: MemorySilence
) -> Mapping[str, str]:
    """Subscribe to what else is configured; return why the controller refuses what only the YAML asks for.

    Keys of the answer are names of settings.
    """
    wanted = (
        ("", options.alarms, Mid.ALARM_SUBSCRIBE, (3, 2, 1)),
        ("", options.parameter_sets, Mid.PSET_SUBSCRIBE, (2, 1)),
        ("identifiers", options.identifiers == "single", Mid.IDENTIFIER_SUBSCRIBE, (2, 1)),
        ("identifiers", options.identifiers == "multiple", Mid.IDENTIFIERS_SUBSCRIBE, (1,)),
        ("jobs", options.jobs, Mid.JOB_SUBSCRIBE, (5, 4, 3, 2, 1)),
    )
    refused: dict[str, str] = {}
    for setting, on, mid, revisions in wanted:
        if not on or await subscribe_stepping_down(link, mid, revisions) is not None:
            continue
        if setting:
            refused[setting] = f"MID {mid:04d} is not offered"
        silence.say_not_offered(mid)
    if options.traces:
        refused |= await _subscribe_traces(link, silence)
    return refused


async def _subscribe_traces(link: ControllerLink, silence: MemorySilence) -> Mapping[str, str]:
    question = generic(Mid.GENERIC_SUBSCRIBE, Mid.TRACE, 1, TRACES_WANTED)
    try:
        await link.ask(question, Mid.ACCEPTED, inner=Mid.TRACE, optional=True)
    except RefusedByController as error:
        silence.say_not_offered(Mid.TRACE, why=str(error))
        return {"traces": str(error)}
    return EMPTY
