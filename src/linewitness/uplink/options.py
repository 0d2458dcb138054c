"""What the YAML says of the broker: where it is, who we are to it, and how it proves who it is."""

from collections.abc import Iterable
from typing import Final, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator, model_validator

from linewitness.base.secrets import Secret
from linewitness.base.settings import Doubt, FilePath, Options, SettingsError, check_authority

DEFAULT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}

Protocol = Literal["auto", "5", "3.1.1"]


class TlsOptions(Options):
    """Certificates of a connection by `mqtts://`; the broker's is always verified."""

    ca: FilePath | None = Field(
        default=None,
        description="File (PEM) of the authorities that may vouch for the broker; default: the system's.",
    )
    certificate: FilePath | None = Field(
        default=None, description="Our own certificate (PEM, with its chain), if the broker asks for one."
    )
    key: Secret | None = Field(
        default=None, description="Where the private key of our certificate is kept (PEM, not encrypted)."
    )
    server_name: str | None = Field(
        default=None,
        min_length=1,
        description="Name that the broker's certificate must carry; default: the host of the url.",
    )

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise SettingsError("certificate and key belong together: give both or none", at=("certificate",))
        return self


class MqttOptions(Options):
    """The connection to the broker."""

    url: str = Field(
        description="mqtt://host[:port], or mqtts://host[:port] with TLS; default ports 1883 and 8883."
    )
    client_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="Client identifier, unique at the broker; default: one that nobody else can know.",
    )
    username: str | None = Field(default=None, description="User name, if the broker asks for one.")
    password: Secret | None = Field(default=None, description="Where the password is kept.")
    tls: TlsOptions = Field(default=TlsOptions(), description="Certificates, for mqtts only.")
    protocol: Protocol = Field(
        default="auto", description="MQTT version; auto tries 5 and falls back to 3.1.1."
    )
    keepalive_s: int = Field(
        default=20, ge=1, le=3600, description="A silent connection is probed after this many seconds."
    )
    connect_timeout_s: float = Field(
        default=10.0,
        gt=0,
        le=120,
        description="Longest wait for a connection, TLS and the broker's welcome, each.",
    )
    answer_timeout_s: float = Field(
        default=30.0, gt=0, le=600, description="Longest wait for the broker's answer to a message."
    )

    @field_validator("url")
    @classmethod
    def _known_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError("the url looks like mqtt://host:1883 or mqtts://host:8883")
        if parts.username or parts.password:
            raise ValueError("credentials belong to username and password, not into the url")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("the url ends after the port")
        check_authority(parts)
        return url

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError("a password needs a username")
        if not self.secure and self.tls != TlsOptions():
            raise SettingsError("tls settings need a url that begins with mqtts://", at=("tls",))
        return self

    def doubts(self) -> Iterable[Doubt]:
        """Return a port that is the usual one of the other protocol."""
        scheme = self._parts.scheme
        for other, port in DEFAULT_PORTS.items():
            if other != scheme and port == self._parts.port:
                usual = DEFAULT_PORTS[scheme]
                yield Doubt(
                    what=f"{scheme}:// is {'with' if self.secure else 'without'} TLS, and {port} is the "
                    f"usual port {'without' if self.secure else 'with'} it",
                    hint=f"write {scheme}://{self.host}:{usual} or {other}://{self.host}:{port}; leave it if "
                    "the broker is set up so",
                    at=("url",),
                )

    @property
    def secure(self) -> bool:
        """Whether the connection is made with TLS."""
        return self._parts.scheme == "mqtts"

    @property
    def host(self) -> str:
        """The broker's host name or address."""
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        """The broker's TCP port."""
        return self._parts.port or DEFAULT_PORTS[self._parts.scheme]

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)
