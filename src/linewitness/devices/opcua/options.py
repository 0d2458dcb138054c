"""What the YAML says of one OPC UA server and its points."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from linewitness.base.secrets import Secret
from linewitness.base.settings import (
    Doubt,
    FilePath,
    Identifier,
    Mistake,
    Options,
    SettingsError,
    check_authority,
)
from linewitness.devices.opcua import doubts
from linewitness.devices.opcua.nodes import NodeText
from linewitness.devices.options import (
    WITHOUT_POINTS,
    DecidedByField,
    DeviceOptions,
    PointOptions,
    PointsFile,
)

Policy = Literal["none", "basic256sha256", "aes128_sha256_rsaoaep", "aes256_sha256_rsapss"]
_MODE_WORDS: Final = {"sign": "signed", "sign_and_encrypt": "signed or encrypted"}


def _check_endpoint(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "opc.tcp" or not parts.hostname:
        raise ValueError(f"{text!r} is no OPC UA address: write opc.tcp://host:4840/path")
    if "@" in parts.netloc:
        raise ValueError("no user and password in the address: use user: with a password file")
    check_authority(parts)
    return text if parts.port else text.replace(parts.netloc, f"{parts.netloc}:4840", 1)


class SecurityOptions(Options):
    """How the connection is protected and how the server proves who it is."""

    policy: Policy = Field(description="Algorithms of the secure channel; none is readable by anyone.")
    mode: Literal["sign", "sign_and_encrypt"] = Field(
        default="sign_and_encrypt", description="sign leaves values readable on the network."
    )
    certificate: FilePath | None = Field(default=None, description="Our certificate, DER or PEM.")
    key: Secret | None = Field(default=None, description="Private key of our certificate, PEM.")
    server_certificate: FilePath | None = Field(
        default=None, description="The one certificate that the server must show, DER or PEM."
    )
    trusted: FilePath | None = Field(
        default=None, description="Folder of certificates that are trusted (servers or their issuers)."
    )
    rejected: FilePath | None = Field(
        default=None, description="Folder into which an unknown server's certificate is put for a look."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = [self.certificate, self.key, self.server_certificate, self.trusted, self.rejected]
        if self.policy == "none":
            if "mode" in self.model_fields_set:
                raise SettingsError(
                    f"policy none has no mode: nothing would be {_MODE_WORDS[self.mode]}; choose a policy, "
                    "or leave mode out",
                    at=("mode",),
                )
            if any(item is not None for item in given):
                raise SettingsError(
                    "policy none uses no certificates: choose a policy or remove them", at=("policy",)
                )
            return self
        if self.certificate is None or self.key is None:
            raise ValueError("give certificate and key (`linewitness keys opcua` makes them)")
        if (self.server_certificate is None) == (self.trusted is None):
            raise ValueError("give exactly one of server_certificate and trusted")
        return self


class UserOptions(Options):
    """Who logs on: a name with a password, or a certificate with its key."""

    name: str | None = Field(default=None, description="User name.")
    password: Secret | None = Field(default=None, description="Password of the user name.")
    certificate: FilePath | None = Field(default=None, description="Certificate of the user, DER or PEM.")
    key: Secret | None = Field(default=None, description="Private key of the user's certificate, PEM.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        by_name = self.name is not None and self.password is not None
        by_certificate = self.certificate is not None and self.key is not None
        parts = [self.name, self.password, self.certificate, self.key]
        if by_name == by_certificate or sum(part is not None for part in parts) != 2:  # noqa: PLR2004 - a pair
            raise ValueError("give name and password, or certificate and key")
        return self


class FieldOptions(Options):
    """One value that is read when a result is complete."""

    id: Identifier = Field(description="Name of the value within the result.")
    node: NodeText = Field(description="Where it is.")
    unit: str | None = Field(default=None, description="Unit of measurement.")
    low: Decimal | None = Field(default=None, description="Lower limit, inclusive.")
    high: Decimal | None = Field(default=None, description="Upper limit, inclusive.")


class HandshakeOptions(Options):
    """What is written to the PLC after a result is durable. This is the only thing ever written."""

    node: NodeText = Field(description="Node that is written.")
    value: bool | int | str = Field(
        default=True, description="Value that is written; `trigger` writes the trigger's own value back."
    )


class ResultOptions(Options):
    """Which values make one result, and when it is complete. The point's own node is the trigger."""

    edge: Literal["change", "rising", "falling"] = Field(
        default="change", description="change: a counter; rising, falling: a bit."
    )
    fields: tuple[FieldOptions, ...] = Field(min_length=1, description="Values read in one request.")
    identifier: NodeText | None = Field(default=None, description="Node with the unit's serial number.")
    ok: NodeText | None = Field(default=None, description="Node with the verdict, a bit.")
    decided_by: DecidedByField = "stricter"
    handshake: HandshakeOptions | None = Field(
        default=None, description="What to write once the result is durable."
    )


class OpcUaPoint(PointOptions):
    """One node of the server."""

    node: NodeText = Field(
        description="Node: ns=2;s=Press.Force, or by namespace nsu=urn:acme:press;s=Press.Force. For alarms "
        "the object that reports them (i=2253 is the server itself); for results the trigger."
    )
    sampling_ms: int = Field(default=100, ge=0, le=3_600_000, description="How often the server looks.")
    queue_size: int = Field(
        default=100, ge=1, le=10_000, description="Changes that the server keeps between two deliveries."
    )
    deadband: Decimal | None = Field(
        default=None, gt=0, description="Smallest change that is reported, in the value's own unit."
    )
    operator: NodeText | None = Field(default=None, description="Node that says who works here.")
    result: ResultOptions | None = Field(default=None, description="Only with record: result.")

    @model_validator(mode="after")
    def _result_where_it_belongs(self) -> Self:
        if (self.record == "result") != (self.result is not None):
            raise SettingsError("record: result and result: belong together", at=("record",))
        return self


def _or_none(schema: dict[str, Any]) -> None:
    """Allow the short form in the JSON Schema too."""
    schema["anyOf"] = [{"$ref": schema.pop("$ref")}, {"const": "none"}]


class ServerOptions(Options):
    """How a server is reached: all that browsing and probing need."""

    endpoint: Annotated[str, AfterValidator(_check_endpoint)] = Field(
        description="Address of the server, opc.tcp://host:4840."
    )
    security: SecurityOptions = Field(
        default=SecurityOptions(policy="none"),
        description="Protection of the connection; `security: none` is short for policy: none.",
        json_schema_extra=_or_none,
    )
    user: UserOptions | None = Field(default=None, description="Who logs on; anonymous if left out.")
    timeout_s: float = Field(default=4.0, gt=0, le=60, description="How long an answer may take.")

    @field_validator("security", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"policy": value} if isinstance(value, str) else value


class OpcUaOptions(ServerOptions, DeviceOptions):
    """One OPC UA server and what is listened to."""

    driver: Literal["opcua"] = Field(description="opcua.")
    points: tuple[OpcUaPoint, ...] = Field(default=(), min_length=1, description="What is listened to.")
    points_from: PointsFile = None
    mode: Literal["subscribe", "poll"] = Field(
        default="subscribe", description="poll reads in a fixed rhythm, for servers without subscriptions."
    )
    poll_ms: int = Field(default=1000, ge=50, le=3_600_000, description="Rhythm of mode: poll.")
    publishing_ms: int = Field(default=200, ge=10, le=60_000, description="How often the server delivers.")
    silence_s: float = Field(
        default=5.0, ge=1, le=600, description="Silence after which the subscription is taken for dead."
    )
    buffer: int = Field(
        default=100_000, ge=1000, description="Changes that may wait in memory; more become a gap."
    )
    clock_tolerance_ms: int = Field(
        default=2000,
        ge=0,
        description="Clock error of the server up to which its stamps are taken as they are.",
    )
    history: bool = Field(default=True, description="Fill gaps from the server's history where it has one.")
    audit: bool = Field(default=False, description="Take who changed a value from the server's audit events.")
    operator: NodeText | None = Field(
        default=None, description="Node that says who works here, for all points without their own."
    )

    @property
    def has_telemetry(self) -> bool:
        """Whether a point is published as telemetry."""
        return any(point.record == "telemetry" for point in self.points)

    def doubts(self) -> Iterable[Doubt]:
        """Return nodes that are named twice, and a password on a readable connection."""
        return [*doubts.of_nodes(self.points), *doubts.of_password(self)]

    @model_validator(mode="after")
    def _unique_points(self, info: ValidationInfo) -> Self:
        if not self.points and not (info.context and info.context.get(WITHOUT_POINTS)):
            raise SettingsError("give points, or a table of them with points_from")
        twice = [name for name, count in Counter(point.id for point in self.points).items() if count > 1]
        if twice:
            raise SettingsError(
                f"more than one point is called {', '.join(twice)}",
                mistake=Mistake.USED_TWICE,
                subjects=tuple(twice),
            )
        return self
