"""Collect good values of a delivery as columns until something else comes between."""

from collections.abc import Iterator, Mapping, Sequence

from linewitness.base.clock import Stamp
from linewitness.devices.base import Observation, Reading, Readings, Scalar, When
from linewitness.devices.together import MOST_READINGS

#: What is to be remembered of one value.
Remember = Mapping[str, str | None]


class EvidenceColumns:
    """Values that stand for a `Reading` each, in the order in which they were delivered."""

    def __init__(self, device: str, session_id: str) -> None:
        """Begin with none."""
        self._device, self._session_id = device, session_id
        self._received = Stamp(0, 0)
        self._initial = False
        self._clear()

    def _clear(self) -> None:
        self._points: list[str] = []
        self._values: list[Scalar] = []
        self._whens: list[When] = []
        self._remembers: list[Remember] = []

    def before(self, received: Stamp, *, initial: bool) -> Sequence[Observation]:
        """Return what was collected, where the next value does not belong to it, and begin anew with that."""
        same = received is self._received and initial == self._initial
        if same and self._points and len(self._points) < MOST_READINGS:
            return ()
        collected = tuple(self.take())
        self._received, self._initial = received, initial
        return collected

    def add(self, point: str, value: Scalar, when: When, remember: Remember) -> None:
        """Append a value, after `before`."""
        self._points.append(point)
        self._values.append(value)
        self._whens.append(when)
        self._remembers.append(remember)

    def take(self) -> Iterator[Observation]:
        """Yield what was collected, and begin anew."""
        if not self._points:
            return
        points, values, whens, remembers = self._points, self._values, self._whens, self._remembers
        self._clear()
        first, remember = whens[0], dict(remembers[0])
        if len(points) == 1:
            yield Reading(
                device=self._device,
                session_id=self._session_id,
                received=self._received,
                when=first,
                remember=remember,
                initial=self._initial,
                point=points[0],
                value=values[0],
            )
            return
        for each in remembers:
            remember.update(each)
        yield Readings(
            device=self._device,
            session_id=self._session_id,
            received=self._received,
            when=first,
            remember=remember,
            points=tuple(points),
            values=tuple(values),
            whens=None if all(when is first for when in whens) else tuple(whens),
            remembers=tuple(remembers),
            initial=self._initial,
        )
