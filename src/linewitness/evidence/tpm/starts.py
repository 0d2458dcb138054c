"""Follow the starts of a gateway by the counter of its TPM (docs/format.md, section 12.9)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from linewitness.evidence.timestamps.algorithms import Verifies
from linewitness.evidence.tpm.quote import BadQuote, StartQuote

#: So many remarks are kept.
_MOST: Final = 1000
#: What is true of a start of which no TPM says how many there were before.
NOT_EXCLUDED: Final = "a restored copy is not excluded"
_NO_OTHER: Final = "the TPM counted no other start"


class _CountedStart(NamedTuple):
    """The last start whose quote is good."""

    sequence_no: int
    number: int
    #: The TPM's key, and which of its counters.
    counter: tuple[bytes, bytes]


class StartCounts:
    """Say of each start of a gateway how many others its TPM has counted since the one before."""

    def __init__(self, verifies: Verifies | None = None, *, whole: bool = True) -> None:
        """Take what verifies ECDSA, and whether all records are there, or some of them."""
        #: What is remarkable, each with the record that it is about, if it is about one.
        self.remarks: list[tuple[int | None, str]] = []
        self._verifies = verifies
        self._whole = whole
        self._last: _CountedStart | None = None
        self._missing = self._unchecked = self._uncounted = False

    def take(
        self, sequence_no: int, changes: Sequence[Mapping[str, Any]], *, stream: str, prev_hash: str
    ) -> str:
        """Take the next `gateway.started`, and return what is to be said of the time before it."""
        try:
            quote = StartQuote.of(changes)
            if quote is None:
                self._without(sequence_no)
                return NOT_EXCLUDED
            if self._verifies is None:
                self._not_checked()
                return NOT_EXCLUDED
            elsewhere = quote.check(stream=stream, prev_hash=prev_hash, verifies=self._verifies)
        except BadQuote as error:
            self._say(sequence_no, f"its TPM quote does not count: {error}")
            self._uncounted = True
            return NOT_EXCLUDED
        if elsewhere:
            self._say(sequence_no, "its TPM quote is about another place")
        uncounted, self._uncounted = self._uncounted or elsewhere, False
        last, self._missing = self._last, False
        self._last = now = _CountedStart(sequence_no, quote.number, (quote.key, quote.index))
        counted = self._compared(last, now) if last else NOT_EXCLUDED
        return NOT_EXCLUDED if uncounted and counted == _NO_OTHER else counted

    def _compared(self, last: _CountedStart, now: _CountedStart) -> str:
        if now.counter != last.counter:
            other = "another TPM, or another counter of it, counts than at the start at record"
            self._say(now.sequence_no, f"{other} {last.sequence_no}")
            return NOT_EXCLUDED
        others = now.number - last.number - 1
        if others < 0:
            self._say(
                now.sequence_no,
                f"the TPM's counter stands at {now.number}, and stood at {last.number} at record"
                f" {last.sequence_no}",
            )
            return NOT_EXCLUDED
        if others == 0:
            return _NO_OTHER
        starts = f"{others} other start{'s' if others > 1 else ''}"
        if self._whole:
            self._say(
                now.sequence_no,
                f"the TPM counted {starts} after record {last.sequence_no}, and nothing is on record of that:"
                " this journal was restored from a copy, or a start ended before its record was durable",
            )
        return f"the TPM counted {starts}"

    def _without(self, sequence_no: int) -> None:
        """Say once that a TPM is no longer asked."""
        self._uncounted = True
        if self._last and not self._missing:
            self._missing = True
            self._say(
                sequence_no, f"it has no TPM quote, unlike the start at record {self._last.sequence_no}"
            )

    def _not_checked(self) -> None:
        if not self._unchecked:
            self._unchecked = True
            text = "TPM quotes were not checked: what verifies their signatures is not at hand"
            self.remarks.append((None, text))

    def _say(self, sequence_no: int, text: str) -> None:
        if len(self.remarks) < _MOST:
            self.remarks.append((sequence_no, text))
