"""What can happen to the ledger, each with what must be remembered together with it."""

from dataclasses import dataclass, field

from linewitness.base.mappings import EMPTY
from linewitness.devices.open_protocol.ledger.state import ResultLedger, ResultRecord
from linewitness.devices.open_protocol.ledger.storage import Changes


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEvent:
    """What happened to the ledger: its state after that, and what must be remembered together with it."""

    ledger: ResultLedger
    changes: Changes = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewResult(LedgerEvent):
    """A result that was not known; `name` identifies it where it has no id.

    `same_as` names the result that it was captured as before, when it had no id.
    """

    record: ResultRecord
    name: str = ""
    same_as: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedResult(LedgerEvent):
    """A result that is known already, with the same content, in this epoch or an earlier one."""

    record: ResultRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflictingResult(LedgerEvent):
    """A result of which nobody can tell whether it is another one; nothing is overwritten.

    It is kept as `name`, with all that it says.
    """

    record: ResultRecord
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingResults(LedgerEvent):
    """Ids that the controller does not have any more; `last` None where the end is not known."""

    first: int
    last: int | None
    countable: bool = True
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochBegan(LedgerEvent):
    """The ids count anew."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureBegan(LedgerEvent):
    """Capture starts here."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerChanged(LedgerEvent):
    """Nothing that makes an event: only the ledger's own state."""
