"""What a scale answers: a function of the load, time and a seed."""

import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

COMMANDS: Final = ("@", "I0", "I1", "I2", "I3", "I4", "S", "SI", "T", "Z")


@dataclass(kw_only=True)
class ScaleDevice:
    """A scale with one pan. A load put on it at one moment is stable `settle_s` later."""

    serial: str = "0123456789"
    capacity_g: Decimal = Decimal(3100)
    decimals: int = 2
    settle_s: float = 0.0
    busy_answers: int = 0
    seed: int = 1
    _load_g: Decimal = field(default=Decimal(0), init=False)
    _zero_g: Decimal = field(default=Decimal(0), init=False)
    _loaded_at: float = field(default=float("-inf"), init=False)
    _rng: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Seed the noise of an unstable weight."""
        self._rng = random.Random(self.seed)

    def load(self, grams: Decimal | str | int, now: float) -> None:
        """Put something else on the pan."""
        self._load_g = Decimal(grams)
        self._loaded_at = now

    def stable_at(self) -> float:
        """Return when the weight is stable, or was."""
        return self._loaded_at + self.settle_s

    def power_up(self) -> str:
        """Return what the scale says when it is switched on, and after a reset."""
        self._zero_g = Decimal(0)
        return f'I4 A "{self.serial}"'

    def answer(self, command: str, now: float) -> list[str] | None:
        """Return the lines that answer a command now, or None while the weight is awaited."""
        simple = self._simple(command)
        if simple is not None:
            return simple
        if command == "SI":
            return [self._weight("S" if now >= self.stable_at() else "D")]
        if self.busy_answers > 0:
            self.busy_answers -= 1
            return [f"{command} I"]
        if now < self.stable_at():
            return None
        if command == "S":
            return [self._weight("S")]
        self._zero_g = self._load_g
        return ["Z A"] if command == "Z" else [f"T S {self._field(self._load_g)} g"]

    def _simple(self, command: str) -> list[str] | None:
        known = {
            "I1": 'I1 A "01" "2.30" "2.22" "" ""',
            "I2": f'I2 A "Simulated scale {self.capacity_g} g"',
            "I3": 'I3 A "1.10 18.6.14.1361.772"',
            "I4": f'I4 A "{self.serial}"',
        }
        if command == "@":
            return [self.power_up()]
        if command == "I0":
            last = len(COMMANDS) - 1
            return [f'I0 {"A" if n == last else "B"} 0 "{name}"' for n, name in enumerate(COMMANDS)]
        if command in known:
            return [known[command]]
        return None if command in COMMANDS else ["ES"]

    def _weight(self, status: str) -> str:
        net = self._load_g - self._zero_g
        if self._load_g > self.capacity_g:
            return "S +"
        if self._load_g < 0:
            return "S -"
        if status == "D":
            net += Decimal(self._rng.randint(-500, 500)).scaleb(-2)
        return f"S {status} {self._field(net)} g"

    def _field(self, grams: Decimal) -> str:
        return f"{grams.quantize(Decimal(1).scaleb(-self.decimals)):>10}"
