"""A journal, as evidence packages are made from it."""

from collections.abc import Iterator
from typing import Any

from linewitness.evidence.format.raw import RAW_HMAC, RAW_PLAIN, RawTelegram
from linewitness.evidence.package.time_stamps import StampedCheckpoint
from linewitness.journal.attestations import TIME_STAMP, is_time_stamp
from linewitness.journal.reader import JournalReader


class JournalHoldings:
    """What a journal holds of its stream; of pruned records only record 0 and the rotations are here."""

    def __init__(self, reader: JournalReader) -> None:
        """Take an open reader."""
        self._reader = reader
        self.origin = reader.identity.stream
        self.size = reader.size()
        self.first = reader.pruned
        self.subtree = reader.tree().subtree

    def records(self) -> Iterator[tuple[int, bytes]]:
        """Yield the records that are here."""
        return self._reader.records(0, self.size)

    def between(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Yield the records [first, last) that are here."""
        return self._reader.records(first, last)

    def of_unit(self, unit: str) -> Iterator[tuple[int, bytes]]:
        """Yield the records of one unit."""
        return self._reader.of_unit(unit)

    def key_records(self) -> Iterator[tuple[int, bytes]]:
        """Yield record 0 and the rotations."""
        return self._reader.key_records()

    def notes(self) -> Iterator[str]:
        """Yield receipts, and what witnesses and places hold."""
        yield from (note for _, note in self._reader.receipts())
        yield from (one.note for one in self._reader.attestations())

    def raw(self, members: dict[str, Any]) -> RawTelegram | None:
        """Return the device's own bytes of a parsed record, where they were not pruned."""
        number, context = members["sequence_no"], members["context"]
        if RAW_HMAC in context:
            found = self._reader.raw_of(number)
            return RawTelegram(number, found[1], found[0]) if found else None
        data = self._reader.raw(context.get(RAW_PLAIN, ""))
        return None if data is None else RawTelegram(number, data, None)

    def stamps(self) -> Iterator[StampedCheckpoint]:
        """Yield the tokens of time-stamping authorities, oldest first."""
        for one in self._reader.attestations():
            if one.proof and is_time_stamp(one.source):
                yield StampedCheckpoint(one.size, one.source.removeprefix(TIME_STAMP), one.note, one.proof)
