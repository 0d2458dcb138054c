"""Multi-spindle results over restarts of controller and gateway: each once, and none lost in silence."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from linewitness.base.clock import SystemClock
from linewitness.devices.base import Gap, Observation, Result
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.content.pairs import SyncPairs
from linewitness.devices.open_protocol.content.spindles import SpindleResults
from linewitness.devices.open_protocol.ledger.state import ResultLedger
from linewitness.devices.open_protocol.session.multi_spindle import MultiSpindle
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.refusals import RefusedByController
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram, Telegram
from support.bare_controller import spindles

COUNT = 65_536
NOT_FOUND = 15
FACTS = SessionFacts(device="tool", session_id="s", zone=None, torque_unit="Nm", expected_tool=None)


@dataclass(frozen=True)
class Made:
    """A result of the controller, and how much the gateway had said by then."""

    sync: int
    time: str
    unit: str
    said: int


@dataclass
class Controller:
    """It keeps the newest `keeps` results; its count, clock and memory may begin anew."""

    keeps: int
    sync: int
    year: int = 2026
    seconds: int = 0
    subscribed: bool = False
    made: list[Made] = field(default_factory=list)
    memory: dict[int, Made] = field(default_factory=dict)

    def make(self, after_s: int, said: int) -> Made:
        self.sync = (self.sync + 1) % COUNT
        self.seconds += after_s
        hours, seconds = divmod(self.seconds, 3600)
        days, hours = divmod(hours, 24)
        time = f"{self.year}-01-{1 + days:02d}:{hours:02d}:{seconds // 60:02d}:{seconds % 60:02d}"
        made = Made(self.sync, time, f"SN{len(self.made)}", said)
        self.made.append(made)
        self.memory.pop(self.sync, None)
        self.memory[self.sync] = made
        while len(self.memory) > self.keeps:
            del self.memory[next(iter(self.memory))]
        return made

    def begin_anew(self, *, clock: bool, memory: bool) -> None:
        self.sync = 0
        self.subscribed = False
        if clock:
            self.year, self.seconds = 2000, self.seconds % 977
        if memory:
            self.memory.clear()

    async def ask(
        self,
        question: Telegram,
        answer: int,
        *,
        accept: Callable[[Telegram], bool] | None = None,
        **_: object,
    ) -> ReceivedTelegram:
        """Stand for the link: answer as this controller does."""
        del answer
        if question.mid == Mid.MULTI_OLD_REQUEST:
            found = self.memory.get(int(question.data[2:]))
            if found is None or self.subscribed:
                raise RefusedByController(question, NOT_FOUND)
            stored = received(found)
            assert accept is None or accept(stored.telegram)
            return stored
        self.subscribed = question.mid == Mid.MULTI_SUBSCRIBE
        return ReceivedTelegram(Telegram(mid=Mid.ACCEPTED), b"", SystemClock().stamp())


def received(made: Made) -> ReceivedTelegram:
    data = spindles(made.sync, 2500, unit=made.unit, time=made.time)
    return ReceivedTelegram(Telegram(mid=101, data=data), data, SystemClock().stamp())


class Line:
    """A gateway at this controller: what it says is committed at once, and it may begin again from that."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.committed: dict[str, str] = {}
        self.said: list[Observation] = []
        self.offered: set[str] = set()

    async def connect(self) -> None:
        self.offered |= {made.unit for made in self.controller.memory.values()}
        self.spindles = SpindleResults(self.committed, SyncPairs(self.committed))
        ledger = SimpleNamespace(ledger=ResultLedger(source="ACT"))
        capture = SimpleNamespace(spindles=self.spindles, tracker=ledger, expect_spindles=lambda: None)
        link = cast(Any, self.controller)
        self.session = MultiSpindle(
            link=link, capture=cast(Any, capture), clock=SystemClock(), per_s=float("inf")
        )
        await self.session.subscribe()
        await self._fetch()

    async def push(self, made: Made) -> None:
        for observation in self.spindles.read(received(made), FACTS, ResultLedger(source="ACT")):
            self._take(observation)
        await self._fetch()

    async def _fetch(self) -> None:
        async for observation in self.session.fetch(FACTS):
            self._take(observation)

    def _take(self, observation: Observation) -> None:
        self.said.append(observation)
        for key, text in observation.remember.items():
            if text is None:
                self.committed.pop(key, None)
            else:
                self.committed[key] = text


Action = tuple[str, int]
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["push", "push", "push", "away", "away"]), st.integers(1, 40)),
        st.tuples(st.sampled_from(["reconnect", "replay"]), st.integers(0, 30)),
        st.tuples(st.sampled_from(["restart", "restart and clock"]), st.integers(0, 1)),
    ),
    max_size=40,
)


async def live(line: Line, actions: list[Action]) -> None:
    """Let all of it happen; a count that began anew with the clock shows itself with the second result."""
    controller = line.controller
    pushed: list[Made] = []
    linked = True
    for action, number in [*actions, ("reconnect", 0), ("push", 1), ("push", 1), ("reconnect", 0)]:
        if action in {"push", "replay", "reconnect"} and not linked:
            await line.connect()
        linked = action in {"push", "replay", "reconnect"}
        if action == "push":
            pushed.append(controller.make(number, len(line.said)))
            await line.push(pushed[-1])
        elif action == "away":
            controller.make(number, len(line.said))
        elif action == "reconnect":
            await line.connect()
        elif action == "replay" and pushed:
            await line.push(pushed[-1])
        elif action.startswith("restart"):
            controller.begin_anew(clock=action == "restart and clock", memory=bool(number))


def names(gap: Gap, made: Made) -> bool:
    """Whether a gap record may speak of this result."""
    first = int((gap.first or "").split()[1])
    return gap.last is None or (made.sync - first) % COUNT <= (int(gap.last.split()[1]) - first) % COUNT


@pytest.mark.heavy
@given(ACTIONS, st.sampled_from([3, 10, 1000]), st.sampled_from([0, 7, 65_530]))
@settings(max_examples=400, deadline=None)
@example([("push", 1)] * 4 + [("restart", 0), ("away", 1), ("restart", 0)], 3, 65_530)
@example([("push", 5), ("restart", 0), ("away", 1), ("away", 1), ("away", 1)], 1000, 0)
def test_any_history_records_each_result_once_or_names_what_is_lost(
    actions: list[Action], keeps: int, start: int
) -> None:
    line = Line(Controller(keeps, start))

    async def run() -> None:
        first = line.controller.make(1, 0)
        await line.connect()
        await line.push(first)
        await live(line, actions)

    asyncio.run(run())
    recorded = [each.identifier for each in line.said if isinstance(each, Result)]
    assert len(recorded) == len(set(recorded)), "recorded twice"
    for made in line.controller.made:
        # What the controller itself forgot between two restarts, nobody can name: but that it lost something.
        gaps = [each for each in line.said[made.said :] if isinstance(each, Gap)]
        named = [gap for gap in gaps if made.unit not in line.offered or names(gap, made)]
        assert made.unit in recorded or named, f"{made} is lost in silence"
