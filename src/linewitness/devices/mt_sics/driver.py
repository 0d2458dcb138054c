"""Turn a scale's stable weights into results."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from decimal import Decimal
from types import MappingProxyType

from ulid import ULID

from linewitness.base.clock import Clock
from linewitness.base.errors import DeviceRefused, DeviceUnavailable
from linewitness.devices.base import Gap, Measured, Memory, Observation, Result, Verdict, When
from linewitness.devices.context import DriverContext
from linewitness.devices.mt_sics.dialogue import Dialogue, WeighingOutcome, judge
from linewitness.devices.mt_sics.link import ScaleLine, ScaleLink, WeighRequest, linked
from linewitness.devices.mt_sics.options import MtSicsOptions
from linewitness.devices.mt_sics.replies import Weight, parse
from linewitness.devices.polling import PollFigures, PollGrid


class MtSicsSession:
    """One connection with a scale."""

    def __init__(
        self, *, options: MtSicsOptions, clock: Clock, dialogue: Dialogue, identity: Mapping[str, str]
    ) -> None:
        """Start after the scale has introduced itself."""
        self._options = options
        self._clock = clock
        self._dialogue = dialogue
        self._identity = MappingProxyType(dict(identity))
        self._session_id = str(ULID())
        self._grid = PollGrid(period_s=options.interval_s, clock=clock)
        self._count = 0
        self._last: tuple[Weight | None, str] | None = None

    @property
    def session_id(self) -> str:
        """Name this connection."""
        return self._session_id

    @property
    def identity(self) -> Mapping[str, str]:
        """Serial number, type, software and protocol versions of the scale."""
        return self._identity

    @property
    def polls(self) -> PollFigures:
        """How many weighings in a rhythm were due, and how many of them were not made."""
        return self._grid.figures

    def missed_polls(self, *, final: bool = False) -> Gap | None:
        """Return, once, which weighings in a rhythm were not made."""
        missed = self._grid.report(final=final)
        return missed.gap(self._options.id, self._session_id) if missed else None

    async def observations(self) -> AsyncGenerator[Observation, None]:
        """Yield a result for each weighing, until the scale is gone."""
        tick = self._grid.advance() if self._options.trigger == "interval" else None
        while True:
            incoming = await self._dialogue.idle(tick)
            if isinstance(incoming, WeighRequest):
                yield self._result(await self._dialogue.weigh(), incoming.identifier)
            elif isinstance(incoming, ScaleLine):
                pressed = self._pressed(incoming)
                if pressed is not None:
                    yield self._result(pressed, None)
            elif tick is not None:
                self._grid.begin()
                with self._grid.asking():
                    outcome = await self._dialogue.weigh()
                if self._is_news(outcome):
                    with self._grid.handing_over():
                        yield self._result(outcome, None)
                if (gap := self.missed_polls()) is not None:
                    yield gap
                tick = self._grid.advance()

    def _pressed(self, line: ScaleLine) -> WeighingOutcome | None:
        """Return what the print key sent; with another trigger nobody asked for it."""
        reply = parse(line.text)
        if self._options.trigger != "key" or reply is None or reply.command != "S":
            return None
        return judge(line, reply)

    def _is_news(self, outcome: WeighingOutcome) -> bool:
        """Say whether a periodic weighing found something else than the last one."""
        last, self._last = self._last, (outcome.weight, outcome.reason)
        if outcome.weight is not None and self._options.repeat_unchanged:
            return True
        return last != self._last

    def _result(self, outcome: WeighingOutcome, identifier: str | None) -> Result:
        received = outcome.line.received if outcome.line else self._clock.stamp()
        self._count += 1
        status = self._status(outcome)
        return Result(
            device=self._options.id,
            session_id=self._session_id,
            received=received,
            when=When(
                occurred_ns=received.realtime_ns, occurred_from="gateway", unc_ms=self._options.latency_ms
            ),
            raw=outcome.line.data if outcome.line else None,
            kind="measurement.result",
            source=self._dialogue.serial,
            # MT-SICS numbers nothing: a weighing is named by its session and its place in it.
            result_id=f"{self._session_id}-{self._count}",
            identifier=identifier,
            ok=None if status is None else status == "ok",
            measured=self._measured(outcome, status),
            facts=(("scale_serial", self._dialogue.serial),),
            counts=outcome.weight is not None or bool(outcome.beyond),
            reason=outcome.reason,
        )

    def _measured(self, outcome: WeighingOutcome, status: Verdict | None) -> tuple[Measured, ...]:
        if outcome.weight is None and not outcome.beyond:
            return ()
        low, high = self._options.low, self._options.high
        return (
            Measured(
                field="weight",
                value=outcome.weight.value if outcome.weight else None,
                unit=outcome.weight.unit if outcome.weight else self._options.unit,
                low=None if low is None else str(low),
                high=None if high is None else str(high),
                status=status,
            ),
        )

    def _status(self, outcome: WeighingOutcome) -> Verdict | None:
        if outcome.weight is None:
            return "high" if outcome.beyond == "high" else "low" if outcome.beyond else None
        low, high, unit = self._options.low, self._options.high, self._options.unit
        if unit is not None and outcome.weight.unit != unit:
            return "nok"
        if low is None and high is None:
            return None
        value = Decimal(outcome.weight.value)
        if low is not None and value < low:
            return "low"
        return "high" if high is not None and value > high else "ok"


class MtSicsDriver:
    """How to reach one scale."""

    def __init__(self, options: MtSicsOptions, *, clock: Clock) -> None:
        """Keep the options; nothing is opened yet."""
        self._options = options
        self._clock = clock
        self._link: ScaleLink | None = None

    @property
    def device(self) -> str:
        """The device's id in the YAML."""
        return self._options.id

    def weigh(self, *, identifier: str | None = None) -> None:
        """Ask for a weighing, for the unit with this identifier; its result comes as an observation.

        Raises `DeviceUnavailable` while the scale is not connected, and `DeviceRefused` where its print key
        decides: an answer could not be told from a press of the key.
        """
        if self._options.trigger == "key":
            raise DeviceRefused(f"the scale {self.device} weighs when its print key is pressed")
        if self._link is None:
            raise DeviceUnavailable(f"the scale {self.device} is not connected, so it cannot weigh")
        self._link.request(identifier)

    @contextlib.asynccontextmanager
    async def connect(self, memory: Memory) -> AsyncIterator[MtSicsSession]:  # noqa: ARG002 (a scale has no history, so nothing is remembered)
        """Connect, reset the scale and check that it is the right one."""
        async with linked(self._options, self._clock) as link:
            dialogue = Dialogue(link, self._options)
            identity = await dialogue.introduce()
            self._link = link
            try:
                yield MtSicsSession(
                    options=self._options, clock=self._clock, dialogue=dialogue, identity=identity
                )
            finally:
                self._link = None


def build(options: MtSicsOptions, context: DriverContext) -> MtSicsDriver:
    """Return the driver of one scale."""
    return MtSicsDriver(options, clock=context.clock)
