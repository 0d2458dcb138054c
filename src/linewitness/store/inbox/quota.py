"""How much one gateway may send, and how much of it may wait: the setting and its token buckets."""

from dataclasses import dataclass
from typing import Final, Self

from pydantic import ByteSize, Field, model_validator

from linewitness.base.settings import Options, SettingsError

#: The largest batch that a gateway can be configured to send (`forward.batch_size`).
MAX_MESSAGE_BYTES: Final = 16 * 2**20
#: A gateway that was silent may send as much as in this time at once.
BURST_S: Final = 2.0


class QuotaOptions(Options):
    """What each gateway may use of the store; what is above is dropped, and the gateway sends it again."""

    messages_per_s: float = Field(
        default=1000, ge=1, le=1_000_000, description="Most messages of one gateway in a second."
    )
    bytes_per_s: ByteSize = Field(
        default=ByteSize(32 * 2**20), ge=65_536, description="Most bytes of one gateway in a second."
    )
    queue_size: ByteSize = Field(
        default=ByteSize(32 * 2**20),
        ge=17 * 2**20,
        description="Most bytes of one gateway's messages that may wait.",
    )
    total_queue_size: ByteSize = Field(
        default=ByteSize(128 * 2**20),
        ge=17 * 2**20,
        description="Most bytes of all gateways' messages that may wait.",
    )

    @model_validator(mode="after")
    def _total_holds_one_queue(self) -> Self:
        if self.total_queue_size < self.queue_size:
            raise SettingsError("it is less than queue_size, that of one gateway", at=("total_queue_size",))
        return self


@dataclass(slots=True)
class QuotaBucket:
    """A token bucket: `rate` a second, and after a silence as much as `burst` at once."""

    rate: float
    burst: float
    filled: float
    at: float

    @classmethod
    def full(cls, rate: float, burst: float, now: float) -> Self:
        """Return a bucket for someone who has sent nothing yet; `now` in seconds, as in `fill`."""
        return cls(rate, burst, burst, now)

    def fill(self, now: float) -> float:
        """Return what may be taken at this time."""
        self.filled = min(self.burst, self.filled + (now - self.at) * self.rate)
        self.at = now
        return self.filled


class GatewayQuota:
    """The messages and bytes that one gateway may send now."""

    def __init__(self, options: QuotaOptions, now: float) -> None:
        """Begin with a full burst; one message of the largest size always fits into it."""
        messages, size = options.messages_per_s, float(options.bytes_per_s)
        self._messages = QuotaBucket.full(messages, max(messages * BURST_S, 1.0), now)
        self._bytes = QuotaBucket.full(size, max(size * BURST_S, float(MAX_MESSAGE_BYTES)), now)

    def take(self, size: int, now: float) -> bool:
        """Count one message of `size` bytes, unless it is more than the quota."""
        if self._messages.fill(now) < 1 or self._bytes.fill(now) < size:
            return False
        self._messages.filled -= 1
        self._bytes.filled -= size
        return True
