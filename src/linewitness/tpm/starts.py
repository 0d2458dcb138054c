"""Have each start of the gateway counted by the TPM, and say how many others it counted in between."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import orjson
import structlog

from linewitness.evidence.format.record import Change
from linewitness.evidence.tpm.quote import StartQuote
from linewitness.tpm.counter import StartCounter, TpmFailed

log = structlog.get_logger()

#: The journal's state under which the last counted start is kept; it is the line's, over all generations.
LAST: Final = "tpm/last"
#: Under this one, how many starts are not on record, until the store has heard of it.
MISSING: Final = "tpm/missing"
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
    """What the record of a start says of the TPM, and the journal's state to keep with it."""

    changes: tuple[Change, ...]
    state: Mapping[str, str | None]


class CountedStarts:
    """The starts of one line, counted by a TPM."""

    def __init__(self, counter: StartCounter, health: TpmStatusSink) -> None:
        """Take the TPM's counter, and where failures are shown."""
        self._counter = counter
        self._health = health
        self._failed: TpmFailed | None = None
        #: How many starts the TPM counted that are not on record, since the store has last heard of them;
        #: None: not known.
        self.others: int | None = None

    async def count(self) -> None:
        """Count a start, before its place in the stream is known. A TPM that fails stops nothing."""
        try:
            await self._counter.count()
        except TpmFailed as error:
            self._failed = error

    async def facts(self, stream: str, prev_hash: str, state: Mapping[str, str | None]) -> StartFacts:
        """Return what the record of the counted start says; `state` is what the start before has kept."""
        try:
            if self._failed:
                raise self._failed
            quote = await self._counter.quote(stream, prev_hash)
        except TpmFailed as error:
            log.error("the TPM has not counted this start", why=error.what, hint=error.hint)  # noqa: TRY400
            self._health.tpm(f"the TPM has not counted this start: {error.what}", error.hint)
            last = state.get(LAST)
            kept = {LAST: orjson.dumps(orjson.loads(last) | {"uncounted": True}).decode()} if last else {}
            return StartFacts((Change("tpm_error", None, error.what),), kept)
        return StartFacts(quote.changes, self._compared(quote, state))

    def _compared(self, quote: StartQuote, state: Mapping[str, str | None]) -> dict[str, str | None]:
        counter = b64encode(quote.key + quote.index).decode()
        last = state.get(LAST)
        before = orjson.loads(last) if last else {}
        missing = int(state.get(MISSING) or 0)
        if before.get("counter") == counter and quote.number > before["number"]:
            missing += quote.number - before["number"] - 1
            # A start that the TPM did not count can have been one on a copy, too.
            self.others = None if not missing and before.get("uncounted") else missing
        if missing:
            starts = f"{missing} start{'s' if missing > 1 else ''}"
            log.error("the TPM has counted starts that are not on record", starts=missing, hint=_RESTORED)
            self._health.tpm(f"the TPM has counted {starts} of which nothing is on record", _RESTORED)
        kept = orjson.dumps({"counter": counter, "number": quote.number}).decode()
        return {LAST: kept, MISSING: str(missing) if missing else None}
