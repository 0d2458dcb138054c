"""What the YAML says of the clock: whom to ask, how often, and from where on to warn."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from linewitness.base.settings import Options, SettingsError, check_host

Server = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$")]


class ClockOptions(Options):
    """How the machine's clock is judged. It is judged only: Linewitness never sets it."""

    ntp: tuple[Server, ...] = Field(
        default=(),
        max_length=8,
        description="NTP servers to ask, as host or host:port ([address]:port for IPv6); "
        "three or more let one of them be wrong.",
    )
    chrony: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="auto: believe chrony where it runs, otherwise ask the servers; on: chrony only; "
        "off: the servers only.",
    )
    poll_s: int = Field(default=64, ge=8, le=3600, description="Seconds between questions to each source.")
    timeout_s: float = Field(default=2.0, gt=0, le=10, description="How long to wait for an answer.")
    warn_ms: int = Field(
        default=100,
        ge=1,
        description="The clock may be wrong by more than this: status warns, and clock.status says so.",
    )
    fail_ms: int = Field(
        default=1000,
        ge=1,
        description="The clock may be wrong by more than this: it counts as unsynced. Capture goes on.",
    )
    drift_ppm: int = Field(
        default=100,
        ge=1,
        le=1000,
        description="How fast the oscillator may run wrong while no source answers, in parts per million; "
        "plain quartz in a control cabinet: 100.",
    )
    holdover_s: int = Field(
        default=300,
        ge=30,
        le=86_400,
        description="With no good answer for this long the clock is in holdover.",
    )
    device_warn_ms: int = Field(
        default=5000,
        ge=1,
        description="A device's own clock differs by more than this: a warning, also as an event.",
    )
    stamp_s: float = Field(
        default=2.0,
        gt=0,
        le=4,
        description="At least this often the clocks are compared, so that a step is recorded within 5 s.",
    )

    @field_validator("ntp")
    @classmethod
    def _ports_exist(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for server in servers:
            split_server(server)
        if len(set(servers)) != len(servers):
            raise ValueError("a server is named twice; it would have two votes")
        return servers

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.warn_ms > self.fail_ms:
            raise SettingsError(
                f"warn_ms ({self.warn_ms}) is above fail_ms ({self.fail_ms})", at=("warn_ms",)
            )
        if self.chrony == "off" and not self.ntp:
            raise ValueError("without chrony, name at least one server under ntp")
        if self.holdover_s <= self.poll_s:
            raise SettingsError(
                f"holdover_s ({self.holdover_s}) must be longer than poll_s ({self.poll_s})",
                at=("holdover_s",),
            )
        return self


def split_server(server: str) -> tuple[str, int]:
    """Return host and port of a server as the YAML names it; 123 where none is given."""
    host, port = server, "123"
    if server.startswith("["):
        host, _, rest = server[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif ":" in server:
        host, port = server.rsplit(":", 1)
    if not 0 < int(port) < 65_536:  # noqa: PLR2004 (the range of a UDP port)
        raise ValueError(f"{server}: there is no port {port} (NTP is usually 123)")
    check_host(host)
    return host, int(port)
