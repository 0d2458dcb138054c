"""Verify a whole stream from its exact bytes: docs/format.md, section 12, steps 1 to 10.

Records come from any iterator (`read_ndjson`, a journal, a package) and are seen once, so that memory
does not grow with their number.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from linewitness.base.errors import EvidenceError
from linewitness.evidence.format import canonical
from linewitness.evidence.format.merkle import EMPTY_ROOT, Frontier
from linewitness.evidence.format.note import Vkey
from linewitness.evidence.format.record import ZERO_HASH, parse
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.progress import Progress
from linewitness.evidence.tenant.custody import TenantRecords
from linewitness.evidence.timestamps.algorithms import Verifies
from linewitness.evidence.tpm.starts import StartCounts
from linewitness.evidence.verify.attestation_age import age_of
from linewitness.evidence.verify.capture_stretches import StretchFinder
from linewitness.evidence.verify.chain import Broken, ChainHead, broken_behind, unsigned_end
from linewitness.evidence.verify.chunk import ChainState, CheckedChunk
from linewitness.evidence.verify.contents import RecordSummary
from linewitness.evidence.verify.parallel import check_all
from linewitness.evidence.verify.plausible_times import PlausibleTimes, unlikely_times
from linewitness.evidence.verify.signed_records import SignedRecords
from linewitness.evidence.verify.statements import (
    Statement,
    TrustedStatement,
    check_roots,
    newest_stamps,
    quorum,
    sizes_of,
    trusted_statements,
)
from linewitness.evidence.verify.unique_ids import UniqueIds
from linewitness.evidence.verify.verdict import MAX_REMARKS, Remark, Status, Verdict

_BUFFER: Final = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStart:
    """Where a stream is taken up whose first records are gone: what is known of it and not checked here.

    `keys` are the event keys so far with the first record of each, `roots` those of smaller sizes.
    """

    state: ChainState
    record_0: str
    keys: tuple[tuple[int, Vkey], ...]
    tree: Frontier
    roots: Mapping[int, bytes]


def verify(
    records: Iterable[bytes],
    *,
    policy: Policy | None = None,
    statements: Sequence[Statement] = (),
    verifies: Verifies | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    beginning: StreamStart | None = None,
) -> Verdict:
    """Return the verdict on a stream, from record 0 or from a beginning on.

    `records` are exact bytes without line ends, from record 0 on; `statements` the checkpoints, receipts
    and anchors that lie beside them; `verifies` verifies the signatures of time-stamping authorities;
    `progress` is told the number of records checked. Without a policy the stream's own record 0 says which
    keys count, and nothing is ever called complete.
    """
    with UniqueIds() as ids:
        verification = _Verification(policy, statements, ids, verifies)
        if beginning:
            verification.begin(beginning)
        return verification.run(records, workers=workers, progress=progress)


def read_ndjson(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file without their line feeds.

    A line that is longer than any record may be is cut just beyond the limit, so that it fails as too
    long and does not fill the memory.
    """
    with path.open("rb", buffering=_BUFFER) as file:
        while line := file.readline(canonical.MAX_BYTES + 2):
            yield line.removesuffix(b"\n")


class _Verification:
    """One run over one stream: what is known so far."""

    def __init__(
        self,
        policy: Policy | None,
        statements: Sequence[Statement],
        ids: UniqueIds,
        verifies: Verifies | None,
    ) -> None:
        self._policy = policy
        self._statements = statements
        self._ids = ids
        self._verifies = verifies
        self._start: ChainState | None = None
        self._tree = Frontier()
        self._roots: dict[int, bytes] = {0: EMPTY_ROOT}
        self._wanted = sizes_of(statements)
        self._head: ChainHead | None = None
        self._record_0 = ZERO_HASH
        self._keys: list[tuple[int, Vkey]] = []
        self._publics: set[bytes] = set()
        self._remarks: list[Remark] = []
        self._broken: list[Broken] = []
        self._believed: list[TrustedStatement] = []
        self._unbelieved: list[Remark] = []
        self._times: PlausibleTimes | None = None
        self._signed = SignedRecords()
        self._contents = RecordSummary()
        self._stretches = StretchFinder(counts=StartCounts(verifies))
        self._tenant = TenantRecords()

    def begin(self, beginning: StreamStart) -> None:
        """Take a stream up where its first records end."""
        self._start, self._tree = beginning.state, beginning.tree
        self._roots.update(beginning.roots)
        self._record_0, self._head = beginning.record_0, beginning.state.head
        self._tenant.whole = False
        for first, vkey in beginning.keys:
            self._learn_key(first, vkey)

    def run(self, records: Iterable[bytes], *, workers: int, progress: Progress | None) -> Verdict:
        stream, source = self._stream(iter(records))
        for checked in check_all(stream, source, workers=workers, wanted=self._wanted, start=self._start):
            self._take(checked)
            if progress:
                progress(self._tree.size)
            if self._broken:
                break
        self._check_end()
        self._check_revocations()
        self._check_duplicates()
        return self._verdict(stream, self._check_statements())

    def _stream(self, source: Iterator[bytes]) -> tuple[str, Iterator[bytes]]:
        """Return the origin to expect, which without a policy is that of the first record."""
        if self._policy:
            return self._policy.origin, source
        first = next(source, None)
        if first is None:
            return "", iter(())
        try:
            stream: str = parse(first)["integrity"]["stream"]
        except EvidenceError:
            stream = ""  # the chain will say what is wrong with it
        return stream, chain([first], source)

    def _take(self, checked: CheckedChunk) -> None:
        self._ids.extend(checked.ids, self._tree.size)
        self._signed.extend(checked.signed, self._tree.size)
        for size, nodes in checked.trees:
            then = self._tree.copy()
            then.join(nodes)
            self._roots[size] = then.root()
        # Every chunk but the last is as wide as a complete subtree, so the trees fit together.
        self._tree.join(checked.tree)
        self._head = checked.end.head
        if times := self._weigh_statements():
            times.take(checked.claims)
        self._remarks.extend(checked.remarks[: MAX_REMARKS - len(self._remarks)])
        self._contents.add(checked.summary)
        self._stretches.follow(checked.signs)
        self._tenant.follow(sign.tenant for sign in checked.signs)
        if checked.broken:
            self._broken.append(checked.broken)
        if checked.record_0 is not None:
            self._pin(checked.record_0)
        for first, vkey in checked.keys:
            self._learn_key(first, Vkey.parse(vkey))

    def _pin(self, record_0: str) -> None:
        self._record_0 = record_0
        if self._policy is None or self._head is None:
            return
        if record_0 != self._policy.record_0:
            self._broken.append(
                Broken(0, f"it is not the record 0 that the policy names, {self._policy.record_0}")
            )
        elif self._head.log_key != str(self._policy.log_key):
            self._broken.append(Broken(0, "its log key is not the one that the policy names"))

    def _learn_key(self, first: int, vkey: Vkey) -> None:
        if vkey.public in self._publics:
            reason = f"it brings back the event key {vkey.key_id}, which was retired before"
            self._broken.append(Broken(first - 1, reason))
        self._publics.add(vkey.public)
        if self._policy and self._policy.revocations:
            self._keys.append((first, vkey))

    def _check_end(self) -> None:
        if self._broken:
            return
        if self._head is None:
            self._broken.append(Broken(0, "there are no records"))
        elif self._head.unsigned:
            self._broken.append(unsigned_end(self._head.size, self._head.unsigned))

    def _check_revocations(self) -> None:
        ends = [first for first, _ in self._keys[1:]] + [self._tree.size]
        for revocation in self._policy.revocations if self._policy else ():
            for (first, vkey), end in zip(self._keys, ends, strict=False):
                revoked = max(first, revocation.first)
                if vkey.public == revocation.key.public and revoked < end:
                    at = self._signed.run_start(revoked)
                    reason = (
                        f"{'signed' if at == revoked else 'vouched for'} by the event key {vkey.key_id},"
                        f" which is revoked from record {revocation.first} on ({revocation.reason})"
                    )
                    self._broken.append(Broken(at, reason))

    def _check_duplicates(self) -> None:
        if duplicate := self._ids.first_duplicate():
            later, earlier = duplicate
            waiting = 0 if self._signed.bears(later) else later - self._signed.run_start(later)
            self._broken.append(broken_behind(waiting, later, f"its event_id is that of record {earlier}"))

    def _weigh_statements(self) -> PlausibleTimes | None:
        """Return what compares their times with those of records, as soon as the log key is known."""
        log_key = self._policy.log_key if self._policy else None
        if log_key is None and self._head is not None:
            log_key = Vkey.parse(self._head.log_key)
        if self._times is None and log_key is not None:
            self._believed, self._unbelieved = trusted_statements(
                self._statements, log_key=log_key, policy=self._policy, verifies=self._verifies
            )
            self._times = PlausibleTimes(self._believed)
        return self._times

    def _check_statements(self) -> list[TrustedStatement]:
        """Return the statements that hold; those that contradict the records break the verdict."""
        self._weigh_statements()
        believed = self._believed
        self._remarks.extend(self._unbelieved[: MAX_REMARKS - len(self._remarks)])
        try:
            check_roots(believed, size=self._tree.size, roots=self._roots)
        except Broken as error:
            self._broken.append(error)
        return [one for one in believed if self._roots.get(one.checkpoint.size) == one.checkpoint.root]

    def _verdict(self, stream: str, held: list[TrustedStatement]) -> Verdict:
        broken = min(self._broken, key=lambda each: each.index) if self._broken else None
        size = min(self._tree.size, broken.index) if broken else self._tree.size
        held = [one for one in held if one.checkpoint.size <= size]
        attested, attestations = quorum(held, self._policy) if self._policy else (0, ())
        times = self._times
        unlikely = (
            [*times.remarks(), *unlikely_times(self._believed), *times.long_after(attested)] if times else []
        )
        age = age_of(
            held,
            attested=attested,
            quorum=self._policy.quorum if self._policy else 1,
            last_record_ms=times.last_ms if times else None,
        )
        own = self._tenant.end(self._contents.kinds)
        status: Status = "BROKEN" if broken else "COMPLETE" if attested == size else "INTACT"
        return Verdict(
            status=status,
            origin=stream,
            size=size,
            root=None if broken else self._tree.root().hex(),
            head_hash=self._head.last_hash if self._head and not broken else None,
            record_0=self._record_0,
            policy=self._policy.sha256 if self._policy else None,
            attested=attested,
            attestations=(*attestations, *newest_stamps(held)),
            broken_at=broken.index if broken else None,
            reason=broken.reason if broken else None,
            remarks=(*self._stretches.remarks, *own, *unlikely, *self._remarks)[:MAX_REMARKS],
            age=None if broken else age,
            contents=None if broken else self._contents,
            without_capture=() if broken else self._stretches.end(),
            without_capture_left_out=0 if broken else self._stretches.left_out,
            seen_late=() if broken or not times else times.seen_late.end(),
            seen_late_left_out=0 if broken or not times else times.seen_late.left_out,
        )
