"""What the fuzzer runs: protocol, decoder, content, ledger and records, with all they promise.

An input is a byte of switches and a stream. Where the first switch is set, the stream is cut at 0xFE and each
piece gets a length of its own, so that mutations reach the data fields.
"""

from collections import Counter
from collections.abc import Coroutine
from typing import Any
from zoneinfo import ZoneInfo

from nacl.signing import SigningKey

from linewitness.base.clock import SharedClockState, Stamp, SystemClock
from linewitness.devices.base import Observation, Result
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.content.tightening import entry_of
from linewitness.devices.open_protocol.ledger.epochs import Answer, Asking
from linewitness.devices.open_protocol.ledger.state import HistoryMode, ResultRecord
from linewitness.devices.open_protocol.ledger.storage import load
from linewitness.devices.open_protocol.session import recovery
from linewitness.devices.open_protocol.session.capture import ControllerCapture
from linewitness.devices.open_protocol.session.operation_collector import OperationCollector
from linewitness.devices.open_protocol.session.recovery import NoResult
from linewitness.devices.open_protocol.wire.codec import decode
from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.protocol import (
    ControllerProtocol,
    ProtocolFailed,
    PushReceived,
    UnexpectedTelegram,
)
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram, Telegram
from linewitness.records.builder import EventKey, RecordBuilder, StreamIdentity
from linewitness.stations.shared_state import SharedState
from linewitness.stations.station import Station
from support.single_events import single_events

CUT = b"\xfe"
#: Switches of the first byte.
REPAIRED, SHARED, ODD, SECOND_SESSION = 1, 2, 4, 8
SOURCE = "ACT:1:1"
QUESTIONS = 20_000
FACTS = SessionFacts(
    device="wrench-10", session_id="01", zone=ZoneInfo("Europe/Berlin"), torque_unit="Nm", expected_tool=None
)
STAMP = Stamp(1_772_352_000_000_000_000, 1_000_000_000)
CLOCK = SystemClock()
BUILDER = RecordBuilder(
    StreamIdentity("acme.example/1", "acme", "ber", "l1"), clock=CLOCK, clock_state=SharedClockState()
)


KEY = EventKey("acme.example/1", SigningKey(bytes(32)))


def stream_of(data: bytes) -> tuple[int, bytes]:
    """Return the switches and the bytes that come from the network."""
    switches, rest = (data[0], data[1:]) if data else (0, b"")
    if not switches & REPAIRED:
        return switches, rest
    pieces = [piece for piece in rest.split(CUT) if len(piece) >= 16][:60]
    return switches, b"".join(f"{len(piece) + 4:04d}".encode() + piece + b"\x00" for piece in pieces)


def telegrams_of(stream: bytes) -> list[PushReceived | UnexpectedTelegram]:
    """Receive the stream in one go and in pieces: both must give the same telegrams."""
    whole = received([stream])
    assert whole == received([stream[at : at + 7] for at in range(0, len(stream), 7)]), (
        "it depends on the cuts"
    )
    return whole


def received(pieces: list[bytes]) -> list[PushReceived | UnexpectedTelegram]:
    """Return what comes after the start, up to where the stream is no telegram any more."""
    protocol = ControllerProtocol("wrench-10")
    protocol.ask(Telegram(mid=Mid.START), frozenset({int(Mid.STARTED)}))
    found: list[PushReceived | UnexpectedTelegram] = []
    for piece in pieces:
        for event in protocol.receive(piece, STAMP):
            if isinstance(event, ProtocolFailed):
                return found
            if isinstance(event, PushReceived | UnexpectedTelegram):
                found.append(event)
    return found


class Session:
    """One session of the driver without its socket, and the station and the records behind it."""

    def __init__(self, switches: int, memory: list[ResultRecord], remembered: dict[str, str]) -> None:
        self.switches, self.memory, self.remembered = switches, memory, remembered
        self.said: list[Observation] = []
        self.questions = 0
        mode = HistoryMode.AT_OR_BEFORE if switches & SHARED else HistoryMode.EXACT
        self.capture = ControllerCapture(
            ledger=load(SOURCE, remembered, mode),
            station=1,
            operations=OperationCollector(),
            remembered=remembered,
        )
        self.station = Station(None, {}, shared=SharedState(), state={}, now=Stamp(0, 0))

    async def take(self, push: ReceivedTelegram) -> None:
        """Take in one push, as a session does."""
        captured = self.capture.take(self.capture.read(push, FACTS), FACTS, STAMP)
        for observation in captured.observations:
            self.put(observation)
        if captured.questions is not None:
            await self.drive(captured.questions)

    def put_events(self) -> None:
        """Hand out what happened to the ledger."""
        for observation in self.capture.observations(FACTS, STAMP):
            self.put(observation)

    def put(self, observation: Observation) -> None:
        """Remember it, and write the records that it means."""
        self.said.append(observation)
        for key, text in observation.remember.items():
            if text is None:
                self.remembered.pop(key, None)
            else:
                assert isinstance(text, str)
                self.remembered[key] = text
        for event in single_events(self.station.interpret(observation).events):
            BUILDER.build(
                event,
                sequence_no=1,
                prev_hash="sha256:" + "0" * 64,
                key=KEY,
                stamp=STAMP,
                raw_salt=bytes(16),
            )

    async def drive(self, asking: Asking) -> None:
        """Answer questions as the switches say: exactly, by the nearest id, or with anything."""
        try:
            number = next(asking)
            while True:
                self.put_events()
                self.questions += 1
                assert self.questions < QUESTIONS, "it asks without end"
                number = asking.send(self.answer(number))
        except StopIteration:
            self.put_events()

    def answer(self, number: int) -> Answer:
        if self.switches & ODD and self.memory:
            return self.memory[self.questions % len(self.memory)]
        fitting = [each for each in self.memory if number == 0 or each.entry.id <= number]
        best = max(fitting, key=lambda each: each.entry.id, default=None)
        exact = number == 0 or self.switches & SHARED or (best is not None and best.entry.id == number)
        return best if best is not None and exact else NoResult.ABSENT


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits for something")


def test_one(data: bytes) -> None:
    """Take one input through everything."""
    switches, stream = stream_of(data)
    memory, pushes = [], []
    for event in telegrams_of(stream):
        telegram = event.received
        if isinstance(event, PushReceived):
            pushes.append(telegram)
        decoded = decode(telegram.telegram)
        if telegram.telegram.mid == Mid.OLD_RESULT and (entry := entry_of(decoded)) is not None:
            station = decoded.number("station_id")
            memory.append(
                ResultRecord(entry=entry, live=False, station=station, received=telegram, content=decoded)
            )
    capture(switches, memory, pushes)


def capture(switches: int, memory: list[ResultRecord], pushes: list[ReceivedTelegram]) -> None:
    """Capture what was pushed and what the memory holds, in one session or in two."""
    remembered: dict[str, str] = {}
    half = len(pushes) // 2 if switches & SECOND_SESSION else len(pushes)
    results: Counter[tuple[int, str]] = Counter()
    for share in (pushes[:half], pushes[half:]):
        session = Session(switches, memory, remembered)
        run(session.drive(recovery.establish(session.capture.tracker, 0)))
        for push in share:
            before = len(session.said)
            run(session.take(push))
            confirmed = sum(each.confirmable for each in session.said[before:])
            assert confirmed == 1, f"{confirmed} confirmations for one push"
        run(session.drive(recovery.back_fill(session.capture.tracker, again=True)))
        assert (
            load(SOURCE, remembered, session.capture.tracker.ledger.mode) == session.capture.tracker.ledger
        ), "not remembered"
        results.update(
            (each.epoch, each.result_id) for each in session.said if isinstance(each, Result) and each.decoded
        )
    assert all(count == 1 for count in results.values()), results
