"""Count what is dropped, for the log, `store status` and systemd's sentence, in bounded memory."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

#: What is still dropped is reported again after this long.
REPORT_S: Final = 60.0
#: Gateways of which each report names at most so many; the others are counted together.
MAX_NAMED: Final = 10
#: Gateways that are not enrolled, and are counted each by itself.
MAX_STRANGERS: Final = 1000
#: In the place of the names of those that are counted together.
OTHERS: Final = "*"


class DropReason(StrEnum):
    """Why a message was not even read."""

    UNKNOWN = "unknown"
    QUOTA = "quota"
    QUEUE = "queue"
    SIZE = "size"

    @property
    def words(self) -> str:
        """The reason for operators."""
        return _WORDS[self]


_WORDS: Final = {
    DropReason.UNKNOWN: "this gateway is not enrolled",
    DropReason.QUOTA: "more than the quota of messages or bytes a second",
    DropReason.QUEUE: "more than the queue takes",
    DropReason.SIZE: "larger than any message of a gateway",
}


class DroppedMessages(NamedTuple):
    """Messages of one gateway that were dropped for one reason since the report before."""

    tenant: str
    gateway: str
    reason: DropReason
    messages: int
    size: int


@dataclass(slots=True)
class _Count:
    """What was dropped since the last report, and since the start."""

    messages: int = 0
    size: int = 0
    total: int = 0
    last_at: float = float("-inf")


class DropCounts:
    """The messages that were dropped, by gateway and reason."""

    def __init__(self) -> None:
        """Begin with nothing dropped."""
        self._counts: dict[tuple[str, str, DropReason], _Count] = {}
        self._strangers = 0
        self._reported_at = float("-inf")
        self._named = 0

    def count(self, tenant: str, gateway: str, reason: DropReason, *, size: int, now: float) -> None:
        """Count one message of `size` bytes; `now` in seconds."""
        found = self._counts.get((tenant, gateway, reason))
        if found is None:
            found = self._new(tenant, gateway, reason)
        found.messages += 1
        found.size += size
        found.total += 1
        found.last_at = now

    def due(self, now: float) -> list[DroppedMessages]:
        """Return what to report: who is new at once, and everything once in `REPORT_S`; then it is reported.

        Most messages come first; beyond `MAX_NAMED` gateways the last entry of each reason is of all others.
        """
        if now - self._reported_at >= REPORT_S:
            self._reported_at, self._named = now, 0
            chosen = [key for key, count in self._counts.items() if count.messages]
        else:
            chosen = [key for key, count in self._counts.items() if count.messages == count.total]
            chosen = chosen[: max(MAX_NAMED - self._named, 0)]
        chosen.sort(key=lambda key: -self._counts[key].messages)
        self._named += len(chosen)
        reports = [self._reported(key) for key in chosen]
        return reports[:MAX_NAMED] + _together(reports[MAX_NAMED:])

    def sentence(self, now: float) -> str:
        """Return what `systemctl status` shows while messages are dropped, else nothing."""
        recent = [(count, key) for key, count in self._counts.items() if now - count.last_at < REPORT_S]
        if not recent:
            return ""
        count, (tenant, gateway, reason) = max(recent, key=lambda pair: pair[0].total)
        more = f" and of {len(recent) - 1} more" if len(recent) > 1 else ""
        return f"drops messages of {tenant}/{gateway}{more}: {reason.words} ({count.total} since the start)"

    def _new(self, tenant: str, gateway: str, reason: DropReason) -> _Count:
        key = (tenant, gateway, reason)
        if reason is DropReason.UNKNOWN:
            if self._strangers >= MAX_STRANGERS:
                return self._counts.setdefault((OTHERS, OTHERS, reason), _Count())
            self._strangers += 1
        return self._counts.setdefault(key, _Count())

    def _reported(self, key: tuple[str, str, DropReason]) -> DroppedMessages:
        count = self._counts[key]
        report = DroppedMessages(*key, count.messages, count.size)
        count.messages = count.size = 0
        return report


def _together(reports: list[DroppedMessages]) -> list[DroppedMessages]:
    """Return one report for each reason."""
    sums: dict[DropReason, DroppedMessages] = {}
    for report in reports:
        found = sums.get(report.reason, DroppedMessages(OTHERS, OTHERS, report.reason, 0, 0))
        sums[report.reason] = found._replace(
            messages=found.messages + report.messages, size=found.size + report.size
        )
    return list(sums.values())
