"""Ask the controller for stored results (0064), slowly enough to leave it time for live ones."""

import contextlib
from dataclasses import replace
from typing import Final

from linewitness.base.errors import DeviceUnavailable
from linewitness.base.pacing import Pace
from linewitness.devices.open_protocol.content.limits import KnownLimits
from linewitness.devices.open_protocol.content.tightening import entry_of
from linewitness.devices.open_protocol.ledger.state import NO_ID, ResultCore, ResultEntry, ResultRecord
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.session.recovery import NEWEST, Answer, NoResult
from linewitness.devices.open_protocol.session.silence import MemorySilence
from linewitness.devices.open_protocol.wire.codec import DecodedTelegram, decode, encode
from linewitness.devices.open_protocol.wire.mids import STEP_DOWN, UNSUPPORTED, Mid, Refusal
from linewitness.devices.open_protocol.wire.refusals import RefusedByController, Unanswered
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram

HIGHEST_REVISION: Final = 11
#: Where live results come in a revision that stored ones do not have.
COMMON_REVISION: Final = 6
#: Revisions of parameter-set data; only the first says since when they hold.
PSET_REVISIONS: Final = (5, 2, 1)


class ResultHistory:
    """The controller's memory, as far as it lets us look into it."""

    def __init__(
        self,
        *,
        link: ControllerLink,
        limits: KnownLimits,
        per_s: float,
        silence: MemorySilence,
        names_stations: bool,
    ) -> None:
        """Ask at most `per_s` times a second; what is found out about `limits` is kept there.

        `silence` decides where an answer does not come. `names_stations`: stored results are known to name
        their station.
        """
        self._link = link
        self._silence = silence
        self._limits = limits
        self._pace = Pace(per_s)
        self.revision = 1
        self._psets_asked: set[int] = set()
        self.names_stations = names_stations

    async def ask(self, number: int) -> Answer:
        """Return the stored result with this id (0: the newest), or why there is none.

        Raises `MemoryPaused` where no answer came, and no further question will be asked.
        """
        if number != NEWEST:
            await self._pace.turn()
        while True:
            telegram = encode(Mid.OLD_RESULT_REQUEST, self.revision, {"tightening_id": number})
            try:
                received = await self._link.ask(telegram, Mid.OLD_RESULT, ignorable=True)
            except Unanswered:
                return self._silence.met(self._link, number, Mid.OLD_RESULT_REQUEST)
            except RefusedByController as error:
                self._silence.answered(newest=number == NEWEST)
                if error.code in STEP_DOWN | UNSUPPORTED and self.revision > 1:
                    self.revision -= 1
                    continue
                return self._none(error, number)
            self._silence.answered(newest=number == NEWEST)
            return await self._read(received, number)

    def use_revision(self, of_results: int) -> None:
        """Begin with the revision in which live results come, where stored ones have it too."""
        self.revision = of_results if of_results <= HIGHEST_REVISION else COMMON_REVISION

    def _none(self, error: RefusedByController, number: int) -> NoResult:
        if error.code in STEP_DOWN | UNSUPPORTED:
            return NoResult.UNSUPPORTED
        if error.code == Refusal.NOT_FOUND or (error.code == Refusal.DATA_INVALID and number != NEWEST):
            return NoResult.ABSENT
        raise DeviceUnavailable(f"stored results cannot be read now: {error}", hint=error.hint)

    async def _read(self, received: ReceivedTelegram, number: int) -> Answer:
        decoded = decode(received.telegram)
        entry = entry_of(decoded)
        if entry is None:
            if number == NEWEST:
                return NoResult.UNREADABLE
            entry = ResultEntry(number, ResultCore())
        elif entry.id == NO_ID:
            # What was asked for by its id has it, also where the answer does not say it.
            entry = replace(entry, id=number)
        station = decoded.number("station_id")
        self.names_stations |= station is not None
        await self._ask_limits(decoded)
        return ResultRecord(
            entry=entry,
            live=False,
            station=station,
            received=received,
            content=decoded,
            id_is_blank=decoded.number("tightening_id") is None,
        )

    async def _ask_limits(self, decoded: DecodedTelegram) -> None:
        """Fetch the parameter set once a session: stored results do not carry limits."""
        pset = decoded.number("pset_id")
        if not pset or pset in self._psets_asked:
            return
        self._psets_asked.add(pset)
        for revision in PSET_REVISIONS:
            with contextlib.suppress(RefusedByController):
                telegram = encode(Mid.PSET_DATA_REQUEST, revision, {"pset_id": pset})
                received = await self._link.ask(telegram, Mid.PSET_DATA, optional=True)
                self._limits.learn_from_parameter_set(decode(received.telegram), pset)
                return

    def forget_limits(self, pset: int) -> None:
        """Ask for a parameter set again: it was selected or changed."""
        self._psets_asked.discard(pset)
