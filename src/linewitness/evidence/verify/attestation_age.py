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
#: Receipts come within seconds while a line is connected: what nobody outside saw for a minute is seen late.
LATE_S: Final = 60
#: A verdict lists so many stretches of records that were seen late.
MAX_SEEN_LATE: Final = 1000


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


@dataclass(frozen=True, slots=True)
class SeenLate:
    """Records one after the other that no outside party had seen soon: `after_s` is the longest time."""

    first: int
    last: int
    after_s: int

    @property
    def text(self) -> str:
        """The stretch as one line."""
        waited = span(self.after_s)
        if self.last == self.first:
            return f"record {self.first} was first seen by others {waited} after it was written"
        records = f"records {self.first} to {self.last}"
        return f"{records} were first seen by others up to {waited} after they were written"


class SeenLateRecords:
    """Find them while the records of a stream pass in their order (docs/format.md, section 12.8)."""

    def __init__(self) -> None:
        """Begin with nothing that was seen late."""
        self._found: list[SeenLate] = []
        self._open: SeenLate | None = None
        self.left_out = 0

    def take(self, place: int, claimed_ms: int, seen_s: int | None) -> None:
        """Take the next record: when it claims to be from, and when somebody first signed for it."""
        after_s = 0 if seen_s is None else seen_s - claimed_ms // 1000
        if after_s <= LATE_S:
            self._close()
        elif self._open is None:
            self._open = SeenLate(place, place, after_s)
        else:
            self._open = SeenLate(self._open.first, place, max(after_s, self._open.after_s))

    def end(self) -> tuple[SeenLate, ...]:
        """Return the stretches, when all records were taken."""
        self._close()
        return tuple(self._found)

    def _close(self) -> None:
        if self._open is None:
            return
        if len(self._found) < MAX_SEEN_LATE:
            self._found.append(self._open)
        else:
            self.left_out += 1
        self._open = None


def span(seconds: int) -> str:
    """Return a duration in the largest unit of which there are some, cut."""
    for unit, length, limit in _UNITS:
        if seconds < limit:
            return f"{seconds // length} {unit}"
    return f"{seconds // _DAY_S} days"


def moment(time_s: int) -> str:
    """Return a time before the year 10000 as text."""
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
