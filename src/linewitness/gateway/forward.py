"""Forward records to the audit store: connect to the broker, send, take receipts; again after every break."""

import asyncio
from typing import Final

import orjson
import structlog

from linewitness.base.clock import Clock, to_rfc3339
from linewitness.base.errors import LinewitnessError, UplinkRefused, UplinkUnavailable
from linewitness.base.failures import deciding
from linewitness.base.retry import Backoff
from linewitness.base.stopping import attempted
from linewitness.gateway.ahead.alarms import AlarmWatch
from linewitness.gateway.ahead.head import HeadAnnouncer
from linewitness.gateway.ahead.notices import NoticeSender
from linewitness.gateway.answers.listener import AnswerListener
from linewitness.gateway.broker_link import BrokerLink, Connect, UplinkStatusSink
from linewitness.gateway.checkpoints import CheckpointSigner
from linewitness.gateway.receipts import ReceiptJudge
from linewitness.gateway.sending.learned_limits import LearnedLimits
from linewitness.gateway.sending.record_sender import RecordSender
from linewitness.gateway.sending.send_window import SendWindow
from linewitness.gateway.sending.signal_sender import SignalSender
from linewitness.journal.journal import Journal
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.takeover import TakenOver, TakeoverWatch
from linewitness.uplink.topics import Topics

log = structlog.get_logger()

#: A broker that refused the connection is tried again after this long.
REFUSED_S: Final = 30.0
#: While it is found out how large a message the broker takes, at most so long lies between two connections.
NARROWING_S: Final = 2.0
_RETRIED: Final = (UplinkUnavailable, UplinkRefused)


class Forwarder:
    """The one task that talks to the broker."""

    def __init__(
        self,
        connect: Connect,
        *,
        journal: Journal,
        telemetry: TelemetryBuffer,
        signer: CheckpointSigner,
        judge: ReceiptJudge,
        alarms: AlarmWatch,
        topics: Topics,
        options: ForwardOptions,
        clock: Clock,
        health: UplinkStatusSink,
    ) -> None:
        """Take where records come from, who signs and who judges, and where everything goes."""
        self._connect = connect
        self._journal = journal
        self._signals = SignalSender(telemetry, topics=topics, options=options)
        self._judge = judge
        self._topics = topics
        self._options = options
        self._clock = clock
        self._health = health
        self._logged = ""
        self._connected = False
        self._takeovers = TakeoverWatch()
        self._window = SendWindow(judge, journal=journal, options=options)
        self._answers = AnswerListener(judge, self._window, topic=topics.receipt, health=health)
        self._records = RecordSender(
            self._window,
            judge,
            journal=journal,
            signer=signer,
            topics=topics,
            options=options,
            health=health,
        )
        limits = {"records": self._records.limit, "signals": self._signals.limit}
        self._learned = LearnedLimits(journal, limits, clock=clock)
        self._head = HeadAnnouncer(self._window, judge, journal=journal, signer=signer, topics=topics)
        self._notices = NoticeSender(
            alarms,
            self._window,
            judge,
            journal=journal,
            signer=signer,
            topics=topics,
            options=options,
            counts=alarms.counts,
        )

    async def run(self) -> None:
        """Work until cancelled. A contradiction ends the sending, not the process."""
        await self._judge.recall()
        await self._learned.recall()
        self._health.receipt(self._judge.receipted)
        if self._judge.contradiction is not None:
            self._answers.report(self._judge.contradiction)
        backoff, narrowing = Backoff(), Backoff(cap_s=NARROWING_S)
        while True:
            wait_s, self._connected = REFUSED_S, False
            try:
                await attempted(self._session(backoff), retried=_RETRIED)
            except UplinkUnavailable as error:
                narrows = self._records.limit.explains or self._signals.limit.explains
                if self._connected and narrows and not isinstance(error, TakenOver):
                    self._takeovers.explained()
                    wait_s = narrowing.next_s()
                else:
                    wait_s = max(backoff.next_s(), self._takeovers.ended(error))
                self._disconnected("away", error)
            except UplinkRefused as error:
                self._disconnected("refused", error)
            await asyncio.sleep(wait_s)

    async def _session(self, backoff: Backoff) -> None:
        """Connect, and serve until that ends; raises what ended it."""
        async with self._connect() as link:
            backoff.succeeded()
            self._takeovers.connected()
            self._learn_why_it_ended()
            self._learned.keep()
            self._connected = True
            if self._judge.contradiction is None:
                self._health.uplink("up", "")
            self._logged = "up"
            log.info("uplink connected", receipted=self._judge.receipted)
            try:
                await self._serve(link)
            except BaseExceptionGroup as group:
                raise deciding(group, retried=_RETRIED) from group

    def _learn_why_it_ended(self) -> None:
        """Let the larger of the messages on their way be why the connection before this one ended."""
        if self._signals.limit.explains > self._records.limit.explains:
            self._records.limit.forget()
            self._signals.connected()
        else:
            self._signals.limit.forget()
            self._records.limit.connected()

    async def _serve(self, link: BrokerLink) -> None:
        async with asyncio.TaskGroup() as group:
            await link.subscribe(self._topics.receipt)
            await self._announce(link)
            group.create_task(self._answers.run(link), name="uplink:receipts")
            group.create_task(self._follow_journal(), name="uplink:growth")
            group.create_task(self._show_contradiction(), name="uplink:continuity")
            group.create_task(self._records.run(link), name="uplink:records")
            group.create_task(self._tell_ahead(link), name="uplink:ahead")
            group.create_task(self._signals.run(link), name="uplink:telemetry")

    async def _show_contradiction(self) -> None:
        """Show that nothing is sent: also where another place than the store says why."""
        self._answers.report(await self._judge.continuity.contradicted())

    async def _tell_ahead(self, link: BrokerLink) -> None:
        """Tell the store of what has to wait, once its last answer shows that this journal is no fork."""
        await self._records.begun()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._head.run(link), name="uplink:head")
            group.create_task(self._notices.run(link), name="uplink:notices")

    def _disconnected(self, state: str, error: LinewitnessError) -> None:
        self._health.uplink(state, str(error))
        self._health.taken_over(self._takeovers.what)
        if self._logged == state:
            return
        self._logged = state
        log.warning("uplink lost: records wait in the journal", state=state, why=error.what, hint=error.hint)

    async def _announce(self, link: BrokerLink) -> None:
        status = {
            "state": "online",
            "since": to_rfc3339(self._clock.stamp().realtime_ns),
            "stream": self._journal.identity.stream,
            "size": self._journal.head.size,
        }
        await link.publish(self._topics.status, orjson.dumps(status), retain=True)

    async def _follow_journal(self) -> None:
        size = 0
        while True:
            size = await self._journal.wait_beyond(size)
            self._window.grown()
