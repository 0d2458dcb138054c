"""Ask the controller for stored operation results (0006 → 1201), one at a time."""

import asyncio
from typing import Final

from linewitness.base.errors import DeviceUnavailable
from linewitness.base.pacing import Pace
from linewitness.devices.open_protocol.content.operations import record_of
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.session.recovery import NEWEST, Answer, NoResult
from linewitness.devices.open_protocol.session.silence import MemorySilence
from linewitness.devices.open_protocol.wire.mids import Mid, Refusal
from linewitness.devices.open_protocol.wire.refusals import RefusedByController, Unanswered
from linewitness.devices.open_protocol.wire.telegram import Telegram
from linewitness.devices.open_protocol.wire.variable import MalformedVariable, generic, parse_part

#: Revisions of 1201; from the second on, an answer says that it is one.
REVISIONS: Final = (2, 1)
NOT_OFFERED: Final = frozenset(
    {Refusal.REQUEST_UNSUPPORTED, Refusal.REQUEST_REVISION, Refusal.UNKNOWN_MID, Refusal.REVISION}
)
PARTS_TIMEOUT_S: Final = 3.0
#: New results only, no time and index, objects too.
NEW_ONLY: Final = "0" + "0" * 29 + "1"


class OperationHistory:
    """The controller's memory of operation results."""

    def __init__(self, *, link: ControllerLink, per_s: float, silence: MemorySilence) -> None:
        """Ask at most `per_s` times a second; `silence` decides where an answer does not come."""
        self._link = link
        self._silence = silence
        self._collector = link.operations
        self._pace = Pace(per_s)
        self._turn = asyncio.Lock()
        self.revision = REVISIONS[0]

    async def ask(self, number: int) -> Answer:
        """Return the stored result with this id (0: the newest), or why there is none."""
        if number != NEWEST:
            await self._pace.turn()
        async with self._turn:
            return await self._ask(number)

    async def _ask(self, number: int) -> Answer:
        self._collector.begin()
        try:
            answer = await self._fetch(number)
        except Unanswered:
            return self._silence.met(self._link, number, Mid.GENERIC_REQUEST)
        except RefusedByController as error:
            self._silence.answered(newest=number == NEWEST)
            return self._none(error)
        except (MalformedVariable, TimeoutError):
            return NoResult.UNREADABLE
        else:
            self._silence.answered(newest=number == NEWEST)
            return answer
        finally:
            self._collector.end()

    async def subscribe(self) -> bool:
        """Subscribe to new results; False where the controller does not offer them."""
        for revision in REVISIONS:
            self.revision = revision
            question = generic(Mid.GENERIC_SUBSCRIBE, Mid.OPERATION_RESULT, revision, NEW_ONLY)
            try:
                await self._link.ask(question, Mid.ACCEPTED, inner=Mid.OPERATION_RESULT)
            except RefusedByController as error:
                if error.code == Refusal.SUBSCRIBED:
                    return True
            else:
                return True
        return False

    async def _fetch(self, number: int) -> Answer:
        question = generic(Mid.GENERIC_REQUEST, Mid.OPERATION_RESULT, self.revision, f"{number:010d}")
        received = await self._link.ask(
            question,
            Mid.OPERATION_RESULT,
            inner=Mid.OPERATION_RESULT,
            accept=lambda each: _answers(each, number),
            ignorable=True,
        )
        operation = await self._collector.asked_for(received, PARTS_TIMEOUT_S)
        return record_of(operation, received, live=False)

    def _none(self, error: RefusedByController) -> NoResult:
        if error.code in NOT_OFFERED:
            return NoResult.UNSUPPORTED
        if error.code == Refusal.NOT_FOUND:
            return NoResult.ABSENT
        raise DeviceUnavailable(f"stored results cannot be read now: {error}", hint=error.hint)


def _answers(telegram: Telegram, number: int) -> bool:
    """Whether this is the answer to our question, and not an event that came at the same time."""
    try:
        part = parse_part(telegram)
    except MalformedVariable:
        return True
    if part.request is not None:
        return part.request == Mid.GENERIC_REQUEST
    return number in (NEWEST, part.result_id)
