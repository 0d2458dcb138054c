"""Tell the store how far the stream reaches while the records before that are still being sent."""

import asyncio
from typing import Final

from linewitness.gateway.broker_link import BrokerLink
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.gateway.sending.send_window import SendWindow
from linewitness.journal.journal import Journal
from linewitness.uplink.topics import Topics

#: A backlog's head is signed and sent at most this often.
HEAD_S: Final = 5.0
#: Fewer records that were not sent are no backlog: one or two batches take them along.
BACKLOG: Final = 256


class HeadAnnouncer:
    """The task that sends a signed checkpoint of the newest head while a backlog drains.

    It is not retained: what the broker retains stays the checkpoint of records that were sent.
    """

    def __init__(
        self,
        window: SendWindow,
        judge: ReceiptJudge,
        *,
        journal: Journal,
        signer: CheckpointSigner,
        topics: Topics,
    ) -> None:
        """Take what was sent, the stream, and who signs."""
        self._window = window
        self._judge = judge
        self._journal = journal
        self._signer = signer
        self._topics = topics

    async def run(self, link: BrokerLink) -> None:
        """Announce until cancelled; nothing of a stream that is contradicted."""
        while True:
            size = self._journal.head.size
            if size - self._window.reached > BACKLOG and self._judge.contradiction is None:
                # Crash here or after: what is signed is durable, and follows after the restart.
                note = await self._signer.at(size)
                self._window.announced()
                await link.publish(self._topics.checkpoint, note.encode())
            await asyncio.sleep(HEAD_S)
