"""Sign checkpoints of the stream, its size and Merkle root, and notices of single records."""

import asyncio
from typing import Final

from nacl.signing import SigningKey

from linewitness.evidence.format.checkpoint import Checkpoint
from linewitness.evidence.format.notice import RecordNotice
from linewitness.journal.journal import Journal
from linewitness.journal.submission import Submission

#: A checkpoint is written at least this often while something is new (docs/format.md, section 7).
PERIOD_S: Final = 60.0
#: A checkpoint is in the journal so many seconds after it was signed, at the latest.
STORED_S: Final = 1.0


class CheckpointSigner:
    """Sign with the log key: checkpoints, and notices of records that are in the journal; nothing else."""

    def __init__(self, journal: Journal, log_key: SigningKey) -> None:
        """Take the stream's journal and its log key."""
        self._journal = journal
        self._log_key = log_key
        self._newest = 0

    async def at(self, size: int) -> str:
        """Return the signed checkpoint over the first `size` records."""
        root = await self._journal.root(size)
        note = str(Checkpoint(self._journal.identity.stream, size, root).sign(self._log_key))
        if size > self._newest:
            self._newest = size
            # Stored for verification of the journal alone; nothing waits for it, so it costs no commit.
            self._journal.submit_all(Submission(checkpoint=(size, note)), within_s=STORED_S)
        return note

    def notice(self, data: bytes) -> str:
        """Return the signed notice of a record, given as its exact bytes."""
        return str(RecordNotice.of(data).sign(self._log_key))

    async def sign(self, size: int) -> None:
        """Sign the first `size` records, unless the stream is frozen: the log key signs no second history."""
        if not self._journal.frozen:
            await self.at(size)

    async def run(self) -> None:
        """Sign once a minute if the stream has grown, also where no uplink needs it."""
        while True:
            await self._journal.wait_beyond(self._newest)
            await self.sign(self._journal.head.size)
            await asyncio.sleep(PERIOD_S)
