"""The names under which a gateway and the audit store meet at the broker (docs/format.md, section 10)."""

from dataclasses import dataclass
from typing import Final, Literal, Self, get_args

PREFIX: Final = "linewitness/v1"
_FORBIDDEN: Final = frozenset("+#/\0")
_PARTS: Final = 5

Channel = Literal["records", "checkpoint", "notice", "receipt", "status"]
_CHANNELS: Final[dict[str, Channel]] = {name: name for name in get_args(Channel)}

#: What the audit store subscribes to.
ALL_RECORDS: Final = f"{PREFIX}/+/+/records"
ALL_CHECKPOINTS: Final = f"{PREFIX}/+/+/checkpoint"
ALL_NOTICES: Final = f"{PREFIX}/+/+/notice"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one gateway of one tenant."""

    tenant: str
    gateway: str

    def __post_init__(self) -> None:
        """Refuse names that would change the meaning of a topic."""
        _check("tenant", self.tenant)
        _check("gateway", self.gateway)

    @property
    def records(self) -> str:
        """Consecutive records, exact bytes, one a line; gateway to store."""
        return f"{self._base}/records"

    @property
    def checkpoint(self) -> str:
        """The newest checkpoint, retained, and heads of a backlog, not retained; gateway to store."""
        return f"{self._base}/checkpoint"

    @property
    def notice(self) -> str:
        """Signed notices of single records that would have to wait for their turn; gateway to store."""
        return f"{self._base}/notice"

    @property
    def receipt(self) -> str:
        """The newest receipt or `conflict`, retained; store to gateway."""
        return f"{self._base}/receipt"

    @property
    def status(self) -> str:
        """Whether the gateway is there, retained; its will message says offline."""
        return f"{self._base}/status"

    def telemetry(self, device: str) -> str:
        """Return the topic of one device's signals, which are not evidence."""
        _check("device", device)
        return f"{self._base}/telemetry/{device}"

    @classmethod
    def parse(cls, topic: str) -> tuple[Self, Channel] | None:
        """Return whose topic it is and which, or None for any topic that is not of this form."""
        if not topic.startswith(PREFIX + "/"):
            return None
        parts = topic.split("/")
        if len(parts) != _PARTS:
            return None
        _, _, tenant, gateway, name = parts
        channel = _CHANNELS.get(name)
        if channel is None or not (_fits(tenant) and _fits(gateway)):
            return None
        return cls(tenant, gateway), channel

    @property
    def _base(self) -> str:
        return f"{PREFIX}/{self.tenant}/{self.gateway}"


def _check(what: str, name: str) -> None:
    if not _fits(name):
        raise ValueError(f"the {what} {name!r} cannot be a part of a topic: it has + # / or is empty")


def _fits(name: str) -> bool:
    return bool(name) and not _FORBIDDEN & set(name)
