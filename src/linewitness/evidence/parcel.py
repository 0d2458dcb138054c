"""Make the evidence package that was asked for: all of a stream, or a choice with a proof for each record."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Final

from linewitness.evidence import merkle
from linewitness.evidence.algorithms import Verifies
from linewitness.evidence.attest import Statement
from linewitness.evidence.checkpoint import Checkpoint
from linewitness.evidence.choice import Choice, Holdings
from linewitness.evidence.merkle import Subtree
from linewitness.evidence.note import Note
from linewitness.evidence.packing import CannotPack, Label, merged, note_for, pack_selection, pack_stream
from linewitness.evidence.policy import Policy
from linewitness.evidence.proof import TlogProof
from linewitness.evidence.selection import verify_selection
from linewitness.evidence.stamps import StampFiles, useful_stamps
from linewitness.evidence.verdict import Verdict
from linewitness.evidence.verify import verify

Progress = Callable[[int], None]
_EVERY: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What is packed from where: `policy` and `verifies` only let the report say what a verifier finds.

    `created_at` is a time as records have it.
    """

    holdings: Holdings
    choice: Choice
    created_at: str
    policy: Policy | None = None
    verifies: Verifies | None = None

    def write(self, target: IO[bytes], *, progress: Progress) -> int:
        """Write the package and return the number of its records; CannotPack says what is missing."""
        title = f"{self.choice.title} of {self.holdings.origin}"
        if self.choice.is_all:
            return self._whole(target, title, progress)
        chosen = self.choice.among(self.holdings)
        if not chosen:
            raise CannotPack(
                "there are no such records", hint="check the unit, the batch or the times asked for"
            )
        note = note_for(self.holdings.notes(), chosen[-1][0])
        _require_attested(note, self.holdings.subtree)
        keys = [(at, data) for at, data in self.holdings.key_records() if at <= chosen[-1][0]]
        done = 0

        def subtree_proof(at: int) -> str:
            return str(TlogProof.make(at, note, self.holdings.subtree))

        stamps = list(self.holdings.stamps())
        verdict = None
        if self.policy:
            size = Checkpoint.parse(Note.parse(note).text).size
            useful = useful_stamps(stamps, chosen[-1][0])
            verdict = verify_selection(
                (data for _, data in chosen),
                (data for _, data in keys),
                subtree_proof,
                policy=self.policy,
                statements=StampFiles(useful, size=size, subtree=self.holdings.subtree).statements,
                verifies=self.verifies,
            )
        done = pack_selection(
            target,
            origin=self.holdings.origin,
            selected=chosen,
            key_records=keys,
            receipt=note,
            subtree=self.holdings.subtree,
            stamps=stamps,
            label=Label(title=title, created_at=self.created_at, verdict=verdict),
        )
        progress(done)
        return done

    def _whole(self, target: IO[bytes], title: str, progress: Progress) -> int:
        if self.holdings.first:
            raise CannotPack(
                f"records before {self.holdings.first} were pruned, so the whole stream is not here",
                hint="choose units or times that are still here, or export from the audit store",
            )
        notes = sorted(merged(self.holdings.notes()).items())
        texts = [(size, str(note)) for size, note in notes]
        return pack_stream(
            target,
            origin=self.holdings.origin,
            records=lambda: _counted((data for _, data in self.holdings.records()), progress),
            receipts=texts,
            stamps=list(self.holdings.stamps()),
            label=Label(title=title, created_at=self.created_at, verdict=self._verdict(notes)),
        )

    def _verdict(self, notes: Iterable[tuple[int, Note]]) -> Verdict | None:
        if self.policy is None:
            return None
        statements = [Statement(_named(note), str(note)) for _, note in notes]
        stamps = StampFiles(list(self.holdings.stamps())).statements
        return verify(
            (data for _, data in self.holdings.records()),
            policy=self.policy,
            statements=[*statements, *stamps],
            verifies=self.verifies,
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


def _counted(records: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    for count, data in enumerate(records, 1):
        if count % _EVERY == 0:
            progress(count)
        yield data
