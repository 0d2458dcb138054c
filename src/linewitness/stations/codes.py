"""Take a code that was read for what it is: a badge, a unit, a part, an order, or a word of the operator."""

from linewitness.base.patterns import compiled, matches
from linewitness.devices.base import Code, Observation
from linewitness.evidence.format.record import Resource
from linewitness.stations.checklist.sign_offs import Badge
from linewitness.stations.genealogy.components import ReadPart
from linewitness.stations.options import StationOptions
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.parts import StationParts
from linewitness.stations.people.reasons import GivenReason, reason_in
from linewitness.stations.unit.units import HeldUnit

#: How the command ends that tells a device who the unit is.
IDENTIFIER = "/identifier"

_NO_SERIAL = "the code is not a serial number of this station"
_NOT_ITS_SIGN_OFF = "this sign-off is for other units"


class StationCodes:
    """The codes that are read at one station."""

    def __init__(self, parts: StationParts) -> None:
        """Take the parts that codes are about."""
        self._parts = parts

    def take(self, code: Code, outcome: StationOutcome) -> None:
        """Take one code; the first of these that fits is what it is."""
        parts = self._parts
        if code.again:
            self._again(code, outcome)
        elif parts.gate.is_pass(code.text):
            self._take_pass(code, outcome)
        elif self._take_word(code, outcome) or self._take_badge(code, outcome):
            return
        elif parts.order.is_code(code):
            parts.order.read(code, outcome)
            self.change_variant(code, outcome)
        elif not self._take_part(code, outcome):
            self._take_serial(code, outcome)

    def _take_pass(self, code: Code, outcome: StationOutcome) -> None:
        given = self._parts.gate.let_pass(code, self._held, self._parts.sign_on.operator)
        self._scanned(code, given.said, outcome)
        if given.event is not None:
            outcome.events.append(given.event)
        if given.refused:
            outcome.refusals.append(given.refused)

    @property
    def _held(self) -> HeldUnit | None:
        """The unit that is known to be here."""
        return self._parts.units.held if self._parts.units.serial else None

    def change_variant(self, observation: Observation, outcome: StationOutcome) -> None:
        """Let another product, order or batch change what the unit that is here needs."""
        held = self._held
        if held is not None and self._parts.visits.change_variant(held, observation, outcome):
            # What a device was told of the product before is void; who the unit is has not changed.
            held.told = {name for name in held.told if name.endswith(IDENTIFIER)}
            held.tried = {name for name in held.tried if name.endswith(IDENTIFIER)}
            outcome.state.update(self._parts.units.noted(held))
            outcome.arrived = True

    def _take_word(self, code: Code, outcome: StationOutcome) -> bool:
        """Take a code by which the operator says what is done with the unit; return whether it is one."""
        parts, held = self._parts, self._held
        options = parts.context.options
        if options is None:
            return False
        if (status := parts.sign_offs.find(code.text, held)) is not None and held is not None:
            self._scanned(code, parts.sign_offs.begin(status, held, code, outcome), outcome)
            return True
        if parts.sign_offs.is_code(code.text):
            why = "it is not known which unit is at the station" if held is None else _NOT_ITS_SIGN_OFF
            outcome.refusals.append(why)
            self._scanned(code, f"{why}: nothing is to be signed", outcome)
            return True
        for pattern, done in ((options.codes.remove, self._remove), (options.codes.scrap, self._scrap)):
            found = compiled(pattern).fullmatch(code.text) if pattern is not None else None
            if found is not None:
                reason = reason_in(found, options.counted_reasons)
                why = self._word_refusal(held, reason, options)
                if why or held is None:
                    outcome.refusals.append(why)
                    self._scanned(code, f"{why}: nothing was done", outcome)
                else:
                    self._scanned(code, done(held, reason, code, outcome), outcome)
                return True
        return False

    def _word_refusal(self, held: HeldUnit | None, reason: GivenReason, options: StationOptions) -> str:
        """Return why a word of the operator does not count; empty where it does."""
        if held is None:
            return "it is not known which unit is at the station"
        if self._parts.sign_on.operator is None and (options.operator.scanner or options.operator.point):
            return "nobody is signed on"
        return reason.refused

    def _remove(self, held: HeldUnit, reason: GivenReason, code: Code, _outcome: StationOutcome) -> str:
        return self._parts.removals.begin(reason, held, code)

    def _scrap(self, held: HeldUnit, reason: GivenReason, code: Code, outcome: StationOutcome) -> str:
        held.scrapped_here = True
        self._parts.visits.scrap(held, code, reason, outcome)
        return f"{held.serial} is scrap: {reason.words}"

    def _take_badge(self, code: Code, outcome: StationOutcome) -> bool:
        """Take a badge: it signs what waits for a signature, or its owner on or off."""
        parts = self._parts
        if not parts.sign_on.is_badge(code.device, code.text):
            return False
        held = self._held
        status = parts.sign_offs.awaited(held, code.received)
        if status is not None and held is not None:
            parts.sign_offs.sign(status, held, Badge(code, parts.sign_on.operator), outcome)
        else:
            parts.sign_on.show_badge(code, code.text, outcome)
        return True

    def _take_part(self, code: Code, outcome: StationOutcome) -> bool:
        """Take the code of a part: it is loaded, built in, taken out or refused; return whether it is one."""
        parts = self._parts
        held, units = self._held, parts.units
        may_be_unit = units.is_named_by(code.device) and units.is_serial(code.text)
        if parts.removals.take(code, held, outcome, may_be_unit=may_be_unit):
            return True
        found = parts.components.read(code.device, code.text)
        if not found:
            return False
        need, part = parts.components.choose(found, held)
        if need.source == "loaded":
            parts.materials.load(ReadPart(need, part, code), parts.sign_on.operator, outcome)
        else:
            parts.components.take(ReadPart(need, part, code), held, parts.sign_on.operator, outcome)
        return True

    def _take_serial(self, code: Code, outcome: StationOutcome) -> None:
        units = self._parts.units
        if not units.is_named_by(code.device):
            self._scanned(code, _NO_SERIAL, outcome)
        elif not units.is_serial(code.text):
            self._scanned(code, _NO_SERIAL, outcome)
            units.lose(code.device, "a code was read that is not a serial number", code.received.realtime_ns)
        elif units.serial == code.text and not units.came_back(code):
            units.enter(code, code.text, "scan", outcome)
            self._scanned(code, "the unit at the station was read again", outcome)
        else:
            units.enter(code, code.text, "scan", outcome)

    def _again(self, code: Code, outcome: StationOutcome) -> None:
        """Take a code that is still there: it renews what it named; an event only if that was lost."""
        if self._says_something_else(code):
            return
        parts = self._parts
        if parts.units.is_named_by(code.device) and parts.units.is_serial(code.text):
            parts.units.enter(code, code.text, "scan", outcome)

    def _says_something_else(self, code: Code) -> bool:
        """Return whether a code is anything but the name of a unit."""
        parts, options = self._parts, self._parts.context.options
        if parts.gate.is_pass(code.text) or parts.sign_on.is_badge(code.device, code.text):
            return True
        words = (options.codes.remove, options.codes.scrap) if options is not None else ()
        return (
            parts.sign_offs.is_code(code.text)
            or any(pattern is not None and matches(pattern, code.text) for pattern in words)
            or parts.order.is_code(code)
            or bool(parts.components.read(code.device, code.text))
        )

    def lose(self, observation: Observation, because: str, outcome: StationOutcome) -> None:
        """Forget what a reader of codes named: it may have read another one."""
        parts = self._parts
        options = parts.context.options
        if options is None:
            return
        now = observation.received
        if observation.device == options.unit.scanner:
            parts.units.lose(observation.device, because, now.realtime_ns)
        if observation.device == options.operator.scanner:
            parts.sign_on.lose(observation.device, because, now, outcome)
        parts.materials.lose(observation.device)
        if options.work_order is not None and observation.device == options.work_order.scanner:
            parts.order.lose(observation.device)

    def _scanned(self, code: Code, reason: str, outcome: StationOutcome) -> None:
        outcome.events.append(
            self._parts.context.event(
                code, kind="identifier.scanned", resource=Resource("identifier", code.text), reason=reason
            )
        )
