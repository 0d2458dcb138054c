"""The result of a verification: a status with what was proven, and by whom."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

from linewitness.evidence.format.times import NS_PER_S, unix_ns
from linewitness.evidence.verify.attestation_age import AttestationAge, SeenLate
from linewitness.evidence.verify.contents import RecordSummary

#: The role of a time-stamping authority, which counts for the time and for no quorum.
TIME_STAMP: Final = "time stamp"
#: What a verdict says more is left out.
MAX_REMARKS: Final = 1000

Status = Literal["COMPLETE", "INTACT", "INCLUDED", "BROKEN"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """An outside party's word about the stream: it held these many records, with this root, at that time.

    `time_s` is Unix time in seconds, as the party itself signed it. A time-stamping authority, whose role is
    `time stamp`, has seen a hash and nothing else: it says that this was there at that time, not that there
    is no other.
    """

    party: str
    role: str
    name: str
    size: int
    root: str
    time_s: int


@dataclass(frozen=True, slots=True)
class Remark:
    """What does not break the chain and yet should be known; `index` is the record, if any."""

    index: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureStretch:
    """A time for which the records do not say what happened at a subject.

    `since` and `until` are times as records have them, None where the evidence does not say; `first` and
    `last` the records that say so. A stretch without `last` has no end on record.
    """

    subject: str
    since: str | None
    until: str | None
    why: str
    first: int | None
    last: int | None

    @property
    def text(self) -> str:
        """The stretch as one line."""
        seconds = _seconds(self.since, self.until)
        lasted = "" if seconds is None else f" ({seconds:.3f} s)"
        return (
            f"{self.since or 'a time that is not known'} to {self.until or 'a time that is not on record'}"
            f"{lasted}, {self.subject}: {self.why}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome for one stream, or for a selection of its records.

    Of a stream, `size` records were checked and are unaltered (up to the break, if BROKEN); `attested`
    of these are covered by the policy's quorum. `attestations` are those of the quorum, then time stamps.
    Of a selection, `selected` records were checked, and
    `size` is that of the stream which their proofs are about. `contents` says what the records are about,
    and `without_capture` when they do not say what happened; both are empty if it is BROKEN.
    `seen_late` lists records of a stream that no outside party had seen soon.
    `unmet` lists what was asked for beyond that and is not there: then the verdict is OUTDATED.
    """

    status: Status
    origin: str
    size: int
    root: str | None
    head_hash: str | None
    record_0: str
    policy: str | None = None
    selected: int | None = None
    attested: int = 0
    attestations: tuple[Attestation, ...] = ()
    broken_at: int | None = None
    reason: str | None = None
    remarks: tuple[Remark, ...] = ()
    contents: RecordSummary | None = None
    without_capture: tuple[CaptureStretch, ...] = ()
    without_capture_left_out: int = 0
    age: AttestationAge | None = None
    unmet: tuple[str, ...] = ()
    seen_late: tuple[SeenLate, ...] = ()
    seen_late_left_out: int = 0

    @property
    def outcome(self) -> Literal["OUTDATED"] | Status:
        """The status, or OUTDATED where what was asked for is not there."""
        return "OUTDATED" if self.unmet else self.status

    @property
    def text(self) -> str:
        """The verdict as one sentence."""
        return f"OUTDATED: {'; '.join(self.unmet)}; {self._found}" if self.unmet else self._found

    def broken(self, index: int, reason: str) -> "Verdict":
        """Return this verdict as BROKEN at a record, without what is said of unbroken evidence only."""
        return replace(
            self,
            status="BROKEN",
            root=None,
            head_hash=None,
            attested=0,
            attestations=(),
            broken_at=index,
            reason=reason,
            contents=None,
            without_capture=(),
            without_capture_left_out=0,
            age=None,
            seen_late=(),
            seen_late_left_out=0,
        )

    @property
    def _found(self) -> str:
        if self.status == "BROKEN":
            return f"BROKEN at record {self.broken_at}: {self.reason}"
        if self.selected is not None:
            return self._of_a_selection()
        complete = f"COMPLETE to {self.attested}, attested by {_names(self.attestations)}"
        if self.status == "COMPLETE":
            return complete + _times(self.attestations)
        pending = f"INTACT, last {self.size - self.attested} records not yet attested"
        return (f"{pending}; {complete}" if self.attested else pending) + _times(self.attestations)

    def _of_a_selection(self) -> str:
        if self.status == "INCLUDED":
            return (
                f"INCLUDED: {self.selected} selected records are unaltered and among the {self.attested}"
                f" attested by {_names(self.attestations)}; other records were not verified"
                + _times(self.attestations)
            )
        return (
            f"INTACT, {self.selected} selected records; the {self.size} they are among are not yet attested"
            + _times(self.attestations)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON values, with its sentence under `text`."""
        contents = self.contents.to_json() if self.contents else None
        members = asdict(replace(self, contents=None)) | {"contents": contents, "status": self.outcome}
        # What was added later comes last.
        later = {name: members.pop(name) for name in ("unmet", "seen_late", "seen_late_left_out")}
        later["seen_late"] = list(later["seen_late"])
        del members["age"]
        age = self.age.to_json() if self.age else None
        return members | {"text": self.text, "age": age, **later}


def _names(attestations: tuple[Attestation, ...]) -> str:
    return ", ".join(f"{one.party} ({one.role} {one.name})" for one in attestations if one.role != TIME_STAMP)


def _times(attestations: tuple[Attestation, ...]) -> str:
    return "".join(
        f"; {one.size} records time-stamped by {one.name} at"
        f" {datetime.fromtimestamp(one.time_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
        for one in attestations
        if one.role == TIME_STAMP
    )


def _seconds(since: str | None, until: str | None) -> float | None:
    try:
        return None if since is None or until is None else (unix_ns(until) - unix_ns(since)) / NS_PER_S
    except ValueError:
        return None
