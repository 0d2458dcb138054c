"""What came of one kind of fault: a row of the table that the selftest and the fault tests print."""

from dataclasses import dataclass

__all__ = ["FaultOutcome"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOutcome:
    """The account of one kind of fault.

    `injected`: how often the fault was made. `survived`: after how many of them the journal opened, verified
    and went on (or refused in words what it must refuse). `lost` and `duplicated`: records that were told to
    be safe and are missing, or are there twice; both must be 0. `note`: what a reader must know, such as why
    nothing was injected.
    """

    fault: str
    injected: int
    survived: int
    lost: int
    duplicated: int
    note: str = ""

    @property
    def held(self) -> bool:
        """Whether the promise held each time."""
        return self.injected == self.survived and not self.lost and not self.duplicated
