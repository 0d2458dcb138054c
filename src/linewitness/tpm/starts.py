"""Have each start of the gateway counted by the TPM, and say how many others it counted in between."""

from base64 import b64encode
from dataclasses import dataclass
from typing import Final, Protocol

import orjson
import structlog

from linewitness.evidence.format.record import Change
from linewitness.tpm.counter import StartCounter, TpmFailed

log = structlog.get_logger()

#: The journal's state under which the last counted start is kept; it is the line's, over all generations.
LAST: Final = "tpm/last"
_RESTORED: Final = (
    "the journal was restored from a copy, or a start ended before its record was durable: compare the "
    "devices' own memories and the audit store with what is on record"
)


class TpmStatusSink(Protocol):
    """Where it is shown that the TPM does not count, or has counted more than is on record."""

    def tpm(self, what: str, hint: str) -> None:
        """Record what is wrong."""


@dataclass(frozen=True, slots=True)
class StartFacts:
    """What the record of a start says of the TPM, and the journal's state to keep with it, if it changes."""

    changes: tuple[Change, ...]
    last: str | None = None


class CountedStarts:
    """The starts of one line, counted by a TPM."""

    def __init__(self, counter: StartCounter, health: TpmStatusSink) -> None:
        """Take the TPM's counter, and where failures are shown."""
        self._counter = counter
        self._health = health
        #: How many starts the TPM counted between the last one on record and this one; None: not known.
        self.others: int | None = None

    async def count(self, stream: str, prev_hash: str, last: str | None) -> StartFacts:
        """Count a start at a place of a stream; `last` is what was kept at the one before.

        A TPM that fails stops nothing: the record says so.
        """
        try:
            quote = await self._counter.count(stream, prev_hash)
        except TpmFailed as error:
            log.error("the TPM has not counted this start", why=error.what, hint=error.hint)  # noqa: TRY400
            self._health.tpm(f"the TPM has not counted this start: {error.what}", error.hint)
            return StartFacts((Change("tpm_error", None, error.what),))
        counter = b64encode(quote.key + quote.index).decode()
        before = orjson.loads(last) if last else {}
        if before.get("counter") == counter:
            self.others = quote.number - before["number"] - 1
        if self.others:
            log.error("the TPM has counted starts that are not on record", starts=self.others, hint=_RESTORED)
            starts = f"{self.others} start{'s' if self.others > 1 else ''}"
            self._health.tpm(f"the TPM has counted {starts} of which nothing is on record", _RESTORED)
        kept = orjson.dumps({"counter": counter, "number": quote.number}).decode()
        return StartFacts(quote.changes, kept)
