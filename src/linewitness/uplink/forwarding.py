"""What the YAML says of forwarding records to the audit store."""

from pydantic import ByteSize, Field

from linewitness.base.settings import Options


class ForwardOptions(Options):
    """How records are cut into batches and how fast they go."""

    batch_size: ByteSize = Field(
        default=ByteSize(256 * 1024), ge=70_000, le=16 * 1024**2, description="Most bytes of one message."
    )
    in_flight: int = Field(default=16, ge=1, le=64, description="Batches that may wait for a receipt.")
    receipt_timeout_s: float = Field(
        default=5.0,
        ge=0.1,
        le=3600,
        description="Without a receipt for this long, send again from the last one.",
    )
    compress: bool = Field(
        default=True, description="Whether batches leave compressed (zstd); a store reads both forms."
    )
    max_rate: ByteSize | None = Field(
        default=None, ge=1024, description="Bytes per second on a thin network; no limit by default."
    )

    def pause_s(self, sent_bytes: int) -> float:
        """Return the pause after so many bytes that keeps the rate, in seconds; 0 without a limit."""
        return sent_bytes / int(self.max_rate) if self.max_rate is not None else 0.0
