"""What an outsider may believe of a record's time: others' clocks before it and after it in the chain.

A record that cites a receipt was written after the receipt was signed, and so was every later record; a
record that a signed statement covers was written before that statement. Both times are other parties' own.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Final, NamedTuple

from linewitness.evidence.format.keys import read_creation
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.record import sha256, unit_of
from linewitness.evidence.format.times import NS_PER_S, text_of, unix_ns
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.verify.statements import Statement, Token, TrustedStatement, trusted_statements
from linewitness.evidence.verify.verdict import Attestation

#: Records that cite what somebody else signed, with its hash and its time.
CITING: Final = frozenset(("custody.received", "anchor.written"))
#: The fields in which they do so.
HASH_FIELDS: Final = ("receipt", "checkpoint", "proof")
TIME_FIELD: Final = "cosigned_at"
#: A bound is the gateway's own word: more than an hour of it is not credited.
MAX_BOUND_NS: Final = 3600 * NS_PER_S
#: The last second of the calendar: a signature of a later time bounds nothing.
LAST_S: Final = 253_402_300_799

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
        if self.not_before is None:
            return 0
        return max(0, self.not_before.time_s * NS_PER_S - self.claimed_ns - self._credited_ns)

    @property
    def late_ns(self) -> int:
        """How much later than possible the record claims to be, beyond the bound of its clock; or 0."""
        if self.not_after is None:
            return 0
        return max(0, self.claimed_ns - self._credited_ns - (self.not_after.time_s + 1) * NS_PER_S)

    @property
    def _credited_ns(self) -> int:
        """The bound as far as it counts: one that is not known, or not stated, excuses nothing."""
        return min(self.bound_ns or 0, MAX_BOUND_NS)

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
    signed: SignedTimes | None = None
    newest: TimeLimit | None = None
    for members in records:
        if signed is None:
            log_key = policy.log_key if policy else _log_key(members)
            stamped = [each for stamp in stamps for each in _stamped(stamp, log_key, policy)]
            believed, _ = trusted_statements(statements, log_key=log_key, policy=policy)
            signed = SignedTimes([*stamped, *believed])
        yield _bounds(members, newest, signed.after(members["sequence_no"]))
        citation = citation_of(members)
        newest = later(newest, signed.cited(citation) if citation else None)


class Citation(NamedTuple):
    """What a record cites: hashes of what others signed, and the time that the gateway noted, if any."""

    hashes: tuple[str, ...]
    noted_s: int | None
    who: str


def citation_of(members: Mapping[str, Any]) -> Citation | None:
    """Return what a parsed record cites, or None."""
    if members["kind"] not in CITING:
        return None
    fields = {change["field"]: change["after"] for change in members["changes"]}
    try:
        noted_s = unix_ns(str(fields[TIME_FIELD])) // NS_PER_S
    except (KeyError, ValueError):
        noted_s = None
    hashes = tuple(str(fields[name]) for name in HASH_FIELDS if name in fields)
    return Citation(hashes, noted_s, members["actor"]["id"])


def later(one: TimeLimit | None, other: TimeLimit | None) -> TimeLimit | None:
    """Return the later limit: a time that goes back proves less, and what was later stays true."""
    if one is None or other is None:
        return one or other
    return other if other.time_s > one.time_s else one


class SignedTimes:
    """Other parties' signatures: by the hash of what they are on, and by what they cover."""

    def __init__(self, believed: Iterable[TrustedStatement]) -> None:
        """Take statements that the right keys signed, with the time stamps that are good."""
        self._of_hash: dict[str, Attestation] = {}
        found: list[Attestation] = []
        for one in believed:
            signers = [each for each in one.attestations if each.time_s < LAST_S]
            if signers:
                self._of_hash[sha256(one.text.encode())] = max(signers, key=_time)
            found += signers
            if one.stamp and one.token:
                # Who cites the token came after it; who cites only the checkpoint need not have.
                self._of_hash[sha256(one.token.data)] = one.stamp
                found.append(one.stamp)
        found.sort(key=lambda each: each.size)
        self._sizes = [each.size for each in found]
        # From each one on, the earliest of it and of all that cover more.
        self._earliest = [limit_of(each) for each in accumulate(reversed(found), _earlier)][::-1]

    def after(self, sequence_no: int) -> TimeLimit | None:
        """Return the first time at which somebody held a record with this number."""
        at = bisect_right(self._sizes, sequence_no)
        return self._earliest[at] if at < len(self._sizes) else None

    def cited(self, citation: Citation) -> TimeLimit | None:
        """Return the time that a record cites: proven where the cited note is at hand, else as noted."""
        known = [self._of_hash[each] for each in citation.hashes if each in self._of_hash]
        if known:
            return limit_of(max(known, key=_time))
        if citation.noted_s is None:
            return None
        return TimeLimit(citation.noted_s, f"{citation.who}, as the gateway noted", proven=False)


def limit_of(attestation: Attestation) -> TimeLimit:
    """Return the time of a signature with the name of its party."""
    return TimeLimit(attestation.time_s, f"{attestation.party} ({attestation.role} {attestation.name})")


def _log_key(record_0: Mapping[str, Any]) -> Vkey:
    return read_creation(dict(record_0)).log


def _stamped(stamp: TimeStamp, log_key: Vkey, policy: Policy | None) -> list[TrustedStatement]:
    """Return the statement under a time stamp, if the log key signed it."""
    believed, _ = trusted_statements([Statement(stamp.who, stamp.note)], log_key=log_key, policy=policy)
    return [
        replace(
            one,
            attestations=(),
            token=Token(stamp.who, stamp.token),
            stamp=Attestation(
                party=stamp.who,
                role="RFC 3161",
                name="token",
                size=one.checkpoint.size,
                root=one.checkpoint.root.hex(),
                time_s=stamp.time_s,
            ),
        )
        for one in believed
    ]


def _earlier(one: Attestation, other: Attestation) -> Attestation:
    return other if other.time_s < one.time_s else one


def _time(attestation: Attestation) -> int:
    return attestation.time_s


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


def _limit(limit: TimeLimit | None, *, end: bool = False) -> dict[str, Any] | None:
    if limit is None:
        return None
    return {
        "time": text_of((limit.time_s + end) * NS_PER_S),
        "who": limit.who,
        "proven": limit.proven,
    }
