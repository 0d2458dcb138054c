"""One station as it stands in the hall: the pallet, the stop of the PLC, the person, and what they can do."""

from dataclasses import dataclass, field, replace

from support.assembly.line import DUE_TOOL, GOOD_TOOL, AssemblyLine
from support.assembly.screen import Screen
from support.assembly.truth import QUALIFIED, Ending, Piece, TrueVisit, Truth


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
        past = self.truth.visits[self.station]
        if past and past[-1].unit == serial:
            past[-1].ending = ""
            self.visit = past[-1]
        else:
            self.visit = TrueVisit(self.station, serial)
            past.append(self.visit)
        self.truth.unit(serial)
        self.signing = False
        self.closings = self.line.closings(self.station) - self.line.holds(self.station)
        inputs = self.line.plcs[self.station].oven.inputs
        if self.station == "test":
            inputs.door_open, inputs.set_points[0] = False, 0
        return self.visit

    def leave(self, ending: Ending, *, person: str = "", reason: str = "") -> bool:
        """Try to let the unit go on; False where the stop holds it."""
        visit = self.here
        if ending != "taken_back" and not self.lets_go:
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
        wrench = self.line.wrench
        wrench.controller.setup = replace(wrench.controller.setup, tool=DUE_TOOL if due else GOOD_TOOL)
        wrench.workplace.unit, wrench.workplace.operator = self.here.unit, self.person
        wrench.tighten(ok=ok)
        kitted = "kitting" in self.truth.unit(self.here.unit).passed
        if ok and not due and kitted and self.station in QUALIFIED.get(self.person, ()):
            self.here.good_bolts += 1
