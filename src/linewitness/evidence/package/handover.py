"""Pack the end of a stream for the store that has not seen it: the records after its last receipt."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Final

from linewitness.evidence.format import merkle
from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.ended import StreamEnd
from linewitness.evidence.format.merkle import Subtree
from linewitness.evidence.format.note import Note
from linewitness.evidence.format.proof import TlogProof, format_consistency
from linewitness.evidence.package.build import CannotPack
from linewitness.evidence.package.write import PackageContents, write_package

TITLE: Final = "The end of an ended stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverRequest:
    """An ended stream and what is known of it.

    `receipt` is the newest that fits the stream, the empty text where there is none; `records` are those from
    its size on, `key_records` record 0 and every `key.rotated`; `subtree` reads the tree. `signed_end` is the
    note of `end` that the log key signed, or None; `contradiction` the store's receipt of another history.
    """

    end: StreamEnd
    signed_end: str | None
    receipt: str
    records: Iterable[tuple[int, bytes]]
    key_records: Sequence[tuple[int, bytes]]
    subtree: Subtree
    contradiction: str | None
    created_at: str

    def write(self, target: IO[bytes]) -> int:
        """Write the package and return the number of its records; CannotPack if the receipt does not fit."""
        receipt = Checkpoint.parse(Note.parse(self.receipt).text) if self.receipt else None
        first = receipt.size if receipt else 0
        if receipt and merkle.root_at(first, self.subtree) != receipt.root:
            raise CannotPack(
                f"some of the first {first} records here are not those of the store's receipt",
                hint="`linewitness verify` with a policy says which",
            )
        keys = [(at, data) for at, data in self.key_records if at < first]
        proofs = ((at, str(TlogProof.make(at, self.receipt, self.subtree))) for at, _ in keys)
        notes = [] if self.contradiction is None else [self.contradiction]
        return write_package(
            target,
            PackageContents(
                origin=self.end.origin,
                created_at=self.created_at,
                note=TITLE,
                records=(data for _, data in self.records),
                key_records=[data for _, data in keys],
                proofs=proofs,
                statements=[(f"receipts/{_size_of(note)}.receipt", note) for note in notes],
                ended=self.signed_end or self.end.text,
                edge=format_consistency(list(self._edge(first))),
            ),
        )

    def _edge(self, size: int) -> Iterator[bytes]:
        """Yield the complete subtrees of the first `size` records, the largest first."""
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                yield self.subtree(level, (size >> level) - 1)


def _size_of(note: str) -> int:
    return Checkpoint.parse(Note.parse(note).text).size
