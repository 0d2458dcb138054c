"""Time stamps on their way into a package: which of them, and under which names."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from linewitness.evidence.format.merkle import Subtree, consistency_proof
from linewitness.evidence.format.proof import format_consistency
from linewitness.evidence.package.archive import CONSISTENCY, STAMP, STAMPED
from linewitness.evidence.verify.statements import Statement, Token

_NOT_OF_A_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_PLACE: Final = 60


@dataclass(frozen=True, slots=True)
class StampedCheckpoint:
    """A checkpoint of `size` records, a time-stamp token over its exact bytes, and who was asked for it."""

    size: int
    place: str
    note: str
    token: bytes


def useful_stamps(stamps: Iterable[StampedCheckpoint], last: int) -> list[StampedCheckpoint]:
    """Return of each place the oldest stamp that covers record `last`, or else the newest.

    That one gives the narrowest time of all records up to `last`.
    """
    useful: dict[str, StampedCheckpoint] = {}
    for stamp in stamps:
        known = useful.get(stamp.place)
        if known is None or known.size <= last:
            useful[stamp.place] = stamp
    return list(useful.values())


class StampFiles:
    """The files of time stamps: each lies beside the checkpoint that it is over.

    With `size`, that of the checkpoint of a selection's proofs, and `subtree` there is a consistency proof
    as well, where the two are not of one size.
    """

    def __init__(
        self, stamps: Sequence[StampedCheckpoint], *, size: int | None = None, subtree: Subtree | None = None
    ) -> None:
        """Name the files by size and place."""
        self.texts: list[tuple[str, str]] = []
        self.tokens: list[tuple[str, bytes]] = []
        self.statements: list[Statement] = []
        taken: set[str] = set()
        for stamp in stamps:
            name = _new_name(
                f"anchors/{stamp.size}-{_NOT_OF_A_NAME.sub('-', stamp.place)[:_MAX_PLACE]}", taken
            )
            taken.add(name)
            consistency = None
            if size is not None and subtree is not None and stamp.size != size:
                old, new = sorted((stamp.size, size))
                consistency = format_consistency(consistency_proof(old, new, subtree))
                self.texts.append((name + CONSISTENCY, consistency))
            self.texts.append((name + STAMPED, stamp.note))
            self.tokens.append((name + STAMP, stamp.token))
            token = Token(name + STAMP, stamp.token)
            self.statements.append(Statement(name + STAMPED, stamp.note, token, consistency))


def _new_name(name: str, taken: set[str]) -> str:
    count, found = 1, name
    while found in taken:
        count += 1
        found = f"{name}-{count}"
    return found
