"""What the YAML says of the journal."""

from typing import Literal, Self

from pydantic import ByteSize, Field, model_validator

from linewitness.base.secrets import Secret
from linewitness.base.settings import FilePath, Options, SettingsError


class JournalOptions(Options):
    """Where records are kept and how much room they may take."""

    directory: FilePath = Field(description="Folder of this line's journal and keys; on a local disk.")
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
    rotate_key_h: float = Field(
        default=24.0,
        gt=0,
        le=24,
        description="Hours after which a fresh key signs the records and the old one is erased; 1 is a good "
        "choice where the machine could be stolen.",
    )
    rotate_alone_s: float = Field(
        default=60.0,
        ge=5,
        le=3600,
        description="Seconds after which a fresh key signs while no receipt comes, also after 64 commits: "
        "what the old one has signed cannot be rewritten any more, whoever takes the machine.",
    )
    wrapping_key: Secret | None = Field(
        default=None,
        description="32 bytes, or their base64, with which the key files are encrypted; best a credential "
        "that systemd keeps sealed by the TPM. Plain key files are wrapped at the next start.",
    )
    prune: Literal["auto", "never"] = Field(
        default="auto",
        description="auto: records that others keep safely are pruned, the oldest first, when less than "
        "prune_reserve is left, and after keep_days; never: nothing is pruned.",
    )
    prune_reserve: int = Field(
        default=25,
        ge=5,
        le=90,
        description="Percent of max_size that pruning keeps free.",
    )
    keep_days: float | None = Field(
        default=None,
        gt=0,
        description="Days after which records that others keep safely are pruned although there is room; "
        "never, if left out.",
    )
    prune_requires: Literal["auto", "anchor", "receipt"] = Field(
        default="auto",
        description="What must cover a record before it is pruned: the store's receipt and an anchor or a "
        "witness (anchor), or the store's receipt alone (receipt); auto: an anchor too where one is "
        "configured.",
    )

    @model_validator(mode="after")
    def _prunes_or_not(self) -> Self:
        if self.prune == "never" and self.keep_days is not None:
            raise SettingsError("keep_days has no effect with prune: never", at=("keep_days",))
        return self

    @property
    def reserve_bytes(self) -> int:
        """Bytes that pruning keeps free."""
        return int(self.max_size) * self.prune_reserve // 100
