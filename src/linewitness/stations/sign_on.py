"""Sign operators on and off at a station."""

from collections.abc import Mapping

from linewitness.base.patterns import matches
from linewitness.devices.base import Observation
from linewitness.evidence.format.record import Change, Event, Resource
from linewitness.stations.context import StationContext
from linewitness.stations.outcome import StationOutcome


class SignOn:
    """The operator at one station; the badges are the whole line's."""

    def __init__(self, context: StationContext, state: Mapping[str, str]) -> None:
        """Begin with who was signed on at the last commit."""
        self._context = context
        self._station = str(context.id)
        self._key = context.key("operator")
        operator = state.get(self._key)
        if operator:
            context.badges.at[self._station] = operator

    @property
    def operator(self) -> str | None:
        """Who is signed on here."""
        return self._context.badges.at.get(self._station)

    def is_badge(self, device: str, text: str) -> bool:
        """Return whether a code that a device read is an operator's badge here."""
        options = self._context.options.operator if self._context.options else None
        return options is not None and device == options.scanner and matches(options.pattern, text)

    def show_badge(self, observation: Observation, operator: str, outcome: StationOutcome) -> None:
        """Take a badge: it signs its owner on, or off if he or she was on."""
        self._change(observation, None if operator == self.operator else operator, outcome)

    def follow_tag(self, observation: Observation, operator: str, outcome: StationOutcome) -> None:
        """Take the value of a point: who is signed on now, or nobody."""
        if (operator or None) != self.operator:
            self._change(observation, operator or None, outcome)

    def leave(self) -> None:
        """Forget who is signed on, because the station is taken down."""
        self._context.badges.at.pop(self._station, None)

    def _change(self, observation: Observation, operator: str | None, outcome: StationOutcome) -> None:
        if self.operator is not None:
            outcome.events.append(self._event(observation, "operator.signed_off", self.operator))
            self.leave()
        if operator is not None:
            outcome.events.append(self._event(observation, "operator.signed_on", operator))
            self._context.badges.at[self._station] = operator
        outcome.state[self._key] = self.operator

    def _event(self, observation: Observation, kind: str, operator: str) -> Event:
        badges = self._context.badges
        shared = badges.others(operator, self._station) if kind == "operator.signed_on" else []
        return self._context.event(
            observation,
            kind=kind,
            actor=badges.person(operator),
            resource=Resource("station", self._station),
            reason="badge already signed on elsewhere" if shared else "the operator's badge or tag said so",
            changes=(Change("also_signed_on_at", None, ", ".join(shared)),) if shared else (),
        )
