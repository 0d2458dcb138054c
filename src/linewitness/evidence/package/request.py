"""Make the evidence package that was asked for: all of a stream, or a choice with a proof for each record."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Final

from linewitness.evidence.format import merkle
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.merkle import Subtree
from linewitness.evidence.format.note import Note
from linewitness.evidence.format.proof import TlogProof
from linewitness.evidence.history.trace import ComponentTrace
from linewitness.evidence.package.archive import HELD
from linewitness.evidence.package.build import (
    CannotPack,
    PackageLabel,
    SelectionParts,
    merged,
    note_for,
    pack_selection,
    pack_stream,
)
from linewitness.evidence.package.first_receipts import ReceiptFiles, first_receipts
from linewitness.evidence.package.query import Holdings, RecordQuery
from linewitness.evidence.package.raws import Find, RawChoice
from linewitness.evidence.package.spool import RecordSpool
from linewitness.evidence.package.time_stamps import StampedCheckpoint, StampFiles, useful_stamps
from linewitness.evidence.policy.policy import Policy
from linewitness.evidence.progress import Progress, Stage, silent
from linewitness.evidence.timestamps.algorithms import Verifies
from linewitness.evidence.verify.selection.selection import verify_selection
from linewitness.evidence.verify.statements import Statement
from linewitness.evidence.verify.stream import verify
from linewitness.evidence.verify.verdict import Verdict

_EVERY: Final = 256
_SUBTREES: Final = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageRequest:
    """What is packed from where: `policy` and `verifies` only let the report say what a verifier finds.

    `created_at` is a time as records have it; `held` a receipt that the store made for this package. `raws`
    returns the device's own bytes of a parsed record where they are known; without it, there are none.
    `traced` is told which units had the components that are asked for.
    """

    holdings: Holdings
    query: RecordQuery
    created_at: str
    policy: Policy | None = None
    verifies: Verifies | None = None
    workers: int = 1
    raws: Find | None = None
    held: str | None = None
    traced: Callable[[ComponentTrace], object] | None = None

    def write(self, target: IO[bytes], *, stage: Stage = silent) -> int:
        """Write the package and return the number of its records; CannotPack says what is missing.

        `stage` is opened for each kind of work with its name and, where that is known, how much it will be.
        """
        if self.query.is_all:
            return self._whole(target, stage)
        with RecordSpool() as spool:
            total = self.holdings.size if self.query.searches else None
            with stage("records looked at", total) as progress:
                trace = self.query.collect(self.holdings, spool, progress=progress)
            if self.traced:
                self.traced(trace)
            if not spool:
                raise CannotPack(
                    "there are no such records",
                    hint="check the unit, batch, component or times asked for",
                )
            return self.pack(target, spool, stage)

    @property
    def _title(self) -> str:
        return f"{self.query.title} of {self.holdings.origin}"

    @property
    def _raws(self) -> RawChoice | None:
        return RawChoice(find=self.raws, of_units=self.query.is_of_units) if self.raws else None

    @property
    def _held(self) -> list[Statement]:
        return [Statement(HELD, self.held)] if self.held else []

    def pack(self, target: IO[bytes], spool: RecordSpool, stage: Stage) -> int:
        """Write the package of records that were collected, and return their number."""
        parts = self.parts_of(spool, stage)
        places = {*spool.numbers, *(at for at, _ in parts["key_records"])}
        with stage("proofs packed", len(places)) as progress:
            return pack_selection(target, raws=self._raws, **parts | {"progress": progress})

    def parts_of(self, spool: RecordSpool, stage: Stage) -> SelectionParts:
        """Return what a package of these records is made of, verified where there is a policy."""
        last = spool.numbers[-1]
        notes = list(self.holdings.notes())
        note = note_for(notes, last)
        # Neighbours share nearly all of their proofs.
        subtree = lru_cache(_SUBTREES)(self.holdings.subtree)
        _require_attested(note, subtree)
        keys = [(at, data) for at, data in self.holdings.key_records() if at <= last]
        stamps = list(self.holdings.stamps())
        size = Checkpoint.parse(Note.parse(note).text).size
        known = [(at, str(each)) for at, each in sorted(merged(notes).items()) if at <= self.holdings.size]
        firsts = first_receipts(known, spool.numbers, size=size)
        verdict = None
        if self.policy:
            useful = useful_stamps(stamps, last)
            with stage("records verified", len(spool)) as progress:
                verdict = verify_selection(
                    (data for _, data in spool),
                    (data for _, data in keys),
                    lambda at: str(TlogProof.make(at, note, subtree)),
                    policy=self.policy,
                    statements=[
                        *self._held,
                        *ReceiptFiles(firsts, size=size, subtree=subtree).statements,
                        *StampFiles(useful, size=size, subtree=subtree).statements,
                    ],
                    verifies=self.verifies,
                    workers=self.workers,
                    progress=progress,
                )
        return SelectionParts(
            origin=self.holdings.origin,
            selected=spool,
            key_records=keys,
            receipt=note,
            subtree=subtree,
            receipts=firsts,
            stamps=stamps,
            held=self.held,
            label=PackageLabel(
                title=self._title, created_at=self.created_at, verdict=verdict, asked=self.query.asked
            ),
        )

    def _whole(self, target: IO[bytes], stage: Stage) -> int:
        if self.holdings.first:
            raise CannotPack(
                f"records before {self.holdings.first} were pruned, so the whole stream is not here",
                hint="choose units or times that are still here, or export from the audit store",
            )
        # A gateway may be writing: what was attested meanwhile is about records that are not taken.
        size = self.holdings.size
        notes = [(at, note) for at, note in sorted(merged(self.holdings.notes()).items()) if at <= size]
        stamps = [one for one in self.holdings.stamps() if one.size <= size]
        verdict = None
        if self.policy:
            with stage("records verified", size) as progress:
                verdict = self._verdict(self.policy, notes, stamps, progress)
        # They are read once for the report, once for the package, and once for the devices' bytes.
        with stage("records packed", (3 if self._raws else 2) * size) as progress:
            counted = _ReadingCounter(progress)
            return pack_stream(
                target,
                origin=self.holdings.origin,
                records=lambda: counted.through(data for _, data in self.holdings.records()),
                receipts=[(at, str(note)) for at, note in notes],
                stamps=stamps,
                raws=self._raws,
                held=self.held,
                label=PackageLabel(title=self._title, created_at=self.created_at, verdict=verdict),
            )

    def _verdict(
        self,
        policy: Policy,
        notes: Iterable[tuple[int, Note]],
        stamps: Sequence[StampedCheckpoint],
        progress: Progress,
    ) -> Verdict:
        statements = [Statement(_named(note), str(note)) for _, note in notes]
        return verify(
            (data for _, data in self.holdings.records()),
            policy=policy,
            statements=[*statements, *self._held, *StampFiles(stamps).statements],
            verifies=self.verifies,
            workers=self.workers,
            progress=progress,
        )


def _require_attested(note: str, subtree: Subtree) -> None:
    """Refuse to make proofs from a tree that is not the one of the note: none of them would hold."""
    checkpoint = Checkpoint.parse(Note.parse(note).text)
    if merkle.root_at(checkpoint.size, subtree) != checkpoint.root:
        raise CannotPack(
            f"some of the first {checkpoint.size} records here are not those that were attested",
            hint="`linewitness verify` with a policy says which; the audit store holds the real ones",
        )


def _named(note: Note) -> str:
    return f"receipt over {Checkpoint.parse(note.text).size} records"


class _ReadingCounter:
    """Count records over several readings."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._count = 0

    def through(self, records: Iterable[bytes]) -> Iterator[bytes]:
        for data in records:
            self._count += 1
            if self._count % _EVERY == 0:
                self._progress(self._count)
            yield data
