"""One station as it stands in the hall: the pallet, the stop of the PLC, the person, and what they can do."""

from dataclasses import dataclass, field, replace
from typing import Final

from linewitness.base.clock import monotonic
from support.assembly.line import DUE_TOOL, GOOD_TOOL, WALK_S, AssemblyLine
from support.assembly.screen import Screen
from support.assembly.truth import QUALIFIED, Ending, Piece, TrueVisit, Truth

#: The gateway may receive a result so much later than another one.
SLACK_S: Final = 5.0


@dataclass
class Place:
    """What is really at one station.

    The PLC's stop lets a pallet go that it has held: a gate that is open from the unit before is not for
    this one. It learns of a pallet from its own switch.
    """

    station: str
    line: AssemblyLine
    truth: Truth
    screen: Screen
    #: The screens of the other stations.
    others: tuple[Screen, ...] = ()
    person: str = ""
    visit: TrueVisit | None = None
    closings: int = 0
    #: The sign-off whose code was read last.
    signing: bool = field(default=False)

    @property
    def here(self) -> TrueVisit:
        assert self.visit is not None
        return self.visit

    @property
    def lets_go(self) -> bool:
        return self.line.closings(self.station) > self.closings and not self.line.holds(self.station)

    def arrive(self, serial: str) -> TrueVisit:
        """Put a unit there. One that comes back with no other in between goes on with its visit."""
        past, unit = self.truth.visits[self.station], self.truth.unit(serial)
        if self.is_still_on_record(serial):
            past[-1].ending = ""
            self.visit = past[-1]
        else:
            is_first = all(visit.unit != serial for visit in past)
            self.visit = TrueVisit(self.station, serial, was_scrap=unit.scrapped, is_first=is_first)
            past.append(self.visit)
            self.truth.came_as_scrap[self.station, serial] += unit.scrapped
        unit.at = self.station
        self.signing = False
        self.closings = self.line.closings(self.station) - self.line.holds(self.station)
        inputs = self.line.plcs[self.station].oven.inputs
        if self.station == "test":
            inputs.door_open, inputs.set_points[0] = False, 0
        return self.visit

    def is_still_on_record(self, serial: str) -> bool:
        """Return whether nobody read another unit here, and this one nowhere else, since it was here."""
        past = self.truth.visits[self.station]
        return bool(past) and past[-1].unit == serial and self.truth.unit(serial).at == self.station

    def leave(self, ending: Ending, *, person: str = "", reason: str = "", by_hand: bool = False) -> bool:
        """Try to let the unit go on; False where the stop holds it, and nobody takes it off `by_hand`."""
        visit = self.here
        if not by_hand and not self.lets_go:
            return False
        visit.lacked = self.truth.lacks(visit, self.person)
        visit.ending, visit.person, visit.reason = ending, person, reason
        unit = self.truth.unit(visit.unit)
        unit.passed.discard(self.station)
        if ending in ("left", "overridden"):
            unit.passed.add(self.station)
        unit.scrapped |= ending == "scrapped"
        self.visit = None
        return True

    async def read(self, code: str) -> None:
        """Read a code; nobody knows whether anybody hears it."""
        await self.line.readers[self.station].scan(code)

    async def read_piece(self, piece: Piece) -> None:
        self.truth.scans[piece.key] += 1
        await self.read(piece.code)

    def shown_elsewhere(self, badge: str) -> bool:
        """Return whether another screen shows somebody as signed on there."""
        return any(screen.shown is not None and screen.shown.operator == badge for screen in self.others)

    def note_signature(self, badge: str) -> None:
        """Note that somebody who may do so signed, in the order that is right."""
        if self.signing and self.station in QUALIFIED.get(badge, ()):
            self.here.signed_by.add(badge)

    def tighten(self, *, ok: bool = True, due: bool = False) -> None:
        """Tighten one bolt; the controller keeps it, whoever listens."""
        wrench = self.line.wrenches[self.station]
        wrench.controller.setup = replace(wrench.controller.setup, tool=DUE_TOOL if due else GOOD_TOOL)
        wrench.workplace.unit, wrench.workplace.operator = self.here.unit, self.person
        wrench.tighten(ok=ok)
        in_turn = self.station == "test" or "kitting" in self.truth.unit(self.here.unit).passed
        if ok and not due and in_turn and self.station in QUALIFIED.get(self.person, ()):
            self.here.good_bolts += 1

    def note_work(self, began_s: float, *, seen: bool) -> None:
        """Note that this person made a result here, and whether the screen showed it."""
        truth, badge = self.truth, self.person
        lost = sum(screen.blackouts for screen in (self.screen, *self.others))
        station, when_s, lost_before = truth.worked.get(badge, (self.station, began_s, lost))
        if station != self.station:
            passed_s = monotonic() - when_s
            truth.walks_possible += began_s - when_s < WALK_S + SLACK_S
            truth.walks_seen += seen and lost == lost_before and passed_s < WALK_S
        truth.worked[badge] = (self.station, began_s, lost if seen else -1)
