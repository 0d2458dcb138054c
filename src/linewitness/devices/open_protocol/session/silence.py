"""What to do where a controller does not answer a question for stored results, although it is alive.

One that never answered has no memory that could be asked: capture goes on without it. One that answered
before is connected to anew, because an answer that comes too late must not be taken for another one's; only
where that happens several times in a row does capture go on without its memory.
"""

from typing import Final, Never

import structlog

from linewitness.devices.open_protocol.ledger.epochs import NoResult
from linewitness.devices.open_protocol.session.link import ControllerLink

#: So many connections in a row that end because of a silent memory, or of a subscription that is refused for
#: the moment; the next one goes on without it.
CONNECTIONS: Final = 2

log = structlog.get_logger(__name__)


class MemoryPaused(Exception):
    """What is stored cannot be told from what is not, and this session asks no further question."""


class MemorySilence:
    """What a controller leaves unanswered, over the connections of one driver."""

    def __init__(self, name: str) -> None:
        """`name` is what messages call the controller."""
        self._name = name
        self._answers = False
        self._connections = self._refusals = 0
        self._skipped: set[int] = set()
        self._last = 0
        self._said = self._unsubscribed = self._stationless = False
        self.paused = False
        self._not_offered: set[int] = set()

    def begin(self, *, answers: bool) -> None:
        """Begin a session; `answers`: the controller is known to answer such questions."""
        self._answers = answers
        self.paused = False

    def answered(self, *, newest: bool) -> None:
        """Note an answer, a refusal included."""
        self._answers = True
        if newest and self._last:
            return  # the newest one is answered all the time; another id was not
        self._connections = 0
        if self._said:
            self._said = False
            log.info("old results are answered again", device=self._name)

    def skips(self, number: int) -> bool:
        """Whether to leave out this id, because it got no answer since the last whole round."""
        return number in self._skipped

    def round_ended(self) -> None:
        """Note that all that is missing was asked for or left out; the next round leaves out nothing.

        Until then each connection finds one silent id at most, so that a round ends however many there are.
        """
        self._skipped.clear()

    def met(self, link: ControllerLink, number: int, mid: int) -> NoResult:
        """Return what silence means here; end the connection, or raise `MemoryPaused`."""
        if not self._answers:
            self._say(mid)
            return NoResult.UNSUPPORTED
        self._last = number
        if self._connections < CONNECTIONS:
            self._connections += 1
            if number:
                self._skipped.add(number)
            raise link.ended_by_silence(mid)
        self.paused = True
        self._say(mid)
        raise MemoryPaused

    def refused_again(self) -> bool:
        """Note that a subscription was refused for the moment; return whether to go on without it."""
        self._refusals += 1
        return self._refusals > CONNECTIONS

    def refused_no_more(self) -> None:
        """Note that the subscription was taken."""
        self._refusals = 0

    def say_unsubscribed(self, every_s: float) -> None:
        """Note once that the subscription to results got no answer."""
        if not self._unsubscribed:
            self._unsubscribed = True
            log.warning(
                "the subscription to results (0060) is not answered: results come from the memory",
                device=self._name,
                every_s=every_s,
                hint="enable results over Open Protocol there; reconcile_s is how often the memory is asked",
            )

    def say_not_offered(self, mid: int, **more: str) -> None:
        """Note once that the controller refuses or ignores this message, and capture goes on without it."""
        if mid not in self._not_offered:
            self._not_offered.add(mid)
            log.info("not offered by the controller", device=self._name, mid=int(mid), **more)

    def station_is_missing(self) -> Never:
        """Stop asking: a stored result does not name its station, and may be another one's."""
        self.paused = True
        if not self._stationless:
            self._stationless = True
            log.warning(
                "stored results do not name their station any more: they are not taken",
                device=self._name,
                hint="the revision is tried again at the next connection; to take them all the same, set "
                "result_revision to the one that the controller offers",
            )
        raise MemoryPaused

    def _say(self, mid: int) -> None:
        if not self._said:
            self._said = True
            log.warning(
                "old results are not answered: capture goes on without them",
                device=self._name,
                mid=mid,
                hint="what is made while the gateway is away is missing: enable old results there, or set "
                "back_fill: none",
            )
