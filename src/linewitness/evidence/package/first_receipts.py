"""The receipts of the time on their way into a selection: who had first seen each record, and when."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from linewitness.evidence.format.merkle import Subtree, consistency_proof
from linewitness.evidence.format.proof import format_consistency
from linewitness.evidence.package.archive import CONSISTENCY, RECEIPT
from linewitness.evidence.verify.statements import Statement

#: A package carries so many receipts, and so many time stamps.
MAX_RECEIPTS: Final = 1000


class ReceiptFiles:
    """The files of receipts, each with the proof that it is of the history of the proofs' checkpoint."""

    def __init__(self, receipts: Sequence[tuple[int, str]], *, size: int, subtree: Subtree) -> None:
        """Take receipts as (size, note), and the size of the proofs' checkpoint."""
        self.texts: list[tuple[str, str]] = []
        self.statements: list[Statement] = []
        for own, note in receipts:
            name = f"receipts/{own}"
            old, new = sorted((own, size))
            consistency = format_consistency(consistency_proof(old, new, subtree))
            self.texts += [(name + CONSISTENCY, consistency), (name + RECEIPT, note)]
            self.statements.append(Statement(name + RECEIPT, note, consistency=consistency))


def first_receipts(
    receipts: Sequence[tuple[int, str]], numbers: Iterable[int], *, size: int
) -> list[tuple[int, str]]:
    """Return of each record the first of the receipts that covers it, but the one of `size` itself.

    `receipts` are (size, note) and rise by size. Of too many some of all times are returned.
    """
    sizes = [own for own, _ in receipts]
    places = {bisect_right(sizes, number) for number in numbers}
    wanted = [receipts[place] for place in sorted(places) if place < len(sizes) and sizes[place] != size]
    return spread(wanted, MAX_RECEIPTS)


def spread(receipts: Sequence[tuple[int, str]], most: int) -> list[tuple[int, str]]:
    """Return at most so many receipts, the newest among them and the others evenly from all of them.

    The newest covers everything; each older one says until when, at the latest, its records were written.
    """
    if len(receipts) <= most:
        return list(receipts)
    return [receipts[(number * len(receipts)) // most - 1] for number in range(1, most + 1)]
