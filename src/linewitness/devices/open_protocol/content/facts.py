"""What is known about a session, and the observations that need nothing else."""

from dataclasses import dataclass, replace
from datetime import tzinfo

from linewitness.base.clock import Stamp
from linewitness.base.mappings import EMPTY
from linewitness.devices.base import Gap, Notice, Result, Scalar, Seen, When
from linewitness.devices.open_protocol.content.times import ClockOffset, ResolvedTime, resolve
from linewitness.devices.open_protocol.ledger.state import ResultLedger
from linewitness.devices.open_protocol.ledger.storage import Changes
from linewitness.devices.open_protocol.wire.codec import DecodedTelegram
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFacts:
    """What every observation of a session rests on; replaced as a whole when clock or tool were asked again.

    `zone`, `torque_unit` and `expected_tool` are configured; `clock` and `tool` are None until the controller
    told them.
    """

    device: str
    session_id: str
    zone: tzinfo | None
    torque_unit: str
    expected_tool: str | None
    clock: ClockOffset | None = None
    tool: DecodedTelegram | None = None

    @property
    def connected_tool(self) -> str | None:
        """Serial number of the tool as the controller gave its data last, None where it did not."""
        return self.tool.text("tool_serial_number") if self.tool is not None else None

    def resolve(
        self, text: str | None, stamp: Stamp, *, live: bool, not_before_ns: int | None = None
    ) -> ResolvedTime:
        """Return when something happened that carries this time of the controller."""
        return resolve(
            text, received=stamp, live=live, zone=self.zone, offset=self.clock, not_before_ns=not_before_ns
        )

    def seen(self, received: ReceivedTelegram, *, remember: Changes = EMPTY, live: bool = True) -> Seen:
        """Return what is to be confirmed and makes no event."""
        return Seen(
            device=self.device,
            session_id=self.session_id,
            received=received.stamp,
            when=at_reception(received.stamp),
            raw=received.raw,
            remember=remember,
            confirmable=live,
        )

    def remembered(self, now: Stamp, changes: Changes) -> Seen:
        """Return what only has to be remembered."""
        return Seen(
            device=self.device,
            session_id=self.session_id,
            received=now,
            when=at_reception(now),
            remember=changes,
        )

    def notice(
        self,
        kind: str,
        resource: tuple[str, str],
        reason: str,
        *,
        at: ReceivedTelegram | Stamp,
        time: str | None = None,
        changes: tuple[tuple[str, Scalar, Scalar], ...] = (),
        remember: Changes = EMPTY,
    ) -> Notice:
        """Return something that becomes an event as it stands; it is confirmed where it was pushed."""
        pushed = at if isinstance(at, ReceivedTelegram) else None
        stamp = at.stamp if isinstance(at, ReceivedTelegram) else at
        return Notice(
            device=self.device,
            session_id=self.session_id,
            received=stamp,
            when=self.resolve(time, stamp, live=True).when if time else at_reception(stamp),
            raw=pushed.raw if pushed is not None else None,
            remember=remember,
            confirmable=pushed is not None,
            kind=kind,
            resource_type=resource[0],
            resource_id=resource[1],
            changes=changes,
            reason=reason,
        )

    def gap(
        self,
        ledger: ResultLedger,
        now: Stamp,
        *,
        first: str,
        last: str | None,
        count: int | None,
        reason: str,
        remember: Changes = EMPTY,
    ) -> Gap:
        """Return that results are missing; `last` is None where nobody knows how many."""
        return Gap(
            device=self.device,
            session_id=self.session_id,
            received=now,
            when=at_reception(now),
            remember=remember,
            source=ledger.source,
            first=first,
            last=last,
            count=count,
            reason=reason,
        )

    def tightening(self, received: ReceivedTelegram, ledger: ResultLedger, name: str, when: When) -> Result:
        """Return the frame of a result: where it comes from, its name, when it was made."""
        return Result(
            device=self.device,
            session_id=self.session_id,
            received=received.stamp,
            when=when,
            raw=received.raw,
            kind="tightening.result",
            source=ledger.source,
            epoch=ledger.epoch,
            result_id=name,
        )

    def undecodable(
        self, received: ReceivedTelegram, ledger: ResultLedger, problem: str, *, name: str, remember: Changes
    ) -> Result:
        """Return a pushed result of which only the bytes are known.

        `name` says nothing of them: a hash would let others guess the bytes from the name.
        """
        return replace(
            self.tightening(received, ledger, f"raw-{name}", at_reception(received.stamp)),
            remember=remember,
            confirmable=True,
            counts=False,
            decoded=False,
            reason=f"not decodable: {problem}",
        )


def at_reception(stamp: Stamp) -> When:
    """Return the moment of reception as the moment at which something happened."""
    return When(occurred_ns=stamp.realtime_ns, occurred_from="gateway")
