"""Say what a server had and did not deliver."""

from collections.abc import Mapping
from dataclasses import replace

from asyncua import ua

from linewitness.base.clock import Stamp, to_rfc3339
from linewitness.base.mappings import EMPTY
from linewitness.devices.base import Gap, When
from linewitness.devices.opcua.decoding.times import verbatim
from linewitness.devices.opcua.monitor import Item


class Gaps:
    """The gaps of one session."""

    def __init__(self, device: str, session_id: str) -> None:
        """Take whose gaps these are."""
        self._device, self._session_id = device, session_id

    def overflow(
        self, item: Item, value: ua.DataValue, received: Stamp, when: When, *, first: str | None
    ) -> Gap:
        """Return the gap before a value with the overflow bit; `first` is the stamp of the one before."""
        stamp = value.SourceTimestamp or value.ServerTimestamp
        return Gap(
            device=self._device,
            session_id=self._session_id,
            received=received,
            when=when,
            source=item.point.id if item.point else item.text,
            first=first,
            last=verbatim(stamp) if stamp else None,
            reason="the server's queue overflowed between these two changes",
        )

    @staticmethod
    def renumbered(gap: Gap, first: str, last: str) -> Gap:
        """Return a gap that is named by the device's own numbers instead of by time."""
        return replace(gap, first=first, last=last)

    def between(
        self,
        *,
        source: str,
        first: Stamp | None,
        last: Stamp,
        received: Stamp,
        reason: str,
        count: int | None = None,
        remember: Mapping[str, str | None] = EMPTY,
    ) -> Gap:
        """Return a gap between two moments of our own clock."""
        return Gap(
            device=self._device,
            session_id=self._session_id,
            received=received,
            when=When(occurred_ns=last.realtime_ns, occurred_from="gateway"),
            remember=remember,
            source=source,
            first=None if first is None else to_rfc3339(first.realtime_ns),
            last=to_rfc3339(last.realtime_ns),
            count=count,
            reason=reason,
        )
