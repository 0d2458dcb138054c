"""Verify one piece of evidence as asked, and report what was found: text or JSON, and an exit code."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from linewitness.base.errors import ConfigurationError, EvidenceError, ExitCode
from linewitness.evidence.command.demands import Demands
from linewitness.evidence.command.times import TimesTable, verified_stamps
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.package.several.verdict import refusal, sentence, stated_stream, weakest
from linewitness.evidence.policy.policy import BadPolicy, Policy
from linewitness.evidence.policy.trust import read_policies, read_trust
from linewitness.evidence.progress import Stage, silent
from linewitness.evidence.timestamps.algorithms import Verifies
from linewitness.evidence.verify.source import EvidenceSource
from linewitness.evidence.verify.verdict import Verdict

_CODES: Final = {
    "BROKEN": ExitCode.BROKEN,
    "OUTDATED": ExitCode.OUTDATED,
    "REFUSED": ExitCode.UNJUDGED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """What was found of one stream: a verdict, or None where no policy is for it."""

    origin: str
    verdict: Verdict | None
    trusted: Policy | None
    table: TimesTable

    @property
    def status(self) -> str:
        return self.verdict.outcome if self.verdict else "REFUSED"

    @property
    def why(self) -> str:
        return f"no policy is for the stream {self.origin}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """What was asked for: the options of `verify`.

    `demands` says how much must be attested, and how lately. `policies` are one for each stream.
    `verifies` verifies the signatures of time-stamping authorities, None where nothing at hand does.
    """

    demands: Demands
    policies: Sequence[Path] = ()
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
        with opened as source:
            if source.streams:
                found = [
                    self._found(origin, part, trusted.get(origin), stage, needed=bool(trusted))
                    for origin, part in source.streams.items()
                ]
            else:
                found = [self._found("", source, _policy_for(source, trusted), stage)]
            remarks = [f"note: {one.text}" for one in source.remarks]
            several = bool(source.streams)
        code = _CODES.get(weakest([one.status for one in found]), ExitCode.OK)
        if self.as_json:
            return self._json(found, several, [asdict(one) for one in source.remarks]), code
        return self._text(found, several, remarks), code

    def _found(
        self,
        origin: str,
        source: EvidenceSource,
        trusted: Policy | None,
        stage: Stage,
        *,
        needed: bool = False,
    ) -> _Finding:
        """Verify one stream; without a policy for it, where policies were given, it is not judged."""
        table = TimesTable(self.unit)
        if needed and trusted is None:
            return _Finding(origin=origin, verdict=None, trusted=None, table=table)
        with stage("records verified", source.total) as progress:
            found = source.verify(
                policy=trusted, verifies=self.verifies, workers=self.workers, progress=progress
            )
        verdict = self.demands.applied(found, trusted)
        if self.times and verdict.status != "BROKEN":
            roots = trusted.tsa_roots if trusted else ()
            stamps = verified_stamps(source.statements, roots, self.verifies) if self.verifies else []
            table.read(source.records(), source.statements, trusted, stamps)
        return _Finding(origin=verdict.origin, verdict=verdict, trusted=trusted, table=table)

    def _refused(self, error: EvidenceError) -> Iterator[str]:
        if self.as_json:
            found = refusal(error.what)
            yield json.dumps(found, ensure_ascii=False, indent=2)
        else:
            yield f"REFUSED, nothing was judged: {error}"

    def _trusted(self) -> dict[str, Policy]:
        if self.policies:
            texts = [read_bytes(file, "policy") for file in self.policies]
            return read_policies(
                texts, customer=_customer(self.customer), revocations=_texts(self.revocations)
            )
        if self.customer or self.revocations:
            raise ConfigurationError(
                "--customer and --revocation need a policy", hint="give --policy as well"
            )
        return {}

    def _json(
        self, found: Sequence[_Finding], several: bool, remarks: Sequence[Mapping[str, object]]
    ) -> Iterator[str]:
        members = [self._members(one) for one in found]
        if several:
            statuses = [one.status for one in found]
            whole = {"status": weakest(statuses), "text": sentence(statuses), "broken_at": None}
            yield json.dumps(whole | {"remarks": remarks, "streams": members}, ensure_ascii=False, indent=2)
        else:
            yield json.dumps(members[0], ensure_ascii=False, indent=2)

    def _members(self, found: _Finding) -> dict[str, object]:
        if found.verdict is None:
            return refusal(found.why, origin=found.origin)
        times = {"times": found.table.to_json()} if self.times else {}
        return self.demands.to_json(found.verdict) | times

    def _text(self, found: Sequence[_Finding], several: bool, remarks: Sequence[str]) -> Iterator[str]:
        if several:
            yield sentence([one.status for one in found])
        for remark in remarks:
            yield f"  {remark}"
        for one in found:
            if one.verdict is None:
                yield f"{one.origin}: REFUSED, nothing was judged: {one.why}"
            else:
                yield from self._lines(one.verdict, one.trusted, one.table)

    def _lines(self, verdict: Verdict, trusted: Policy | None, table: TimesTable) -> Iterator[str]:
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
    return read_trust(
        read_bytes(file, "policy"), customer=_customer(customer), revocations=_texts(revocations)
    )


def _customer(vkey: str | None) -> Vkey | None:
    return Vkey.parse(vkey) if vkey else None


def _texts(revocations: Sequence[Path]) -> list[str]:
    return [read_bytes(path, "revocation").decode("utf-8", "replace") for path in revocations]


def _policy_for(source: EvidenceSource, trusted: Mapping[str, Policy]) -> Policy | None:
    """Return the policy for evidence of one stream: of several, the one for the stream that it names."""
    if len(trusted) < 2:  # noqa: PLR2004 (one is for whatever it is)
        return next(iter(trusted.values()), None)
    origin = stated_stream(source.records())
    if origin not in trusted:
        raise BadPolicy(f"no policy is for the stream {origin}", hint="give the one for this stream")
    return trusted[origin]


def read_bytes(path: Path, what: str) -> bytes:
    """Return the bytes of a file that the command line names; ConfigurationError says which it is."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the {what} {path} cannot be read: {error.strerror}") from None
