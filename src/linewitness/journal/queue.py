"""What waits for the journal's next commit, in the order in which it came."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from linewitness.evidence.format.record import Event
from linewitness.evidence.format.value_changes import ValueChanges, count_records
from linewitness.journal.attestations import JournalHead
from linewitness.journal.submission import Submission

#: So many records that one device observed at a stretch become one submission.
GROUP: Final = 256


@dataclass(slots=True)
class Observed:
    """What one device observed at a stretch; it grows while it is the last in the queue.

    `count` is how many records its events become.
    """

    source: str
    events: list[Event | ValueChanges] = field(default_factory=list)
    count: int = 0
    state: dict[str, str | None] = field(default_factory=dict)
    raw: dict[str, bytes] = field(default_factory=dict)

    @property
    def submission(self) -> Submission:
        """What becomes durable together."""
        return Submission(events=tuple(self.events), state=self.state, raw=self.raw)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One part of the queue, and the future that ends when it is durable."""

    content: Submission | Observed
    durable: asyncio.Future[JournalHead]

    @property
    def is_observed(self) -> bool:
        """Whether a device observed it."""
        return isinstance(self.content, Observed)

    @property
    def submission(self) -> Submission:
        """What becomes durable together."""
        return self.content.submission if isinstance(self.content, Observed) else self.content


class SubmissionQueue:
    """Submissions in order. While there is no room for observations, those of devices keep their place."""

    def __init__(self) -> None:
        """Begin empty."""
        self._waiting: deque[Waiting] = deque()

    def __len__(self) -> int:
        """Return how many submissions wait."""
        return len(self._waiting)

    def put(self, content: Submission | Observed) -> "asyncio.Future[JournalHead]":
        """Append a submission; the future ends when it is durable."""
        future: asyncio.Future[JournalHead] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(content, future))
        return future

    def observe(
        self,
        source: str,
        events: Sequence[Event | ValueChanges],
        state: Mapping[str, str | None],
        raw: Mapping[str, bytes],
    ) -> "asyncio.Future[JournalHead]":
        """Append what a device observed to its last submission, where nothing else came since."""
        last = self._waiting[-1] if self._waiting else None
        if last and isinstance(last.content, Observed) and last.content.source == source:
            observed, future = last.content, last.durable
        else:
            observed = Observed(source)
            future = self.put(observed)
        observed.events += events
        observed.count += count_records(events)
        observed.state.update(state)
        observed.raw.update(raw)
        if observed.count >= GROUP:
            observed.source = ""  # the next observation begins another submission
        return future

    def has_work(self, *, observations: bool) -> bool:
        """Return whether something may be committed now."""
        if observations:
            return bool(self._waiting)
        return any(not isinstance(waiting.content, Observed) for waiting in self._waiting)

    def take(self, most: int, *, observations: bool) -> list[Waiting]:
        """Take the oldest submissions, one at least, with at most `most` events.

        Without `observations`, those of devices stay where they are.
        """
        batch: list[Waiting] = []
        kept: list[Waiting] = []
        events = 0
        while self._waiting:
            waiting = self._waiting.popleft()
            if not observations and isinstance(waiting.content, Observed):
                kept.append(waiting)
                continue
            events += waiting.content.count
            if batch and events > most:
                kept.append(waiting)
                break
            batch.append(waiting)
        self._waiting.extendleft(reversed(kept))
        return batch

    def fail(self, error: BaseException) -> None:
        """Let all that waits fail."""
        while self._waiting:
            fail(self._waiting.popleft().durable, error)


def fail(future: "asyncio.Future[JournalHead]", error: BaseException) -> None:
    """Let a future fail with an error; a cancellation cancels it."""
    if future.done():
        return
    if isinstance(error, asyncio.CancelledError):
        future.cancel()
        return
    future.set_exception(error)
    future.exception()  # whoever waits gets it; a submitter that was cancelled need not be
