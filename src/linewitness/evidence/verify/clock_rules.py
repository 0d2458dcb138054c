"""What a stream's own clock stamps must satisfy from record to record (docs/format.md, 12, step 8)."""

from itertools import pairwise
from typing import Any, Final, NamedTuple

from linewitness.evidence.format.columns import RecordColumns
from linewitness.evidence.format.kinds import TENANT
from linewitness.evidence.format.reading import ReadRecord
from linewitness.evidence.format.times import unix_us
from linewitness.evidence.verify.chain import Broken
from linewitness.evidence.verify.verdict import Remark

STEPPED: Final = "clock.stepped"
#: The first records that a starting gateway writes; while it was not running it saw no clock.
STARTING: Final = frozenset(("stream.created", "key.rotated", "gateway.started", "stream.continuity"))
#: The gateway records steps of 50 ms; a verifier sees only some of the stamps, so it leaves a margin.
STEP_US: Final = 1_000_000
#: Linux slews both clocks alike, so that slewing shows in neither; this much is allowed all the same.
DRIFT_PER_US: Final = 0.001
#: A heartbeat is due every minute in which nothing else happens.
SILENCE_US: Final = 180_000_000

_US_PER_S: Final = 1_000_000
#: Kinds before which a clock may do what it may not elsewhere.
_TELLING: Final = STARTING | {STEPPED}


class ClockHead(NamedTuple):
    """The clock stamp of the last record."""

    kind: str
    boot_id: str
    boottime_us: int
    step: int
    ingested_us: int


def stamp_of(record: dict[str, Any]) -> ClockHead:
    """Return the stamp of a parsed record; ValueError if its time is no date of the calendar."""
    clock = record["clock"]
    ingested_us = unix_us(record["ingested_at"])
    return ClockHead(record["kind"], clock["boot_id"], clock["boottime_us"], clock["step"], ingested_us)


class ClockRules:
    """Follow the stamps; raise `Broken` for what no honest gateway writes, collect remarks for the rest."""

    def __init__(self, head: ClockHead | None = None) -> None:
        """Begin before record 0, or after the record whose stamp is given."""
        self.head = head
        self.remarks: list[Remark] = []

    def follow(self, record: ReadRecord) -> None:
        """Check a record's stamp against the one before."""
        fields = record.fields
        index = fields.sequence_no
        try:
            ingested_us = record.ingested_us
        except ValueError:
            raise Broken(index, f"{fields.ingested_at} is no date of the calendar") from None
        now = ClockHead(fields.kind, fields.boot_id, fields.boottime_us, fields.step, ingested_us)
        last, self.head = self.head, now
        if last is None:
            return
        if now.boot_id != last.boot_id:
            self._rebooted(index, last, now)
        else:
            self._same_boot(index, last, now)

    def follow_together(self, records: RecordColumns) -> bool:
        """Check the stamps of consecutive records, of which nothing is to be said.

        False where one of them asks for a look of its own; then none was followed.
        """
        last = self.head
        if last is None or not _TELLING.isdisjoint(records.kinds):
            return False
        if set(records.boots) != {last.boot_id} or set(records.steps) != {last.step}:
            return False
        elapsed = [now - before for before, now in pairwise((last.boottime_us, *records.uptimes_us))]
        if min(elapsed) < 0 or max(elapsed) > SILENCE_US:
            return False
        times = pairwise((last.ingested_us, *records.ingested_us))
        moved = [now - before - passed for (before, now), passed in zip(times, elapsed, strict=True)]
        if max(moved) > STEP_US or min(moved) < -STEP_US:
            return False
        self.head = ClockHead(
            records.kinds[-1],
            last.boot_id,
            records.uptimes_us[-1],
            last.step,
            records.ingested_us[-1],
        )
        return True

    def _rebooted(self, index: int, last: ClockHead, now: ClockHead) -> None:
        if now.kind not in STARTING:
            self._remark(index, "the boot changes without gateway.started")
        if now.ingested_us < last.ingested_us:
            behind = (last.ingested_us - now.ingested_us) / _US_PER_S
            self._remark(index, f"after a reboot the clock is {behind:.3f} s behind the record before")

    def _same_boot(self, index: int, last: ClockHead, now: ClockHead) -> None:
        elapsed = now.boottime_us - last.boottime_us
        if elapsed < 0:
            raise Broken(index, f"boottime_us falls by {-elapsed} within one boot")
        moved = now.ingested_us - last.ingested_us - elapsed
        jumped = abs(moved) > STEP_US + DRIFT_PER_US * elapsed
        if now.kind == STEPPED:
            self._remark(index, f"the clock was set by {moved / _US_PER_S:+.3f} s, on record")
        elif now.kind in STARTING:
            if jumped:
                self._remark(
                    index, f"the clock moved by {moved / _US_PER_S:+.3f} s while nothing was recorded"
                )
        elif now.step != last.step:
            raise Broken(
                index, f"the count of clock steps goes from {last.step} to {now.step} without {STEPPED}"
            )
        elif jumped:
            raise Broken(index, f"the clock moved by {moved / _US_PER_S:+.3f} s without {STEPPED}")
        if elapsed > SILENCE_US and is_silence(last.kind, now.kind):
            self._remark(index, f"nothing was recorded for {elapsed // _US_PER_S} s, not even a heartbeat")

    def _remark(self, index: int, text: str) -> None:
        self.remarks.append(Remark(index, text))


def is_silence(before: str, kind: str) -> bool:
    """Return whether a long time between two records should not be: a store has nothing to say for days."""
    return kind not in STARTING and kind not in TENANT and before not in TENANT
