"""What is really at a simulated station: the truth that a record must not contradict."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MadeWith:
    """What a result was really made with, None where there was none or nobody."""

    unit: str | None
    operator: str | None
    program: int


@dataclass(slots=True)
class Workplace:
    """The unit on the table, and who stands before it."""

    unit: str | None = None
    operator: str | None = None

    def made_with(self, program: int) -> MadeWith:
        """Return what a result of this moment is made with."""
        return MadeWith(self.unit, self.operator, program)
