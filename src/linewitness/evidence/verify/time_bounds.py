"""What an outsider may believe of a record's time: others' clocks before it and after it in the chain.

A record that cites a receipt was written after the receipt was signed, and so was every later record; a
record that a signed statement covers was written before that statement. Both times are other parties' own.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.keys import read_creation
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.record import sha256, unit_of
from linewitness.evidence.format.times import NS_PER_S, text_of, unix_ns
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.verify.statements import Statement, trusted_statements
from linewitness.evidence.verify.verdict import Attestation, Remark

#: Records that cite what somebody else signed, with its hash and its time.
CITING: Final = frozenset(("custody.received", "anchor.written"))
#: The fields in which they do so.
HASH_FIELDS: Final = frozenset(("receipt", "checkpoint", "proof"))
TIME_FIELD: Final = "cosigned_at"

_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """A time by another party's clock, in Unix seconds, and whose it is.

    It is `proven` where a signature stands behind it that the policy names, and otherwise the gateway's
    own note of what it was told.
    """

    time_s: int
    who: str
    proven: bool = True


@dataclass(frozen=True, slots=True)
class TimeStamp:
    """A time-stamping authority's token over a checkpoint, which the caller has verified."""

    note: str
    token: bytes
    time_s: int
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBounds:
    """One record's claim, and the times between which it was written.

    `claimed_ns` is `ingested_at`, `bound_ns` how wrong the gateway says that its clock was at most (None:
    it says that it does not know). A signature's time is cut to the second, so that the record was written
    not before `not_before.time_s` and before `not_after.time_s` + 1.
    """

    sequence_no: int
    kind: str
    unit: str | None
    occurred_ns: int
    claimed_ns: int
    bound_ns: int | None
    not_before: TimeLimit | None
    not_after: TimeLimit | None

    @property
    def early_ns(self) -> int:
        """How much earlier than possible the record claims to be, beyond the bound of its clock; or 0."""
        if self.not_before is None or self.bound_ns is None:
            return 0
        return max(0, self.not_before.time_s * NS_PER_S - self.claimed_ns - self.bound_ns)

    @property
    def late_ns(self) -> int:
        """How much later than possible the record claims to be, beyond the bound of its clock; or 0."""
        if self.not_after is None or self.bound_ns is None:
            return 0
        return max(0, self.claimed_ns - self.bound_ns - (self.not_after.time_s + 1) * NS_PER_S)

    def to_json(self) -> dict[str, Any]:
        """Return the bounds as JSON values; times as RFC 3339."""
        return {
            "sequence_no": self.sequence_no,
            "kind": self.kind,
            "unit": self.unit,
            "occurred_at": text_of(self.occurred_ns),
            "ingested_at": text_of(self.claimed_ns),
            "bound_us": None if self.bound_ns is None else self.bound_ns // 1000,
            "not_before": _limit(self.not_before),
            "not_after": _limit(self.not_after, end=True),
            "early_ms": self.early_ns // _MS,
            "late_ms": self.late_ns // _MS,
        }


def bounds_of(
    records: Iterable[Mapping[str, Any]],
    statements: Iterable[Statement],
    *,
    policy: Policy | None,
    stamps: Iterable[TimeStamp] = (),
) -> Iterator[TimeBounds]:
    """Yield the bounds of parsed records, which come in order from record 0 on.

    Records and statements are those of a stream that was verified: here they are only compared in time.
    Without a policy nobody's signature counts, and only what the gateway noted is left.
    """
    signed: _Signed | None = None
    newest: TimeLimit | None = None
    for members in records:
        if signed is None:
            log_key = policy.log_key if policy else _log_key(members)
            signed = _Signed(statements, stamps, log_key=log_key, policy=policy)
        yield _bounds(members, newest, signed.after(members["sequence_no"]))
        cited = _cited(members, signed)
        # A time that goes back proves less than the one before: what was later stays true.
        if cited is not None and (newest is None or cited.time_s > newest.time_s):
            newest = cited


class OutOfBounds:
    """Collect the records whose claim lies outside of their bounds: one remark a run of records."""

    def __init__(self) -> None:
        """Begin with none."""
        self._remarks: list[Remark] = []
        self._first: TimeBounds | None = None
        self._last = 0
        self._worst: TimeBounds | None = None

    def take(self, one: TimeBounds) -> None:
        """Look at the next record."""
        if self._first is not None and (
            _side(one) != _side(self._first) or one.sequence_no != self._last + 1
        ):
            self._end()
        if _side(one) is not None:
            self._first = self._first or one
            self._last = one.sequence_no
            self._worst = max(self._worst or one, one, key=_excess)

    def remarks(self) -> tuple[Remark, ...]:
        """Return the remarks, when all records were looked at."""
        self._end()
        return tuple(self._remarks)

    def _end(self) -> None:
        if self._first is not None and self._worst is not None:
            self._remarks.append(_remark(self._first.sequence_no, self._last, self._worst))
        self._first = self._worst = None


class _Signed:
    """Other parties' signatures: by the hash of the note that they are on, and by what they cover."""

    def __init__(
        self,
        statements: Iterable[Statement],
        stamps: Iterable[TimeStamp],
        *,
        log_key: Vkey,
        policy: Policy | None,
    ) -> None:
        self.of_note: dict[str, Attestation] = {}
        found: list[Attestation] = []
        for stamp in stamps:
            believed, _ = trusted_statements(
                [Statement(stamp.who, stamp.note)], log_key=log_key, policy=policy
            )
            signers = [_stamped(stamp, one.checkpoint) for one in believed]
            # Who cites the token came after it; who cites only the checkpoint need not have.
            self.of_note |= {sha256(stamp.token): one for one in signers}
            found += signers
        for statement in statements:
            believed, _ = trusted_statements([statement], log_key=log_key, policy=policy)
            signers = [each for one in believed for each in one.attestations]
            if signers:
                self.of_note[sha256(statement.text.encode())] = max(signers, key=_time)
            found += signers
        found.sort(key=lambda each: each.size)
        self._sizes = [each.size for each in found]
        # From each one on, the earliest of it and of all that cover more.
        earliest = accumulate(reversed(found), _earlier)
        self._earliest = list(earliest)[::-1]

    def after(self, sequence_no: int) -> TimeLimit | None:
        """Return the first time at which somebody held a record with this number."""
        at = bisect_right(self._sizes, sequence_no)
        return _limit_of(self._earliest[at]) if at < len(self._sizes) else None


def _log_key(record_0: Mapping[str, Any]) -> Vkey:
    return read_creation(dict(record_0)).log


def _stamped(stamp: TimeStamp, checkpoint: Checkpoint) -> Attestation:
    root = checkpoint.root.hex()
    return Attestation(
        party=stamp.who, role="RFC 3161", name="token", size=checkpoint.size, root=root, time_s=stamp.time_s
    )


def _earlier(one: Attestation, other: Attestation) -> Attestation:
    return other if other.time_s < one.time_s else one


def _time(attestation: Attestation) -> int:
    return attestation.time_s


def _limit_of(attestation: Attestation) -> TimeLimit:
    return TimeLimit(attestation.time_s, f"{attestation.party} ({attestation.role} {attestation.name})")


def _cited(members: Mapping[str, Any], signed: _Signed) -> TimeLimit | None:
    """Return the time that a record cites: proven where the cited note is at hand, else as noted."""
    if members["kind"] not in CITING:
        return None
    fields = {change["field"]: change["after"] for change in members["changes"]}
    for field in HASH_FIELDS & fields.keys():
        if attestation := signed.of_note.get(str(fields[field])):
            return _limit_of(attestation)
    try:
        noted_ns = unix_ns(str(fields[TIME_FIELD]))
    except (KeyError, ValueError):
        return None
    return TimeLimit(noted_ns // NS_PER_S, f"{members['actor']['id']}, as the gateway noted", proven=False)


def _bounds(members: Mapping[str, Any], before: TimeLimit | None, after: TimeLimit | None) -> TimeBounds:
    bound_us = members["clock"].get("bound_us")
    return TimeBounds(
        sequence_no=members["sequence_no"],
        kind=members["kind"],
        unit=unit_of(members),
        occurred_ns=unix_ns(members["occurred_at"]),
        claimed_ns=unix_ns(members["ingested_at"]),
        bound_ns=None if bound_us is None else bound_us * 1000,
        not_before=before,
        not_after=after,
    )


def _side(one: TimeBounds) -> str | None:
    if one.early_ns:
        return "earlier than"
    return "later than" if one.late_ns else None


def _excess(one: TimeBounds) -> int:
    return max(one.early_ns, one.late_ns)


def _remark(first: int, last: int, worst: TimeBounds) -> Remark:
    limit = worst.not_before if worst.early_ns else worst.not_after
    records = f"records {first} to {last} claim" if last > first else "it claims"
    return Remark(
        first,
        f"{records} to have been written up to {_excess(worst) / NS_PER_S:.3f} s {_side(worst)} possible by"
        f" the clock of {limit.who if limit else ''}, beyond the bound that the gateway states for its own",
    )


def _limit(limit: TimeLimit | None, *, end: bool = False) -> dict[str, Any] | None:
    if limit is None:
        return None
    return {
        "time": text_of((limit.time_s + end) * NS_PER_S),
        "who": limit.who,
        "proven": limit.proven,
    }
