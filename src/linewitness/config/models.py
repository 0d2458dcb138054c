"""The whole configuration of one line: frozen, complete, and identified by a digest."""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

from pydantic import Field, SerializeAsAny, field_validator

from linewitness.anchors.options import AnchorOptions, CosignatureKey
from linewitness.base.settings import Doubt, Identifier, Options
from linewitness.devices.options import DeviceOptions
from linewitness.journal.options import JournalOptions
from linewitness.stations.doubts import doubts_of_line
from linewitness.stations.genealogy.known_units import REMEMBERED
from linewitness.stations.lists.options import ListsOptions
from linewitness.stations.options import StationOptions
from linewitness.status.options import StatusOptions
from linewitness.timesources.options import ClockOptions
from linewitness.tpm.options import TpmOptions
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.options import MqttOptions

_ORIGIN: Final = re.compile(r"[a-z0-9][a-z0-9.-]*(/[A-Za-z0-9][A-Za-z0-9._~-]*)+/[1-9][0-9]*")


class LineOptions(Options):
    """Which line this is, and how its evidence is named for ever."""

    tenant: Identifier = Field(description="Who owns the data; `tenant_id` of each record.")
    plant: Identifier = Field(description="The plant; `plant_id` of each record.")
    line: Identifier = Field(description="The line; `line_id` of each record.")
    gateway: Identifier = Field(description="This gateway; part of its MQTT topics, unique in the tenant.")
    origin: str = Field(
        description="Name of the stream, like acme.example/ber-01/line-02/1: a domain that you own, the "
        "plant, the line, and the generation.",
        max_length=200,
    )
    name: str = Field(default="", max_length=200, description="Name of the line, for people.")

    @field_validator("origin")
    @classmethod
    def _is_origin(cls, origin: str) -> str:
        if "://" in origin:
            raise ValueError("an origin has no https:// in front")
        if " " in origin or "+" in origin:
            raise ValueError("an origin has no spaces and no plus sign")
        if not _ORIGIN.fullmatch(origin):
            raise ValueError("an origin looks like acme.example/ber-01/line-02/1")
        return origin


class UnitsOptions(Options):
    """What the gateway remembers of units, so that stations know what others did."""

    remember: int = Field(
        default=REMEMBERED,
        ge=100,
        le=1_000_000,
        description="How many units are remembered, with visits and components: those that were touched "
        "last. A component of an older unit that comes again is not found.",
    )


class StoreOptions(Options):
    """The audit store whose receipts are believed."""

    vkey: CosignatureKey = Field(description="The store's public key, as `linewitness store` prints it.")


class LogOptions(Options):
    """What the process says about itself on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Messages below this level are not written."
    )
    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: for people on a terminal, JSON lines otherwise."
    )


class Config(Options):
    """One line: what stands there, where the journal is, and who receives the evidence."""

    version: Literal[1] = Field(
        description="Version of this form of configuration, 1; a higher one needs a newer release."
    )
    line: LineOptions = Field(description="Which line this is.")
    journal: JournalOptions = Field(description="Where records are kept.")
    clock: ClockOptions = Field(default=ClockOptions(), description="How the machine's clock is judged.")
    uplink: MqttOptions | None = Field(
        default=None, description="The broker; without it, the evidence stays in the journal."
    )
    forward: ForwardOptions = Field(
        default=ForwardOptions(), description="How records go to the audit store."
    )
    store: StoreOptions | None = Field(
        default=None, description="The audit store; needed where there is an uplink."
    )
    anchors: AnchorOptions = Field(
        default=AnchorOptions(), description="Where checkpoints are put out of our reach."
    )
    tpm: TpmOptions | None = Field(
        default=None, description="The machine's TPM, which counts the starts; without it nothing does."
    )
    stations: tuple[StationOptions, ...] = Field(default=(), description="The places on the line.")
    units: UnitsOptions = Field(default=UnitsOptions(), description="What is remembered of units.")
    lists: ListsOptions = Field(default=ListsOptions(), description="Lists that others own.")
    devices: Annotated[
        tuple[SerializeAsAny[DeviceOptions], ...],
        Field(min_length=1, description="PLCs, tools, scanners and scales; the settings depend on `driver`."),
    ]
    status: StatusOptions = Field(default=StatusOptions(), description="The status page.")
    log: LogOptions = Field(default=LogOptions(), description="Log messages.")

    def doubts(self) -> Iterable[Doubt]:
        """Return dots in names that some brokers do not take as they are, and stations that wait for ever."""
        yield from doubts_of_line(self.stations, self.lists.named.keys())
        if self.uplink is None:
            return
        topics: list[tuple[tuple[str | int, ...], str]]
        topics = [(("line", "tenant"), self.line.tenant), (("line", "gateway"), self.line.gateway)]
        topics += [
            (("devices", number, "id"), device.id)
            for number, device in enumerate(self.devices)
            if device.has_telemetry
        ]
        for at, name in topics:
            if "." in name:
                yield Doubt(
                    what=f"{name} becomes a part of MQTT topics: RabbitMQ makes slashes of its dots, and "
                    "NATS ends the connection",
                    hint="use a hyphen in place of each dot; leave it if the broker is another one",
                    at=at,
                )

    def without_points(self) -> dict[str, Any]:
        """Return the settings as plain values, but for the points, of which there are thousands."""
        return self.model_dump(mode="json", exclude={"devices": {"__all__": {"points"}}})

    @property
    def digest(self) -> str:
        """SHA-256 over all settings, defaults included; of secrets only where they are kept."""
        settings = self.model_dump(mode="json")
        text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()
