"""Build components into the unit: what is refused is on record as well."""

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from linewitness.base.clock import Stamp
from linewitness.devices.base import Code
from linewitness.evidence.format.record import Change, Resource
from linewitness.stations.checklist.checklist import Checklist
from linewitness.stations.checklist.counting import day_of, person_refusal
from linewitness.stations.checklist.options import ComponentRequirement
from linewitness.stations.checklist.requirement_events import Cause
from linewitness.stations.checklist.status import applies, progress_of
from linewitness.stations.context import StationContext
from linewitness.stations.genealogy.known_units import Component
from linewitness.stations.genealogy.part_codes import PartCode, as_lot, read_part
from linewitness.stations.lists.book import Lot
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.unit.units import HeldUnit


class ReadPart(NamedTuple):
    """A part's code that was read: for which requirement, and what it says."""

    need: ComponentRequirement
    part: PartCode
    code: Code


class Components:
    """The components that are read at one station."""

    def __init__(self, context: StationContext, checklist: Checklist) -> None:
        """Take what the parts of the station share, and the checklist that says whose turn it is."""
        self._context = context
        self._checklist = checklist

    def read(self, device: str, text: str) -> list[tuple[ComponentRequirement, PartCode]]:
        """Return the requirements whose parts have codes of this form, with what the code says."""
        return [
            (need, part)
            for need in self._needs()
            if need.scanner in (None, device) and (part := read_part(text, need)) is not None
        ]

    def choose(
        self, found: list[tuple[ComponentRequirement, PartCode]], held: HeldUnit | None
    ) -> tuple[ComponentRequirement, PartCode]:
        """Return the requirement that a code is for: one of this unit that is not done, if there is any."""

        def rank(each: tuple[ComponentRequirement, PartCode]) -> int:
            need, part = each
            suits = not part.wrong
            wanted = held is None or applies(need.when, held.variant)
            is_open = held is None or progress_of(held, need).state != "done"
            return 4 * suits + 2 * wanted + is_open

        return max(found, key=rank)

    def take(
        self, read: ReadPart, held: HeldUnit | None, operator: str | None, outcome: StationOutcome
    ) -> None:
        """Build a component into the unit that is here, or refuse it."""
        why = self._refusal(read, held, operator)
        if held is None or why:
            self.refuse(read, held, why, outcome)
        elif not self._checklist.may_count(held, read.need, read.code, outcome):
            self.refuse(read, held, progress_of(held, read.need).wrong, outcome)
        else:
            amount = read.part.quantity
            quantity = "1" if amount is None else f"{amount:f}"
            self.put_in(read.need, read.part, held, read.code, outcome, quantity=quantity)
            progress_of(held, read.need).work(operator)

    def put_in(
        self,
        need: ComponentRequirement,
        part: PartCode,
        held: HeldUnit,
        cause: Cause,
        outcome: StationOutcome,
        *,
        quantity: str,
    ) -> None:
        """Put on record that a component, or so much of a lot, is in the unit now."""
        component = self._component(need, part, quantity)
        event = self._context.event_by(
            cause,
            kind="component.installed",
            actor=None if isinstance(cause, Stamp) else self._context.actor(cause.device),
            resource=Resource("component", f"{part.part}/{part.name}", ("unit", held.serial)),
            reason=f"{need.shown}: built into {held.serial}",
            changes=tuple(component_changes(component)),
        )
        component.event_id = event.event_id or ""
        progress_of(held, need).wrong = ""
        outcome.events.append(event)
        if held.known is not None:
            held.known.components.append(component)
            outcome.state.update(self._context.shared.units.put(held.known))

    def _component(self, need: ComponentRequirement, part: PartCode, quantity: str) -> Component:
        """Return what is known of a part: from its code, the settings and the list of lots."""
        lot = self._lot(part)
        return Component(
            requirement=need.name,
            station=str(self._context.id),
            part=part.part,
            serial=part.serial,
            lot=part.lot,
            quantity=quantity,
            position=part.position or need.position,
            supplier=part.supplier or (lot.supplier if lot else ""),
            expiry=_earliest(part, lot),
        )

    def refuse(self, read: ReadPart, held: HeldUnit | None, why: str, outcome: StationOutcome) -> None:
        """Put on record that a part was not taken, and why."""
        need, part, code = read
        if held is not None and any(each is need for each in self._needs()):
            progress_of(held, need).wrong = why
        amount = "" if part.quantity is None else str(part.quantity)
        parent = ("unit", held.serial) if held is not None else None
        outcome.events.append(
            self._context.event(
                code,
                kind="component.refused",
                resource=Resource("component", f"{part.part}/{part.name}", parent),
                reason=why,
                changes=tuple(component_changes(self._component(need, part, amount))),
            )
        )
        outcome.refusals.append(f"{part.part} {part.name}: {why}")

    def _refusal(self, read: ReadPart, held: HeldUnit | None, operator: str | None) -> str:
        """Return why a part is not built in; empty where it is."""
        options = self._context.options
        if held is None or options is None:
            return "it is not known which unit is at the station"
        need, part, code = read
        if not applies(need.when, held.variant):
            return f"it does not belong to {held.variant.product or 'this variant'}"
        if why := self.lot_refusal(part, code.received) or self._unit_refusal(need, part, held):
            return why
        return person_refusal(operator, options, self._context.shared.lists, code.received)

    def _unit_refusal(self, need: ComponentRequirement, part: PartCode, held: HeldUnit) -> str:
        """Return why this unit cannot take a part; empty where it can."""
        if part.serial:
            holder = self._context.shared.units.holder_of(part.part, part.serial)
            if holder is not None:
                return f"it is in {holder} already"
        if held.known is not None and held.known.scrapped:
            return f"{held.serial} is scrap"
        if progress_of(held, need).state == "done":
            return f"{held.serial} has all {need.wanted} already"
        return ""

    def load_refusal(self, read: ReadPart, operator: str | None) -> str:
        """Return why a lot is not put to the station; empty where it is."""
        if why := self.lot_refusal(as_lot(read.part), read.code.received):
            return why
        options, lists = self._context.options, self._context.shared.lists
        return person_refusal(operator, options, lists, read.code.received) if options is not None else ""

    def lot_refusal(self, part: PartCode, now: Stamp) -> str:
        """Return why a part or a lot cannot be used at all: its code, its expiry, the list of lots."""
        if part.wrong:
            return part.wrong
        today = day_of(now.realtime_ns)
        if part.expiry is not None and today > part.expiry:
            return f"it expired on {part.expiry}"
        return self._listed_refusal(part, today, now) if part.lot else ""

    def _listed_refusal(self, part: PartCode, today: date, now: Stamp) -> str:
        lists = self._context.shared.lists
        if not lists.has("lots"):
            return ""
        if why := lists.unusable("lots", now.realtime_ns):
            return why
        lot = self._lot(part)
        if lot is None:
            return f"lot {part.lot} is not in the list of lots" if lists.states["lots"].only_listed else ""
        if lot.blocked:
            return f"lot {part.lot} is blocked" + (f": {lot.reason}" if lot.reason else "")
        return f"lot {part.lot} expired on {lot.expiry}" if lot.expiry and today > lot.expiry else ""

    def _lot(self, part: PartCode) -> Lot | None:
        return self._context.shared.lists.lots.get((part.part, part.lot))

    def _needs(self) -> tuple[ComponentRequirement, ...]:
        options = self._context.options
        return options.components if options is not None else ()


def _earliest(part: PartCode, lot: Lot | None) -> str:
    days: list[date] = [day for day in (part.expiry, lot.expiry if lot else None) if day is not None]
    return min(days).isoformat() if days else ""


def component_changes(component: Component, *, gone: bool = False) -> Iterator[Change]:
    """Yield what a record says of a component that came, or that is gone."""
    for name in ("part", "serial", "lot", "quantity", "position", "supplier", "expiry", "requirement"):
        if value := getattr(component, name):
            yield Change(name, value, None) if gone else Change(name, None, value)
