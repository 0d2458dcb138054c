"""Sign operators on and off at a station, and off where it is not known any more who is there."""

from collections.abc import Mapping
from typing import Literal

from linewitness.base.clock import Stamp
from linewitness.base.patterns import matches
from linewitness.devices.base import Observation, Result
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.record import Actor, Change, Event, Resource
from linewitness.stations.context import StationContext
from linewitness.stations.options import OperatorOptions
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.unit.lease import Lease


class SignOn:
    """The operator at one station; the badges are the whole line's."""

    def __init__(self, context: StationContext, state: Mapping[str, str]) -> None:
        """Begin with nobody: who was signed on at the last commit is signed off by `begin`."""
        self._context = context
        self._station = str(context.id)
        self._key = context.key("operator")
        self._stored = state.get(self._key)
        self._lease: Lease | None = None

    def begin(self, now: Stamp, outcome: StationOutcome) -> None:
        """Sign off who was signed on when the gateway stopped: he or she may have left since."""
        stored, self._stored = self._stored, None
        if stored:
            self._sign_off(stored, "the gateway was restarted", now.realtime_ns, outcome)

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
        self._change(observation, None if operator == self.operator else operator, "badge", outcome)

    def follow_tag(self, observation: Observation, operator: str, outcome: StationOutcome) -> None:
        """Take the value of a point: who is signed on now, or nobody."""
        if (operator or None) != self.operator:
            self._change(observation, operator or None, "tag", outcome)

    def actor_of(self, result: Result, delayed_since_ns: int | None) -> str | None:
        """Return who was certainly signed on when a result was made."""
        if self._lease is None or result.backfilled or not self._lease.covers(result, delayed_since_ns):
            return None
        return self.operator

    def expire(self, now: Stamp, outcome: StationOutcome) -> None:
        """Sign off whom the settings do not let stay signed on longer."""
        options = self._context.options
        if self._lease is None or options is None:
            return
        overdue = self._lease.overdue(now, options.operator.valid_s)
        if overdue is not None:
            self.end(overdue.because, now, outcome)

    def lose(self, device: str, because: str, now: Stamp, outcome: StationOutcome) -> None:
        """Sign off whom this device named: it does not tell any more who is there."""
        if self._lease is not None and self._lease.namer == device:
            self.end(because, now, outcome)

    def end(self, because: str, now: Stamp, outcome: StationOutcome) -> None:
        """Sign off whoever is signed on, without a badge."""
        if self.operator is not None:
            self._sign_off(self.operator, because, now.realtime_ns, outcome)

    def take_over(self, before: OperatorOptions | None, now: Stamp, outcome: StationOutcome) -> None:
        """Go on with other settings: if another device reads the badges now, nobody is signed on."""
        options = self._context.options.operator if self._context.options else None
        if (
            before is None
            or options is None
            or (before.scanner, before.point)
            == (
                options.scanner,
                options.point,
            )
        ):
            return
        self.end("the settings name another source of badges", now, outcome)

    def _change(
        self,
        observation: Observation,
        operator: str | None,
        method: Literal["badge", "tag"],
        outcome: StationOutcome,
    ) -> None:
        badges = self._context.badges
        if self.operator is not None:
            before = badges.person(self.operator, badges.method(self._station))
            outcome.events.append(self._event(observation, "operator.signed_off", before))
            self._forget(outcome)
        if operator is not None:
            person = badges.person(operator, method)
            outcome.events.append(self._event(observation, "operator.signed_on", person))
            shared = badges.others(operator, self._station)
            if shared and badges.watching:
                why = f"{operator} is signed on at {', '.join(shared)} as well"
                resource = Resource("operator", operator)
                outcome.events.append(self._context.exception(observation, "shared_badge", why, resource))
            badges.at[self._station] = operator
            if method == "tag":
                badges.by_tag.add(self._station)
            self._lease = Lease.of(observation)
            outcome.state[self._key] = operator

    def _sign_off(self, operator: str, because: str, at_ns: int, outcome: StationOutcome) -> None:
        outcome.events.append(
            gateway_event(
                "operator.signed_off",
                at_ns,
                resource=Resource("station", self._station),
                reason=because,
                changes=(Change("operator", operator, None), Change("binding", "known", "unknown")),
                context={"station_id": self._station},
            )
        )
        self._forget(outcome)

    def _forget(self, outcome: StationOutcome) -> None:
        self._context.badges.at.pop(self._station, None)
        self._context.badges.by_tag.discard(self._station)
        self._lease = None
        outcome.state[self._key] = None

    def _event(self, observation: Observation, kind: str, operator: Actor) -> Event:
        badges = self._context.badges
        shared = badges.others(operator.id, self._station) if kind == "operator.signed_on" else []
        return self._context.event(
            observation,
            kind=kind,
            actor=operator,
            resource=Resource("station", self._station),
            reason="badge already signed on elsewhere" if shared else "the operator's badge or tag said so",
            changes=(Change("also_signed_on_at", None, ", ".join(shared)),) if shared else (),
        )
