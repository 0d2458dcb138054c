"""Whether a result is good: what the device says, what our limits say, and which of them counts."""

from collections.abc import Sequence
from dataclasses import dataclass

from linewitness.devices.base import DecidedBy
from linewitness.evidence.format.record import Change


@dataclass(frozen=True, slots=True)
class Judgement:
    """Both verdicts on one result, None where there is none, and whose counts where they differ."""

    device: bool | None
    limits: bool | None
    decided_by: DecidedBy

    @classmethod
    def of(cls, ok: bool | None, measured: Sequence[Change], decided_by: DecidedBy) -> "Judgement":
        """Return the judgement on measured values with their status against the limits."""
        statuses = [change.status for change in measured if change.status is not None]
        limits = all(status == "ok" for status in statuses) if statuses else None
        return cls(ok, limits, decided_by)

    @property
    def ok(self) -> bool | None:
        """The verdict that counts; of our limits it is taken only where the settings say so."""
        if self.decided_by == "plc" or self.limits is None:
            return self.device
        if self.decided_by == "ours" or self.device is None:
            return self.limits
        return self.device and self.limits

    def changes(self) -> tuple[Change, ...]:
        """Return the verdict that counts; where the two differ, both of them and whose counts as well."""
        if self.ok is None:
            return ()
        said = [_verdict("result", self.ok)]
        if None not in (self.device, self.limits) and self.device != self.limits:
            said += [
                _verdict("result.plc", bool(self.device)),
                _verdict("result.limits", bool(self.limits)),
                Change("result.decided_by", None, self.decided_by),
            ]
        return tuple(said)


def _verdict(field: str, ok: bool) -> Change:
    word = "ok" if ok else "nok"
    return Change(field, None, word, status=word)
