"""Verify one piece of evidence as asked, and report what was found: text or JSON, and an exit code."""

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from linewitness.base.errors import ConfigurationError, EvidenceError, ExitCode
from linewitness.evidence.command.demands import Demands
from linewitness.evidence.command.times import TimesTable, verified_stamps
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.policy.trust import read_trust
from linewitness.evidence.progress import Stage, silent
from linewitness.evidence.timestamps.algorithms import Verifies
from linewitness.evidence.verify.source import EvidenceSource
from linewitness.evidence.verify.verdict import Verdict

_CODES: Final = {"BROKEN": ExitCode.BROKEN, "OUTDATED": ExitCode.OUTDATED}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """What was asked for: the options of `verify`.

    `demands` says how much must be attested, and how lately.
    `verifies` verifies the signatures of time-stamping authorities, None where nothing at hand does.
    """

    demands: Demands
    policy: Path | None = None
    customer: str | None = None
    revocations: Sequence[Path] = ()
    times: bool = False
    unit: str | None = None
    as_json: bool = False
    verifies: Verifies | None = None
    workers: int = 1

    def run(
        self, opened: AbstractContextManager[EvidenceSource], *, stage: Stage = silent
    ) -> tuple[Iterator[str], ExitCode]:
        """Verify what `opened` yields; return the lines to print and the exit code.

        What cannot be judged, a file that is no package or a policy that proves nothing, is REFUSED: that is
        no verdict about the stream.
        """
        try:
            return self._judged(opened, stage)
        except EvidenceError as error:
            return self._refused(error), ExitCode.UNJUDGED

    def _judged(
        self, opened: AbstractContextManager[EvidenceSource], stage: Stage
    ) -> tuple[Iterator[str], ExitCode]:
        trusted = self._trusted()
        table = TimesTable(self.unit)
        with opened as source:
            with stage("records verified", source.total) as progress:
                found = source.verify(
                    policy=trusted, verifies=self.verifies, workers=self.workers, progress=progress
                )
            verdict = self.demands.applied(found, trusted)
            if self.times and verdict.status != "BROKEN":
                roots = trusted.tsa_roots if trusted else ()
                stamps = verified_stamps(source.statements, roots, self.verifies) if self.verifies else []
                table.read(source.records(), source.statements, trusted, stamps)
        lines = self._json(verdict, table) if self.as_json else self._text(verdict, trusted, table)
        return lines, _CODES.get(verdict.outcome, ExitCode.OK)

    def _refused(self, error: EvidenceError) -> Iterator[str]:
        if self.as_json:
            found: dict[str, object] = {
                "status": "REFUSED",
                "text": error.what,
                "broken_at": None,
                "remarks": [],
            }
            yield json.dumps(found, ensure_ascii=False, indent=2)
        else:
            yield f"REFUSED, nothing was judged: {error}"

    def _trusted(self) -> Policy | None:
        if self.policy is not None:
            return read_policy(self.policy, customer=self.customer, revocations=self.revocations)
        if self.customer or self.revocations:
            raise ConfigurationError(
                "--customer and --revocation need a policy", hint="give --policy as well"
            )
        return None

    def _json(self, verdict: Verdict, table: TimesTable) -> Iterator[str]:
        members = self.demands.to_json(verdict) | ({"times": table.to_json()} if self.times else {})
        yield json.dumps(members, ensure_ascii=False, indent=2)

    def _text(self, verdict: Verdict, trusted: Policy | None, table: TimesTable) -> Iterator[str]:
        yield f"{verdict.origin}: {verdict.text}"
        if verdict.age:
            yield f"  age: {self.demands.age(verdict.age)}"
        if verdict.contents:
            yield f"  contents: {verdict.contents.text}"
        for stretch in verdict.without_capture:
            yield f"  without capture: {stretch.text}"
        if verdict.without_capture_left_out:
            yield f"  without capture: {verdict.without_capture_left_out} more stretches are not listed"
        for late in verdict.seen_late:
            yield f"  seen late: {late.text}"
        if verdict.seen_late_left_out:
            yield f"  seen late: {verdict.seen_late_left_out} more stretches are not listed"
        for remark in verdict.remarks:
            where = "" if remark.index is None else f"record {remark.index}: "
            yield f"  note: {where}{remark.text}"
        if trusted is None:
            yield "  note: no policy was given, so nobody's word but the gateway's was asked for"
        yield from table.lines()


def read_policy(file: Path, *, customer: str | None = None, revocations: Sequence[Path] = ()) -> Policy:
    """Return the policy in a file, with the revocations in others; errors are those of `read_trust`."""
    texts = [read_bytes(path, "revocation").decode("utf-8", "replace") for path in revocations]
    key = Vkey.parse(customer) if customer else None
    return read_trust(read_bytes(file, "policy"), customer=key, revocations=texts)


def read_bytes(path: Path, what: str) -> bytes:
    """Return the bytes of a file that the command line names; ConfigurationError says which it is."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the {what} {path} cannot be read: {error.strerror}") from None
