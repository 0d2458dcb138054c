"""What really happened on the line: written by people and machines, never by the gateway."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final, Literal

from support.assembly.line import BOLTS, STATIONS

Ending = Literal["", "left", "overridden", "scrapped", "taken_back"]
#: Who may work or sign where.
QUALIFIED: Final = {"OP1": STATIONS, "OP2": ("bolting",), "OP3": ("test",), "OP4": STATIONS}


@dataclass(frozen=True)
class Piece:
    """A part or an amount of material. `usable` says whether it may be built in at all."""

    part: str
    name: str
    code: str
    usable: bool = True

    @property
    def key(self) -> tuple[str, str]:
        return self.part, self.name


@dataclass
class TrueVisit:
    """One unit at one station, until it went away, and what was done for it there."""

    station: str
    unit: str
    ending: Ending = ""
    person: str = ""
    reason: str = ""
    #: Requirements that the unit lacked when it left.
    lacked: tuple[str, ...] = ()
    good_bolts: int = 0
    #: Whether it was scrap when it came.
    was_scrap: bool = False
    #: Whether it had never been at this station before.
    is_first: bool = True
    signed_by: set[str] = field(default_factory=set)
    told_tight: bool = False
    in_press: bool = False


@dataclass
class TrueUnit:
    """One unit and what is in it."""

    serial: str
    inside: dict[str, Piece] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)
    #: Where its code was read last.
    at: str = ""
    scrapped: bool = False

    @property
    def product(self) -> str:
        return self.serial[2]


@dataclass
class Truth:
    """The whole line as it is, and its past."""

    units: dict[str, TrueUnit] = field(default_factory=dict)
    visits: dict[str, list[TrueVisit]] = field(default_factory=lambda: {name: [] for name in STATIONS})
    #: Which material lies at a station, by its part number.
    loaded: dict[str, Piece] = field(default_factory=dict)
    #: Every unit that ever had a piece, by the piece.
    had: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    removed: Counter[tuple[str, tuple[str, str]]] = field(default_factory=Counter)
    #: How often each piece was read, and how often a person saw that it was refused.
    scans: Counter[tuple[str, str]] = field(default_factory=Counter)
    refusals_seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    mistakes: Counter[str] = field(default_factory=Counter)
    #: (station, unit) where a station was skipped.
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: (station, unit) where a unit came that was scrap, or was still at another station on record.
    came_as_scrap: Counter[tuple[str, str]] = field(default_factory=Counter)
    at_two: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: Where each badge made its last result that a screen showed, when, and what the screens had lost then.
    worked: dict[str, tuple[str, float, int]] = field(default_factory=dict)
    #: How often nobody can have walked from one result to the next, both seen, and how often that may be so.
    walks_seen: int = 0
    walks_possible: int = 0
    #: Badges of people whom a screen showed as signed on at another station at that moment.
    shared_badges_seen: int = 0
    #: How often a reason was given that says nothing, and how often the screen said so.
    generic_reasons: int = 0
    generic_reasons_seen: int = 0

    def unit(self, serial: str) -> TrueUnit:
        return self.units.setdefault(serial, TrueUnit(serial))

    def mount(self, serial: str, slot: str, piece: Piece) -> None:
        """Let a piece be in the unit from now on."""
        unit = self.unit(serial)
        unit.inside[slot] = piece
        self.had[piece.key].add(serial)
        self._undo(serial, slot)

    def dismount(self, serial: str, slot: str) -> None:
        """Take a piece out; what was done after it has to be done again."""
        piece = self.unit(serial).inside.pop(slot)
        self.removed[serial, piece.key] += 1
        self._undo(serial, slot)

    def _undo(self, serial: str, slot: str) -> None:
        visits = self.visits["kitting"]
        if visits and visits[-1].unit == serial and slot in ("board", "valve"):
            visits[-1].signed_by.clear()

    def pieces_in_units(self) -> set[tuple[str, str]]:
        return {piece.key for unit in self.units.values() for piece in unit.inside.values()}

    def lacks(self, visit: TrueVisit, operator: str) -> tuple[str, ...]:
        """Return what a unit really lacks at its station; empty where nothing."""
        unit = self.unit(visit.unit)
        found = {
            "kitting": self._lacks_at_kitting,
            "bolting": self._lacks_at_bolting,
            "test": self._lacks_at_test,
        }[visit.station](unit, visit, operator)
        found["not scrap"] = not visit.was_scrap
        return tuple(name for name, done in found.items() if not done)

    def _lacks_at_kitting(self, unit: TrueUnit, visit: TrueVisit, operator: str) -> dict[str, bool]:
        board, valve, glue = (unit.inside.get(slot) for slot in ("board", "valve", "glue"))
        second = {each for each in visit.signed_by if each != operator and "kitting" in QUALIFIED[each]}
        return {
            "board": board is not None and board.usable and board.part == f"PCB-{unit.product}",
            "valve": valve is not None and valve.usable,
            "glue": glue is not None and glue.usable,
            "inspected": bool(second),
        }

    def _lacks_at_bolting(self, unit: TrueUnit, visit: TrueVisit, _operator: str) -> dict[str, bool]:
        return {"kitted": "kitting" in unit.passed, "bolts": visit.good_bolts >= BOLTS[unit.product]}

    def _lacks_at_test(self, unit: TrueUnit, visit: TrueVisit, operator: str) -> dict[str, bool]:
        tape = unit.inside.get("tape")
        return {
            "bolted": "bolting" in unit.passed,
            "tape": tape is not None and tape.usable,
            "tight": visit.told_tight,
            "pressed": visit.in_press,
            "cover": visit.good_bolts >= 1,
            "released": operator in visit.signed_by or bool(visit.signed_by & {"OP1", "OP3", "OP4"}),
        }
