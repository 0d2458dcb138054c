"""Evidence that can be verified: its records, what was signed about them, and the verifier that fits it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Protocol, TypedDict, Unpack

from linewitness.base.errors import EvidenceError
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.progress import Progress
from linewitness.evidence.timestamps.algorithms import Verifies
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.stream import verify
from linewitness.evidence.verify.verdict import Remark, Verdict


class VerifierOptions(TypedDict, total=False):
    """What a verifier is given besides the policy; each may be left out.

    Without `verifies`, which verifies the signatures of time-stamping authorities, their tokens are not
    checked; `workers` is the number of processes, 1 if left out; `progress` is told the number of records
    checked.
    """

    verifies: Verifies | None
    workers: int
    progress: Progress | None


class Verifier(Protocol):
    """The verifier of one piece of evidence."""

    def __call__(self, *, policy: Policy | None, **options: Unpack[VerifierOptions]) -> Verdict:
        """Return the verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSource:
    """Records, as often as asked for, what was signed about them, and how both are verified.

    `total` is the number of records, where it is known before they are read. Evidence of several streams has
    them in `streams`, by their names, each with a verdict of its own, and `remarks` on all of them together.
    """

    records: Callable[[], Iterator[bytes]]
    statements: Sequence[Statement]
    verify: Verifier
    total: int | None = None
    streams: Mapping[str, "EvidenceSource"] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()

    def then(self, further: Callable[[Verdict], Verdict]) -> "EvidenceSource":
        """Return the same evidence, with a verdict that `further` has looked at."""

        def judge(*, policy: Policy | None, **options: Unpack[VerifierOptions]) -> Verdict:
            return further(self.verify(policy=policy, **options))

        return replace(self, verify=judge)


def source_of_several(
    streams: Mapping[str, EvidenceSource], remarks: tuple[Remark, ...] = ()
) -> EvidenceSource:
    """Return the evidence of several streams: records in the order of the streams, and no verdict of all."""

    def refuse(*, policy: Policy | None, **_: Unpack[VerifierOptions]) -> Verdict:  # noqa: ARG001 (as others)
        raise EvidenceError(f"{len(streams)} streams have no verdict in common", hint="verify each of them")

    return EvidenceSource(
        records=lambda: chain.from_iterable(each.records() for each in streams.values()),
        statements=(),
        verify=refuse,
        streams=streams,
        remarks=remarks,
    )


def stream_source(
    records: Callable[[], Iterator[bytes]], statements: Sequence[Statement], *, total: int | None = None
) -> EvidenceSource:
    """Return evidence that is a whole stream, from record 0 on."""

    def judge(*, policy: Policy | None, **options: Unpack[VerifierOptions]) -> Verdict:
        return verify(records(), policy=policy, statements=statements, **options)

    return EvidenceSource(records=records, statements=statements, verify=judge, total=total)
