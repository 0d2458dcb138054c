"""Give readings that come one after the other together: what follows costs less for each of them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from linewitness.devices.base import Observation, Quality, Reading, Readings

#: So many values at most stand in one `Readings`: a commit stays short.
MOST_READINGS: Final = 128


def together(observations: Iterable[Observation]) -> Iterator[Observation]:
    """Yield the same in the same order, plain readings of one moment of reception as `Readings`."""
    group: list[Reading] = []
    for observation in observations:
        plain = _plain(observation)
        fits = plain is not None and group and _alike(plain, group[0])
        if group and not (fits and len(group) < MOST_READINGS):
            yield _joined(group)
            group = []
        if plain is None:
            yield observation
        else:
            group.append(plain)
    if group:
        yield _joined(group)


def _alike(one: Reading, other: Reading) -> bool:
    return one.received is other.received and one.initial == other.initial


def _plain(observation: Observation) -> Reading | None:
    """Return a good value of a point that says nothing else, None for anything else."""
    if not isinstance(observation, Reading) or isinstance(observation.value, Mapping):
        return None
    says_more = (
        observation.quality is not Quality.GOOD
        or observation.operator is not None
        or observation.raw is not None
        or observation.backfilled
        or observation.confirmable
    )
    return None if says_more else observation


def _joined(group: list[Reading]) -> Observation:
    first = group[0]
    if len(group) == 1:
        return first
    remembers = tuple([reading.remember for reading in group])
    whens = tuple([reading.when for reading in group])
    return Readings(
        device=first.device,
        session_id=first.session_id,
        received=first.received,
        when=first.when,
        remember={key: text for remember in remembers for key, text in remember.items()},
        points=tuple([reading.point for reading in group]),
        values=tuple([reading.value for reading in group]),  # type: ignore[misc]  # no mapping is plain
        whens=None if all(when is first.when for when in whens) else whens,
        remembers=remembers,
        initial=first.initial,
    )
