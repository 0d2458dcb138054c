"""Take the store's answers from the broker: what verifies moves the sending on, what does not is counted."""

import structlog

from linewitness.base.clock import monotonic
from linewitness.evidence.format.accusation import is_accusation
from linewitness.evidence.format.note import BadNote
from linewitness.gateway.answers.statements import without_unsigned_line
from linewitness.gateway.broker_link import BrokerLink, UplinkStatusSink
from linewitness.gateway.continuity import LOG_AGAIN_S, HistoryContradiction
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.gateway.sending.send_window import SendWindow

log = structlog.get_logger()


class AnswerListener:
    """The task that hears the store, and all others that may publish on the receipt's topic."""

    def __init__(
        self, judge: ReceiptJudge, window: SendWindow, *, topic: str, health: UplinkStatusSink
    ) -> None:
        """Take who judges, what receipts move on, and where it is shown."""
        self._judge = judge
        self._window = window
        self._topic = topic
        self._health = health
        self._ignored = 0
        self._logged_at = float("-inf")
        self._accused = ""

    async def run(self, link: BrokerLink) -> None:
        """Judge what arrives until the connection ends."""
        async for message in link.messages():
            if message.topic != self._topic:
                continue
            answer, line = without_unsigned_line(message.payload)
            if line:
                self._ignore(f"its first line, which nobody signs, says {line[:100]!r}")
                if not answer:
                    continue
            await self._judged(answer, retained=message.retained)

    def report(self, contradiction: HistoryContradiction) -> None:
        """Show that the stream is contradicted."""
        self._health.uplink("conflict", str(contradiction))
        self._judge.continuity.report()

    async def _judged(self, answer: bytes, *, retained: bool) -> None:
        held_before = self._judge.held
        try:
            size = await self._judge.judge(answer)
        except BadNote as error:
            self._ignore(error.what)
            return
        except HistoryContradiction as error:
            self._window.heard.set()
            self.report(error)
            return
        if not retained:
            self._window.heard.set()
        self._health.receipt(size, further=self._judge.held > held_before)
        self._report_accusation()
        asks = self._judge.held <= held_before and not is_accusation(answer)
        self._window.answered(asks=asks, held_before=held_before, retained=retained)

    def _report_accusation(self) -> None:
        """Show what the store accuses this stream of, and log it when it begins and when it is over."""
        accusation = self._judge.accusation
        self._health.accused(f"{accusation.what} ({accusation.hint})" if accusation else "")
        before, self._accused = self._accused, accusation.what if accusation else ""
        if self._accused and not before:
            log.error(
                "the store reports a conflict that it does not prove: sending goes on",
                why=self._accused,
                hint=accusation.hint if accusation else "",
            )
        elif before and not self._accused:
            log.info("a newer receipt outweighs the conflict that the store reported", why=before)

    def _ignore(self, why: str) -> None:
        """Count an answer that is not the store's, and log the first and then one a minute."""
        self._ignored += 1
        self._health.answer_ignored(why)
        if monotonic() - self._logged_at >= LOG_AGAIN_S:
            self._logged_at = monotonic()
            log.warning("an answer that is not the store's was ignored", why=why, since_start=self._ignored)
