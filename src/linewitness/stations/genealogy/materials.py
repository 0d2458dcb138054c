"""Materials that are loaded at a station: one lot counts for each unit until the next one is loaded."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from decimal import Decimal

import orjson

from linewitness.base.clock import Stamp
from linewitness.evidence.format.record import Change, Resource
from linewitness.stations.checklist.checklist import Checklist
from linewitness.stations.checklist.options import ComponentRequirement
from linewitness.stations.checklist.requirement_events import Cause
from linewitness.stations.checklist.status import RequirementStatus, progress_of
from linewitness.stations.context import StationContext
from linewitness.stations.genealogy.components import Components, ReadPart
from linewitness.stations.genealogy.part_codes import PartCode
from linewitness.stations.outcome import StationOutcome
from linewitness.stations.unit.units import HeldUnit


@dataclass(frozen=True, slots=True)
class LoadedLot:
    """The lot that is loaded for one requirement: `left` is a decimal, None where nobody counts it."""

    part: str
    lot: str
    serial: str
    supplier: str
    expiry: str
    left: str | None

    @property
    def code(self) -> PartCode:
        """What it is to each unit: a lot. The serial number of a reel is not that of a piece."""
        expiry = date.fromisoformat(self.expiry) if self.expiry else None
        return PartCode(part=self.part, lot=self.lot or self.serial, supplier=self.supplier, expiry=expiry)


class Materials:
    """The lots that are loaded at one station.

    After a restart, or when a reader was not heard for a while, another lot may have been loaded unseen: the
    lot counts again when its code was read again.
    """

    def __init__(
        self,
        context: StationContext,
        checklist: Checklist,
        components: Components,
        state: Mapping[str, str],
    ) -> None:
        """Begin with what was loaded at the last commit, which may have been replaced since."""
        self._context = context
        self._checklist = checklist
        self._components = components
        prefix = context.key("material/")
        self.loaded = {
            key.removeprefix(prefix): LoadedLot(**orjson.loads(text))
            for key, text in state.items()
            if key.startswith(prefix)
        }
        self._known: dict[str, str] = {}

    def is_known(self, name: str) -> bool:
        """Return whether the lot that is on record for a requirement is certainly the one that is loaded."""
        return name in self._known

    def lose(self, device: str) -> None:
        """Learn that codes of a reader may be missing: what it loaded is not certain any more."""
        self._known = {name: namer for name, namer in self._known.items() if namer != device}

    def load(self, read: ReadPart, operator: str | None, outcome: StationOutcome) -> None:
        """Take a lot as the one that is loaded now, or refuse it; the same one again confirms it."""
        need, part, code = read
        if why := self._components.load_refusal(read, operator):
            self._components.refuse(read, None, why, outcome)
            return
        before = self.loaded.get(need.name)
        same = before is not None and (before.part, before.lot, before.serial) == (
            part.part,
            part.lot,
            part.serial,
        )
        # The label of one reel never means a second one; the code of a lot may.
        confirmed = same and (bool(part.serial) or not self.is_known(need.name))
        self._known[need.name] = code.device
        lot = LoadedLot(
            part=part.part,
            lot=part.lot,
            serial=part.serial,
            supplier=part.supplier,
            expiry=part.expiry.isoformat() if part.expiry else "",
            left=str(part.quantity) if part.quantity is not None else None,
        )
        if confirmed and before is not None:
            lot = before
        self._keep(need.name, lot, outcome)
        changes = [Change("part", before.part if before else None, part.part)]
        changes.append(Change("lot", before.lot if before else None, part.lot))
        if part.serial:
            changes.append(Change("serial", before.serial if before else None, part.serial))
        changes.append(Change("quantity", before.left if before else None, lot.left))
        changes.append(Change("requirement", None, need.name))
        outcome.events.append(
            self._context.event(
                code,
                kind="material.loaded",
                resource=Resource("material", f"{self._context.id}/{need.name}"),
                reason="the lot that is loaded was read again" if confirmed else "a lot was loaded",
                changes=tuple(changes),
            )
        )

    def supply(self, held: HeldUnit, cause: Cause, outcome: StationOutcome) -> None:
        """Give the unit what it needs of loaded lots, where that is due and there is enough."""
        options = self._context.options
        if options is None or not options.components or held.known is None or held.known.scrapped:
            return
        for status in self._checklist.statuses(held):
            need = status.need
            if not isinstance(need, ComponentRequirement) or need.source != "loaded" or status.is_done:
                continue
            if self._is_due(held, need) and not self._checklist.comes_first(held, need):
                self._give(held, need, cause, outcome)

    def used(self, held: HeldUnit, done: RequirementStatus, cause: Cause, outcome: StationOutcome) -> None:
        """Give the unit the material that is used with a requirement that is done now."""
        del done
        self.supply(held, cause, outcome)

    def _is_due(self, held: HeldUnit, need: ComponentRequirement) -> bool:
        return need.consumed is None or any(
            status.need.name == need.consumed and status.is_done for status in self._checklist.statuses(held)
        )

    def _give(
        self, held: HeldUnit, need: ComponentRequirement, cause: Cause, outcome: StationOutcome
    ) -> None:
        progress = progress_of(held, need)
        here = str(self._context.id)
        inside = len(held.known.installed(here, need.name, need.part)) if held.known else 0
        stamp = cause if isinstance(cause, Stamp) else cause.received
        while inside < need.wanted:
            lot = self.loaded.get(need.name)
            if lot is not None and lot.part != need.part:
                lot = None  # the settings ask for another part than when it was loaded
            if lot is None or not self.is_known(need.name):
                progress.wrong = "no lot is loaded" if lot is None else f"lot {lot.lot} must be read again"
                return
            if why := self._components.lot_refusal(lot.code, stamp):
                progress.wrong = why
                return
            left = Decimal(lot.left) if lot.left is not None else None
            if left is not None and left < need.quantity:
                progress.wrong = f"lot {lot.lot} is used up"
                return
            if left is not None:
                self._keep(need.name, replace(lot, left=str(left - need.quantity)), outcome)
            self._components.put_in(need, lot.code, held, cause, outcome, quantity=str(need.quantity))
            inside += 1

    def _keep(self, name: str, lot: LoadedLot, outcome: StationOutcome) -> None:
        self.loaded[name] = lot
        outcome.state[self._context.key(f"material/{name}")] = orjson.dumps(asdict(lot)).decode()
