"""Say how old the newest attestation is: what was cut off at the end shows in nothing else.

docs/format.md, section 12.6.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from linewitness.evidence.verify.statements import TrustedStatement

#: The last second of the calendar: a signature of a later time has no age.
_LAST_S: Final = 253_402_300_799
#: Above so many of the smaller unit the larger one is used.
_UNITS: Final = (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800))
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class StoreHolding:
    """A store's newest word of what it held: these many records, at that time (Unix seconds)."""

    party: str
    name: str
    size: int
    time_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationAge:
    """When the attested records were last attested, beside when the last record was written.

    `attested_s` is the newest time at which as many parties as the quorum asks for had signed them, None
    where they have not; `last_record_ms` the `ingested_at` of the last record that was checked. Both are
    Unix times.
    """

    attested_s: int | None
    last_record_ms: int | None
    held: StoreHolding | None

    @property
    def after_s(self) -> int | None:
        """Seconds from the last record to the newest attestation, negative where that came before."""
        if self.attested_s is None or self.last_record_ms is None:
            return None
        return self.attested_s - self.last_record_ms // 1000

    @property
    def text(self) -> str:
        """The age in words."""
        return self._newest + self._held

    @property
    def _newest(self) -> str:
        if self.attested_s is None:
            return "nothing is attested, so that nothing shows what is missing at the end"
        after_s = self.after_s
        if after_s is None:
            return f"the newest attestation is of {moment(self.attested_s)}"
        side = "before" if after_s < 0 else "after"
        return (
            f"the newest attestation is of {moment(self.attested_s)},"
            f" {span(abs(after_s))} {side} the last record"
        )

    @property
    def _held(self) -> str:
        if self.held is None:
            return "; no store states here how many records it held"
        one = self.held
        return f"; {one.name} held {one.size} records at {moment(one.time_s)}"

    def to_json(self) -> dict[str, Any]:
        """Return the age as JSON values."""
        return {**asdict(self), "after_s": self.after_s, "text": self.text}


def age_of(
    believed: Iterable["TrustedStatement"], *, attested: int, quorum: int, last_record_ms: int | None
) -> AttestationAge:
    """Return the age of the attestation of `attested` records, which `quorum` parties must have signed."""
    newest: dict[str, int] = {}
    held: StoreHolding | None = None
    for each in (each for one in believed for each in one.attestations if each.time_s < _LAST_S):
        if attested and each.size >= attested:
            newest[each.party] = max(newest.get(each.party, each.time_s), each.time_s)
        if each.role == "store" and (held is None or (each.time_s, each.size) > (held.time_s, held.size)):
            held = StoreHolding(each.party, each.name, each.size, each.time_s)
    times = sorted(newest.values(), reverse=True)
    attested_s = times[quorum - 1] if len(times) >= quorum else None
    return AttestationAge(attested_s=attested_s, last_record_ms=last_record_ms, held=held)


def span(seconds: int) -> str:
    """Return a duration in the largest unit of which there are some, cut."""
    for unit, length, limit in _UNITS:
        if seconds < limit:
            return f"{seconds // length} {unit}"
    return f"{seconds // _DAY_S} days"


def moment(time_s: int) -> str:
    """Return a time before the year 10000 as text."""
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
