"""Send signed notices of alarms over the connection whose records are still behind."""

import asyncio
import functools
from typing import Final

import structlog

from linewitness.base.clock import monotonic
from linewitness.base.errors import UplinkRefused, UplinkUnavailable
from linewitness.gateway.ahead.alarms import AlarmWatch
from linewitness.gateway.broker_link import BrokerLink
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.gateway.sending.send_window import SendWindow
from linewitness.journal.journal import Journal
from linewitness.journal.reader import JournalReader
from linewitness.status.health import NoticeCounts
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.reasons import NO_MATCHING_SUBSCRIBERS
from linewitness.uplink.topics import Topics

log = structlog.get_logger()

#: At most ten notices a second.
PERIOD_S: Final = 0.1
#: A notice that no store received goes again after this long.
NO_STORE_S: Final = 1.0
#: What the next messages carry within this time needs no notice on a thin network.
SOON_S: Final = 2.0
#: A broker may end the connection at a message that it does not allow: after so many ends notices pause.
MOST_CUT: Final = 3
PAUSE_S: Final = 600.0


class NoticeSender:
    """The task that sends notices; records never wait for it."""

    def __init__(
        self,
        alarms: AlarmWatch,
        window: SendWindow,
        judge: ReceiptJudge,
        *,
        journal: Journal,
        signer: CheckpointSigner,
        topics: Topics,
        options: ForwardOptions,
        counts: NoticeCounts,
    ) -> None:
        """Take what waits for a notice, what was sent, and who signs."""
        self._alarms = alarms
        self._window = window
        self._judge = judge
        self._journal = journal
        self._signer = signer
        self._topics = topics
        self._options = options
        self._counts = counts
        self._cut = 0
        self._again_at = 0.0

    async def run(self, link: BrokerLink) -> None:
        """Send until cancelled, or until the broker refuses a notice: the next connection tries again.

        A refusal is not raised: records go on over the same connection.
        """
        while True:
            await asyncio.sleep(max(0.0, self._again_at - monotonic()))
            sequence_no = await self._alarms.newest()
            if self._judge.contradiction is not None:
                await asyncio.sleep(NO_STORE_S)
                continue
            data = await self._waiting(sequence_no)
            if data is None:
                self._alarms.done(sequence_no, sent=False)
                continue
            note = self._signer.notice(data).encode()
            try:
                reason = await link.publish(self._topics.notice, note)
            except UplinkRefused as error:
                self._alarms.done(sequence_no, sent=False)
                self._refuse(str(error))
                return
            except UplinkUnavailable as error:
                self._cut += 1
                if self._cut >= MOST_CUT:
                    self._again_at = monotonic() + PAUSE_S
                    self._refuse(f"{self._cut} connections ended while a notice was sent: {error.what}")
                raise
            self._refuse("")
            self._cut = 0
            if reason == NO_MATCHING_SUBSCRIBERS:
                await asyncio.sleep(NO_STORE_S)
                continue
            # Crash here: the notice is sent again after the restart, and the store knows it.
            self._alarms.done(sequence_no, sent=True)
            await asyncio.sleep(max(PERIOD_S, self._options.pause_s(len(note))))

    async def _waiting(self, sequence_no: int) -> bytes | None:
        """Return the record's exact bytes, or None if it was sent, or goes with the next message anyway."""
        soon = int(self._options.batch_size)
        if self._options.max_rate is not None:
            soon = min(soon, int(self._options.max_rate * SOON_S))
        look = functools.partial(_behind, self._window.reached, sequence_no, soon)
        return await self._journal.read(look)

    def _refuse(self, why: str) -> None:
        """Show that the broker takes no notices, or that it does; logged once."""
        if why and not self._counts.why:
            hint = "allow the gateway to write …/notice; records and receipts are not affected"
            log.warning("the broker takes no notices: alarms wait for their turn", why=why, hint=hint)
        self._counts.why = why


def _behind(reached: int, sequence_no: int, soon: int, reader: JournalReader) -> bytes | None:
    if sequence_no < reached + len(reader.batch(reached, soon)):
        return None
    return next((data for _, data in reader.records(sequence_no, sequence_no + 1)), None)
