"""The journal's queue: everything in order, and observations of devices can be held back."""

from linewitness.journal.queue import GROUP, SubmissionQueue, Waiting
from linewitness.journal.submission import Submission
from support.clocks import ManualClock
from support.journals import result_event
from support.single_events import single_events


def ids(batch: list[Waiting]) -> list[list[str]]:
    return [[event.resource.id for event in single_events(waiting.submission.events)] for waiting in batch]


async def test_what_one_device_observes_at_a_stretch_becomes_durable_together(clock: ManualClock) -> None:
    queue, [first, second, third] = SubmissionQueue(), [result_event(n, clock) for n in range(3)]
    one = queue.observe("a", [first], {"x": "1"}, {"r": b"1"})
    assert queue.observe("a", [second], {"x": "2"}, {}) is one
    assert queue.observe("b", [third], {}, {}) is not one
    batch = queue.take(100, observations=True)
    assert ids(batch) == [[first.resource.id, second.resource.id], [third.resource.id]]
    assert batch[0].submission.state == {"x": "2"}
    assert batch[0].submission.raw == {"r": b"1"}


async def test_nothing_overtakes_what_came_between(clock: ManualClock) -> None:
    queue, [first, second, third] = SubmissionQueue(), [result_event(n, clock) for n in range(3)]
    queue.observe("a", [first], {}, {})
    queue.observe("b", [second], {}, {})
    queue.observe("a", [third], {}, {})
    assert ids(queue.take(100, observations=True)) == [[e.resource.id] for e in (first, second, third)]


async def test_while_there_is_no_room_observations_keep_their_place(clock: ManualClock) -> None:
    queue, [first, own, second] = SubmissionQueue(), [result_event(n, clock) for n in range(3)]
    queue.observe("a", [first], {}, {})
    queue.put(Submission(events=(own,)))
    queue.observe("a", [second], {}, {})
    assert queue.has_work(observations=False)
    assert ids(queue.take(100, observations=False)) == [[own.resource.id]]
    assert not queue.has_work(observations=False)
    assert ids(queue.take(100, observations=True)) == [[first.resource.id], [second.resource.id]]


async def test_a_batch_has_a_limit_and_takes_one_submission_at_least(clock: ManualClock) -> None:
    queue = SubmissionQueue()
    for number in range(3):
        queue.put(Submission(events=tuple(result_event(number, clock) for _ in range(4))))
    assert len(queue.take(8, observations=True)) == 2
    assert len(queue.take(3, observations=True)) == 1
    assert len(queue) == 0


async def test_a_flood_of_one_device_is_cut_into_groups(clock: ManualClock) -> None:
    queue, event = SubmissionQueue(), result_event(1, clock)
    for _ in range(GROUP + 1):
        queue.observe("a", [event], {}, {})
    assert [len(events) for events in ids(queue.take(10_000, observations=True))] == [GROUP, 1]
