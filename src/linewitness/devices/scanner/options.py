"""What the YAML says of a code reader."""

import codecs
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from linewitness.base.patterns import Pattern
from linewitness.base.settings import Host, OwnAddress, SettingsError
from linewitness.devices.options import DeviceOptions, SlowDeviceShare

#: What framing characters are looked for; an encoding must write them as the same single bytes.
ASCII = bytes(range(128))


def _ascii(text: str) -> str:
    if not text.isascii():
        raise ValueError('use ASCII characters only; control characters are written "\\x02", "\\r", "\\n"')
    return text


def _encoding(name: str) -> str:
    try:
        codec = codecs.lookup(name)
        same = ASCII.decode(codec.name).encode("ascii") == ASCII
    except (LookupError, UnicodeError):
        same = False
    if not same:
        raise ValueError(f"{name} is not a text encoding that contains ASCII (try ascii, utf-8 or latin-1)")
    return name


def _pattern(text: str) -> str:
    if "code" not in Pattern(text).groups:
        raise ValueError("it needs a group named code, such as (?P<code>[A-Z0-9]+)")
    return text


Framing = Annotated[str, AfterValidator(_ascii)]


class ScannerOptions(DeviceOptions):
    """One code reader."""

    driver: Literal["scanner"]
    share: SlowDeviceShare = Field(
        default=SlowDeviceShare(), description="How much of the journal the device may take."
    )
    mode: Literal["connect", "listen"] = Field(
        default="connect",
        description="connect: the reader listens and we dial; listen: the reader dials and we listen.",
    )
    host: Host = Field(
        min_length=1, description="The reader's address; in mode listen, nobody else is let in."
    )
    port: int = Field(ge=1, le=65535, description="TCP port of the reader; in mode listen, ours.")
    bind: OwnAddress = Field(default="0.0.0.0", description="Mode listen: the own address to listen on.")
    keeps_connection: bool = Field(
        default=True,
        description="Mode listen: false for readers that dial in for each read and hang up; "
        "their hanging up is then no loss.",
    )
    terminator: Framing | None = Field(
        default=None, min_length=1, description="What ends a line; unset: CR, LF or both."
    )
    prefix: Framing = Field(
        default="", description="What each line begins with, such as STX; it is taken off."
    )
    suffix: Framing = Field(
        default="", description="What each line ends with before the terminator; it is taken off."
    )
    pattern: Annotated[str, AfterValidator(_pattern)] = Field(
        default=r"(?P<code>.+)",
        description="Regular expression (RE2) for the whole line without prefix and suffix; "
        "its group `code` is the code.",
    )
    no_read: str | None = Field(
        default=None, min_length=1, description="What the reader sends when it could not read."
    )
    heartbeat: str | None = Field(
        default=None, min_length=1, description="A line that only says that the reader is alive."
    )
    encoding: Annotated[str, AfterValidator(_encoding)] = Field(
        default="ascii", description="How the reader writes text."
    )
    duplicate_s: float = Field(
        default=1.0,
        ge=0,
        le=3600,
        description="The same code again within this time of its last sighting is the same read; "
        "0: each counts.",
    )
    max_line: int = Field(
        default=1024, ge=8, le=16384, description="Longest line in bytes; of more, only the start is kept."
    )
    settle_ms: int | None = Field(
        default=None,
        ge=0,
        le=10_000,
        description="What arrives this soon after connecting was buffered before and is never bound "
        "to a unit; unset: 200 in mode connect, 0 in mode listen.",
    )
    latency_ms: int = Field(
        default=100, ge=0, le=60_000, description="How long after the read its line may arrive at the latest."
    )
    connect_timeout_s: float = Field(
        default=5.0, gt=0, le=600, description="How long to wait for the connection."
    )
    silence_s: float | None = Field(
        default=None,
        gt=0,
        le=86_400,
        description="A reader that says nothing for this long is lost; only for readers with a heartbeat.",
    )

    @property
    def stale_ms(self) -> int:
        """How long after connecting what arrives counts as buffered before."""
        if self.settle_ms is not None:
            return self.settle_ms
        return 200 if self.mode == "connect" else 0

    @model_validator(mode="after")
    def _mode_fits(self) -> Self:
        if self.mode == "connect" and not self.keeps_connection:
            raise SettingsError("keeps_connection: false needs mode: listen", at=("keeps_connection",))
        if self.silence_s is not None and self.heartbeat is None:
            raise SettingsError(
                "silence_s needs heartbeat: a reader without one is silent between reads", at=("silence_s",)
            )
        return self
