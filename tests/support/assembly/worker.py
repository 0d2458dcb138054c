"""The person at a station: works through what the screen asks for, and makes every mistake there is."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from linewitness.base.clock import monotonic
from support.assembly.line import GTIN, PORTION
from support.assembly.place import Place
from support.assembly.screen import Shown
from support.assembly.truth import Ending, Piece

#: How likely each mistake is at one visit of one unit.
MISTAKES: Final[dict[str, dict[str, float]]] = {
    "kitting": {
        "wrong_part": 0.08,
        "part_of_another_unit": 0.08,
        "expired": 0.06,
        "blocked_lot": 0.06,
        "part_twice": 0.06,
        "wrong_order": 0.08,
        "signs_alone": 0.10,
        "replaces_a_part": 0.08,
        "wrong_lot_loaded": 0.30,
    },
    "bolting": {"nok_then_ok": 0.12, "tool_due": 0.08, "in_haste": 0.06},
    "test": {"wrong_lot_loaded": 0.06, "pressure_late": 0.10},
}
ANYWHERE: Final = {
    "unqualified_badge": 0.05,
    "generic_reason": 0.04,
    "override": 0.04,
    "scrap": 0.02,
    "double_scan": 0.08,
    "walks_away": 0.08,
}
SHARED_BADGE: Final = 0.08
#: The wrench pauses for so long between two units: otherwise a result may be of the unit before.
CHANGEOVER_S: Final = 1.05
#: A visit that takes longer than this will never end.
HOPELESS_S: Final = 120.0


class Stores:
    """Where pieces come from: each has a number of its own."""

    def __init__(self, rng: random.Random) -> None:
        self._rng, self._number = rng, 0

    def board(self, product: str) -> Piece:
        number = self._next()
        return Piece(f"PCB-{product}", f"{number:06d}", f"PCB-{product}-{number:06d}")

    def valve(self, *, lot: str = "", expiry: str = "491231", usable: bool = True) -> Piece:
        serial = f"S{self._next():06d}"
        lot = lot or self._rng.choice(("V1", "V2"))
        return Piece("V7", serial, f"]d201{GTIN}17{expiry}10{lot}\x1d21{serial}", usable)

    def lot(self, part: str) -> Piece:
        name = f"{'L' if part == 'GLUE' else 'T'}{self._next() % 1000:03d}"
        return Piece(part, name, f"GLUE-{name}/3" if part == "GLUE" else f"{part}-{name}")

    def bad_lot(self, part: str) -> Piece:
        name = "L999X" if part == "GLUE" else "T999X"
        return Piece(part, name, f"GLUE-{name}/3" if part == "GLUE" else f"{part}-{name}", usable=False)

    def _next(self) -> int:
        self._number += 1
        return self._number


@dataclass
class Worker:
    """One person at one station."""

    place: Place
    rng: random.Random
    stores: Stores
    badge: str
    faultless: bool = False
    #: Mistakes that are still to be made at this unit.
    todo: set[str] = field(default_factory=set)
    _entered_s: float = 0.0

    async def read_unit(self) -> None:
        """Read the unit that was put there until the screen shows it."""
        place = self.place
        serial, place.person = place.here.unit, self.badge
        self.todo, self._entered_s = self._slips(), 0.0
        while not await self._is_ready(serial, await place.screen.picture()):
            pass

    async def take_out_scrap(self) -> None:
        """Try to let a unit go on that is scrap, and take it off by hand then."""
        place = self.place
        await place.screen.sees(lambda now: not now.gate_open)
        for _ in range(5):
            await asyncio.sleep(0.05)  # a person tries again and again: the stop must hold each time
            if place.leave("left"):
                return
        place.leave("scrapped", by_hand=True)

    async def read_anew(self) -> None:
        """Read the unit that was read elsewhere meanwhile, until it is a new attempt here."""
        place = self.place
        serial, attempts = place.here.unit, (await place.screen.picture()).attempt
        place.leave("taken_back", by_hand=True)
        place.arrive(serial)
        self._entered_s = monotonic()
        while (await place.screen.picture()).attempt == attempts:
            await place.read(serial)
            self._entered_s = monotonic()
            await place.screen.sees(lambda now: now.unit == serial and now.attempt != attempts)

    async def handle(self) -> Ending:
        """Work on the unit that is there until it is gone."""
        place, serial = self.place, self.place.here.unit
        try:
            async with asyncio.timeout(HOPELESS_S):
                while place.visit is not None:
                    if await self._is_ready(serial, await place.screen.picture()):
                        await self._next(await place.screen.picture())
        except TimeoutError:
            raise AssertionError(f"{serial} stays at {place.station}: {place.screen.shown}") from None
        return place.truth.visits[place.station][-1].ending

    def _slips(self) -> set[str]:
        if self.faultless:
            return set()
        chances = MISTAKES[self.place.station] | ANYWHERE
        return {name for name, chance in chances.items() if self.rng.random() < chance}

    def _slip(self, name: str) -> bool:
        """Return whether a mistake is made now; each once a visit."""
        if name not in self.todo:
            return False
        self.todo.discard(name)
        self.place.truth.mistakes[name] += 1
        return True

    async def _is_ready(self, serial: str, shown: Shown) -> bool:
        """Sign on and read the unit, unless the screen says that both are so."""
        place = self.place
        unqualified = shown.operator != "OP9" and self._slip("unqualified_badge")
        if unqualified or shown.operator != self.badge:
            badge = "OP9" if unqualified else self.badge
            shared = place.shown_elsewhere(badge)
            await place.read(badge)
            signed_on = await place.screen.sees(lambda now: now.operator == badge)
            place.truth.shared_badges_seen += signed_on and shared and place.shown_elsewhere(badge)
            if badge == "OP9":
                await self._work_unqualified()
            return False
        if shown.unit != serial or not shown.certain:
            await place.read(serial)
            if self._slip("double_scan"):
                await place.read(serial)
            self._entered_s = monotonic()
            await place.screen.sees(lambda now: now.unit == serial and now.certain)
            return False
        self._note_material(shown)
        return True

    async def _work_unqualified(self) -> None:
        """Try to work with a badge that does not count here."""
        place = self.place
        place.person = "OP9"
        await place.read(place.here.unit)
        await place.screen.sees(lambda now: now.unit == place.here.unit)
        if place.station == "kitting" and "board" not in place.truth.unit(place.here.unit).inside:
            await self._offer(self.stores.board(place.truth.unit(place.here.unit).product))
        place.person = self.badge

    async def _next(self, shown: Shown) -> None:
        """Do what is next, or something wrong in its place."""
        place = self.place
        if self._slip("walks_away"):
            await asyncio.sleep(0.1)
            place.leave("left")
        elif (shown.complete or shown.passed) and place.lets_go:
            by_override = shown.passed
            place.leave("overridden" if by_override else "left", person=self.badge, reason="R3")
        elif shown.complete or shown.passed:
            await asyncio.sleep(0.02)
        elif self._slip("generic_reason"):
            await self._give_reason("PASS-OK")
        elif self._slip("scrap"):
            await self._scrap()
        elif "override" in self.todo and self.rng.random() < 0.4 and self._slip("override"):
            await self._override()
        else:
            await self._step(shown)

    async def _give_reason(self, code: str) -> None:
        self.place.truth.generic_reasons += 1
        await self.place.read(code)
        told = await self.place.screen.sees(lambda now: _names(now, "none of the reasons"), within_s=0.5)
        self.place.truth.generic_reasons_seen += told

    async def _override(self) -> None:
        place = self.place
        while (shown := await place.screen.picture()) and not (shown.passed or shown.complete):
            if await self._is_ready(place.here.unit, shown):
                await place.read("PASS-R3")
                await place.screen.sees(lambda now: now.passed)

    async def _scrap(self) -> None:
        place = self.place
        while not _is_scrap(await place.screen.picture()):
            if await self._is_ready(place.here.unit, await place.screen.picture()):
                await place.read("SCRAP-R2")
                await place.screen.sees(_is_scrap)
        while not place.leave("scrapped", person=self.badge, reason="R2"):  # noqa: ASYNC110 (a person tries)
            await asyncio.sleep(0.02)

    async def _step(self, shown: Shown) -> None:
        steps: dict[str, Callable[[Shown], Awaitable[None]]] = {
            "glue": self._load,
            "tape": self._load,
            "board-a": self._fit_board,
            "board-b": self._fit_board,
            "valve": self._fit_valve,
            "inspected": self._sign,
            "bolts-a": self._tighten,
            "bolts-b": self._tighten,
            "tight": self._say_tight,
            "cover": self._tighten,
            "pressed": self._press,
            "released": self._sign,
            "kitted": self._bring_back,
            "bolted": self._bring_back,
        }
        if self._done(shown, "board") and self._slip("part_twice"):
            await self._offer(self.stores.board(self.place.truth.unit(self.place.here.unit).product))
            return
        if self._done(shown, "board") and self._slip("replaces_a_part"):
            await self._take_out_board()
            return
        for name, step in steps.items():
            if shown.states.get(name, "done") != "done" and not shown.details[name].startswith("after "):
                await step(shown)
                return
        await self.place.screen.sees(lambda now: now != shown, within_s=0.5)

    @staticmethod
    def _done(shown: Shown, what: str) -> bool:
        return any(state == "done" for name, state in shown.states.items() if name.startswith(what))

    def _note_material(self, shown: Shown) -> None:
        """Note which material is in the unit, as soon as it was taken."""
        place = self.place
        for slot, part in (("glue", "GLUE"), ("tape", "TAPE")):
            if shown.states.get(slot) == "done" and slot not in place.truth.unit(place.here.unit).inside:
                place.truth.mount(place.here.unit, slot, place.truth.loaded[part])

    async def _load(self, shown: Shown) -> None:
        """Read the lot that lies there, or bring another one where it is empty."""
        place, slot = self.place, "glue" if self.place.station == "kitting" else "tape"
        part = slot.upper()
        loaded = place.truth.loaded.get(part)
        if loaded is None or shown.left.get(slot, PORTION) < PORTION:
            if self._slip("wrong_lot_loaded"):
                await self._offer(self.stores.bad_lot(part))
            loaded = place.truth.loaded[part] = self.stores.lot(part)
        await place.read_piece(loaded)
        if await place.screen.sees(lambda now: now.states.get(slot) == "done"):
            self._note_material(await place.screen.picture())

    async def _offer(self, piece: Piece) -> None:
        """Read a piece that must be refused, and note whether that was shown."""
        place = self.place
        await place.read_piece(piece)
        mark = f"{piece.part} {piece.name}: "
        if await place.screen.sees(lambda now: _names(now, mark), within_s=0.7):
            place.truth.refusals_seen[piece.key] += 1

    async def _fit_board(self, _shown: Shown) -> None:
        truth, unit = self.place.truth, self.place.truth.unit(self.place.here.unit)
        if "valve" not in unit.inside and self._slip("wrong_order"):
            await self._offer(self.stores.valve())
        elif self._slip("wrong_part"):
            await self._offer(self.stores.board("B" if unit.product == "A" else "A"))
        elif self._slip("part_of_another_unit"):
            others = [each.inside["board"] for each in truth.units.values() if "board" in each.inside]
            suiting = [each for each in others if each.part.endswith(unit.product)]
            if suiting:
                await self._offer(self.rng.choice(suiting))
        else:
            await self._fit("board", self.stores.board(unit.product))

    async def _fit_valve(self, _shown: Shown) -> None:
        if self._slip("expired"):
            await self._offer(self.stores.valve(expiry="201231", usable=False))
        elif self._slip("blocked_lot"):
            await self._offer(self.stores.valve(lot="V9", usable=False))
        else:
            await self._fit("valve", self.stores.valve())

    async def _fit(self, slot: str, piece: Piece) -> None:
        """Put a piece in and read it; the same one again if the screen does not show it."""
        place = self.place
        unit = place.truth.unit(place.here.unit)
        if slot not in unit.inside:
            place.truth.mount(unit.serial, slot, piece)
        await place.read_piece(unit.inside[slot])
        await place.screen.sees(lambda now: self._done(now, slot))

    async def _take_out_board(self) -> None:
        """Take the board out, and say so until the screen shows it."""
        place = self.place
        unit = place.truth.unit(place.here.unit)
        piece = unit.inside["board"]
        while self._done(await place.screen.picture(), "board"):
            if await self._is_ready(unit.serial, await place.screen.picture()):
                await place.read("REMOVE-R1")
                await asyncio.sleep(0.1)
                await place.read_piece(piece)
                await place.screen.sees(lambda now: not self._done(now, "board"))
        place.truth.dismount(unit.serial, "board")

    async def _sign(self, _shown: Shown) -> None:
        place = self.place
        name, code = ("inspected", "SIGN-KIT") if place.station == "kitting" else ("released", "SIGN-TEST")
        await place.read(code)
        place.signing = True
        badges = [self.badge] if place.station == "test" or self._slip("signs_alone") else []
        badges += ["OP4"] if place.station == "kitting" else []
        for badge in badges:
            await asyncio.sleep(0.05)
            place.note_signature(badge)
            await place.read(badge)
        await place.screen.sees(lambda now: now.states.get(name) == "done")
        place.signing = False

    async def _tighten(self, shown: Shown) -> None:
        place = self.place
        if not self._slip("in_haste"):
            await asyncio.sleep(max(0.0, self._entered_s + CHANGEOVER_S - monotonic()))
        name = next(each for each in shown.states if each.startswith(("bolts", "cover")))
        ok, due = not self._slip("nok_then_ok"), self._slip("tool_due")
        before, began_s = shown.details[name], monotonic()
        place.tighten(ok=ok, due=due)
        seen = await place.screen.sees(
            lambda now: now.details.get(name) != before or now.states[name] == "done"
        )
        place.note_work(began_s, seen=seen and ok and not due)

    async def _say_tight(self, _shown: Shown) -> None:
        """Let the tester find the unit tight; it says so anew if nobody noticed."""
        inputs = self.place.line.plcs["test"].oven.inputs
        if inputs.door_open:
            inputs.door_open = False
            await asyncio.sleep(0.3)
        inputs.door_open = True
        self.place.here.told_tight = True
        await self.place.screen.sees(lambda now: now.states.get("tight") == "done")

    async def _press(self, _shown: Shown) -> None:
        inputs = self.place.line.plcs["test"].oven.inputs
        inputs.set_points[0] = 90 if self._slip("pressure_late") else 120
        self.place.here.in_press |= inputs.set_points[0] == 120
        await self.place.screen.sees(lambda now: now.states.get("pressed") == "done", within_s=1.5)

    async def _bring_back(self, _shown: Shown) -> None:
        """Take a unit off the line by hand that skipped a station."""
        unit = self.place.truth.unit(self.place.here.unit)
        before = "kitting" if self.place.station == "bolting" else "bolting"
        await asyncio.sleep(0.1)
        if before not in unit.passed:
            self.place.leave("taken_back", by_hand=True)


def _is_scrap(shown: Shown) -> bool:
    """A gate that is open for a unit which is neither complete nor let pass: it is to be taken out."""
    return shown.gate_open and shown.certain and not shown.complete and not shown.passed


def _names(shown: Shown, text: str) -> bool:
    return any(text in each for each in shown.wrong)
