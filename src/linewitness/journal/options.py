"""What the YAML says of the journal."""

from pathlib import Path

from pydantic import ByteSize, Field

from linewitness.devices.options import Options


class JournalOptions(Options):
    """Where records are kept and how much room they may take."""

    directory: Path = Field(description="Folder of this line's journal and keys; on a local disk.")
    max_size: ByteSize = Field(
        default=ByteSize(8 * 1024**3),
        ge=16 * 1024**2,
        description="Room for records; when it is used up, devices are no longer confirmed.",
    )
    telemetry_size: ByteSize = Field(
        default=ByteSize(256 * 1024**2),
        ge=1024**2,
        description="Room for signals that wait for the historian; the oldest are dropped beyond it.",
    )
    min_free: ByteSize = Field(
        default=ByteSize(64 * 1024**2),
        ge=0,
        description="Free space of the disk that is left alone; below it, devices are no longer confirmed.",
    )
    max_batch: int = Field(
        default=512, ge=1, le=10_000, description="Most events that one commit takes from the queue."
    )
