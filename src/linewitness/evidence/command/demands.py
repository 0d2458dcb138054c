"""What an auditor asks of a verdict beyond its status: so many records, attested so lately.

docs/format.md, section 12.6. A history without its end is a smaller history, and nothing in it says so.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from linewitness.base.errors import ConfigurationError
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.verify.attestation_age import AttestationAge, moment, span
from linewitness.evidence.verify.verdict import Remark, Verdict

#: Two clocks that are right differ by less.
_MARGIN_S: Final = 10
_LAST_S: Final = 253_402_300_799


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """How many records must be attested, and from when the newest attestation must be, in Unix seconds.

    `now_s` is the time of the check. `as_of_s` is the time for which the evidence is to hold: the newest
    attestation is from then or later, or older by `max_age_s` of the policy at most. Where only the policy
    says an age, it counts from `now_s`.
    """

    now_s: int
    at_least: int | None = None
    as_of_s: int | None = None

    def applied(self, verdict: Verdict, policy: Policy | None) -> Verdict:
        """Return the verdict with what it lacks, and a remark on an attestation from the future."""
        age = verdict.age
        if verdict.status == "BROKEN" or age is None:
            return verdict
        unmet: list[str] = []
        if self.at_least is not None and verdict.attested < self.at_least:
            unmet.append(
                f"{verdict.attested} records are attested, and at least {self.at_least} were asked for"
            )
        allowed_s = policy.max_age_s if policy else None
        if self.as_of_s is not None or allowed_s is not None:
            least_s = max(0, self._reference_s - (allowed_s or 0))
            if age.attested_s is None or age.attested_s < least_s:
                found = f"is of {moment(age.attested_s)}" if age.attested_s is not None else "is missing"
                asked = f"one of {moment(least_s)} or later was asked for"
                unmet.append(f"the newest attestation {found}, and {asked}")
        ahead_s = (age.attested_s or 0) - self.now_s
        ahead = f"the newest attestation is of a time {span(ahead_s)} after this check"
        remarks = (Remark(None, ahead),) if ahead_s > _MARGIN_S else ()
        return replace(verdict, unmet=tuple(unmet), remarks=(*remarks, *verdict.remarks))

    def age(self, age: AttestationAge) -> str:
        """Return the age in words, with how long before the time in question that was."""
        if age.attested_s is None:
            return age.text
        before_s = self._reference_s - age.attested_s
        side = "after" if before_s < 0 else "before"
        whose = "the check" if self.as_of_s is None else moment(self.as_of_s)
        return f"{age.text}; the attestation came {span(abs(before_s))} {side} {whose}"

    def to_json(self, verdict: Verdict) -> dict[str, Any]:
        """Return the verdict as JSON values, with its age at the time in question (seconds)."""
        members = verdict.to_json()
        if verdict.age and members["age"]:
            attested_s = verdict.age.attested_s
            members["age"]["as_of_s"] = self._reference_s
            members["age"]["before_s"] = None if attested_s is None else self._reference_s - attested_s
        return members

    @property
    def _reference_s(self) -> int:
        return self.now_s if self.as_of_s is None else self.as_of_s


def unix_time(text: str) -> int:
    """Return the Unix seconds of a time (RFC 3339, UTC where it says nothing else) since 1970."""
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = int(aware.timestamp())
    except (ValueError, OverflowError):
        seconds = -1
    if not 0 <= seconds < _LAST_S:
        raise ConfigurationError(
            f"--as-of {text!r} is not a time", hint="it looks like 2026-03-01T08:00:00Z, or 2026-03-01"
        )
    return seconds
