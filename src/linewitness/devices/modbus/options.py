"""What the YAML says of a Modbus device."""

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field, model_validator

from linewitness.base.settings import Doubt, FilePath, Host, Mistake, Options, SettingsError
from linewitness.devices.modbus import doubts
from linewitness.devices.modbus.clock_options import ModbusClock
from linewitness.devices.modbus.points import ORDERS, ModbusPoint, OrderField
from linewitness.devices.modbus.result_options import ModbusResult, ResultField
from linewitness.devices.modbus.wire.protocol import ADDRESSES, MAX_BITS, MAX_REGISTERS, Table, is_bits
from linewitness.devices.options import DeviceOptions, PointsFile

Transport = Literal["tcp", "tls", "rtu-over-tcp", "serial"]
MODBUS_PORT = 502
MODBUS_TLS_PORT = 802


class Forbidden(Options):
    """Addresses that must never be read, not even to bridge a gap."""

    table: Table = Field(default="holding", description="Table of the range.")
    first: int = Field(ge=0, lt=ADDRESSES, description="First address of the range, from 0.")
    last: int = Field(ge=0, lt=ADDRESSES, description="Last address of the range.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first > self.last:
            raise SettingsError(f"first ({self.first}) is above last ({self.last})", at=("first",))
        return self


class SerialLine(Options):
    """A serial port and how it is set."""

    port: str = Field(description="Device file, best a stable name: `/dev/serial/by-id/…`.")
    baudrate: int = Field(default=19_200, ge=300, description="Bits per second.")
    parity: Literal["none", "even", "odd"] = Field(
        default="even", description="none, even or odd; the protocol's own default is even."
    )
    stopbits: Literal[1, 2] = Field(default=1, description="Stop bits; 2 is usual without parity.")


class TlsFiles(Options):
    """What TLS needs: whom we trust and who we are."""

    ca: FilePath = Field(description="Certificates that may have signed the device's (PEM).")
    certificate: FilePath | None = Field(default=None, description="Our own certificate (PEM).")
    key: FilePath | None = Field(default=None, description="The private key of our certificate (PEM).")
    server_name: str | None = Field(
        default=None, description="Name in the device's certificate where it is not `host`."
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise SettingsError("certificate and key belong together", at=("certificate",))
        return self


class ModbusOptions(DeviceOptions):
    """One Modbus device (one unit identifier); devices that name the same place share its connection."""

    driver: Literal["modbus"] = "modbus"
    transport: Transport = Field(
        default="tcp", description="tcp, tls, rtu-over-tcp (a serial server) or serial."
    )
    host: Host | None = Field(default=None, description="Address or name, for all but serial.")
    port: int | None = Field(
        default=None, ge=1, le=65_535, description="TCP port; 502, and 802 with TLS, where it is not given."
    )
    serial: SerialLine | None = Field(default=None, description="The serial port, for serial only.")
    tls: TlsFiles | None = Field(default=None, description="Trust and identity, for tls only.")
    device_id: int = Field(
        default=1, ge=0, le=255, description="Unit identifier of the device on its bus or gateway."
    )
    timeout_s: float = Field(
        default=1.0, gt=0, le=60, description="How long to wait for an answer, in seconds."
    )
    retries: int = Field(default=1, ge=0, le=10, description="How often a request is repeated unanswered.")
    dead_timeout_s: float = Field(
        default=0.5,
        gt=0,
        le=60,
        description="How long a silent device may hold up the others on its bus when it is tried again.",
    )
    period_ms: int = Field(default=1000, ge=10, description="Distance of two polls in milliseconds.")
    repeat_s: int = Field(
        default=600,
        ge=1,
        le=86_400,
        description="Seconds after which telemetry that is sent only on change is sent again all the same.",
    )
    max_registers: int = Field(
        default=MAX_REGISTERS, ge=1, le=MAX_REGISTERS, description="Registers in one request at most."
    )
    max_bits: int = Field(
        default=MAX_BITS, ge=1, le=MAX_BITS, description="Coils or discrete inputs in one request at most."
    )
    gap: int = Field(
        default=8,
        ge=0,
        le=MAX_REGISTERS,
        description="Unused registers that are read through rather than starting another request.",
    )
    forbidden: tuple[Forbidden, ...] = Field(default=(), description="Ranges that must never be read.")
    pause_ms: int = Field(
        default=0, ge=0, le=10_000, description="Pause between two requests that the device needs."
    )
    one_register: bool = Field(
        default=False, description="For devices that answer only requests of a single register."
    )
    order: OrderField = Field(
        default="big",
        description=f"Order of words and bytes of points that do not name their own: {ORDERS}.",
    )
    points: tuple[ModbusPoint, ...] = Field(default=(), description="The values of the device.")
    points_from: PointsFile = None
    results: tuple[ModbusResult, ...] = Field(
        default=(), description="Results that the device keeps until they are read."
    )
    clock: ModbusClock | None = Field(
        default=None,
        description="Registers in which the device shows its own clock; it is compared with ours.",
    )

    @property
    def tcp_port(self) -> int:
        """The TCP port that is meant."""
        return self.port or (MODBUS_TLS_PORT if self.transport == "tls" else MODBUS_PORT)

    @property
    def has_transaction_ids(self) -> bool:
        """Whether an answer names the request that it belongs to."""
        return self.transport in ("tcp", "tls")

    @property
    def place(self) -> str:
        """Where the bus of the device is reached, as people write it."""
        if self.serial is not None:
            return self.serial.port
        return f"{self.host}:{self.tcp_port}"

    @property
    def has_telemetry(self) -> bool:
        """Whether a point is published as telemetry."""
        return any(point.record == "telemetry" for point in self.points)

    def doubts(self) -> Iterable[Doubt]:
        """Return addresses that may be a manual's, and registers that are read in two ways."""
        return doubts.doubts_of(self.points, self.results)

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        serial = self.transport == "serial"
        if serial != (self.serial is not None):
            raise SettingsError("serial belongs to transport: serial, which needs it", at=("serial",))
        if serial == (self.host is not None):
            raise SettingsError(
                "host belongs to every transport but serial, and is needed there", at=("host",)
            )
        if (self.transport == "tls") != (self.tls is not None):
            raise SettingsError("tls belongs to transport: tls, which needs it", at=("tls",))
        return self

    @model_validator(mode="after")
    def _points_differ_and_may_be_read(self) -> Self:
        seen: set[str] = set()
        for point in self.points:
            if point.id in seen:
                raise _used_twice("points", point.id)
            seen.add(point.id)
            self._check_span(point, ("points", point.id))
        for result in self.results:
            if result.id in seen:
                raise _used_twice("results", result.id)
            seen.add(result.id)
            for field in result.fields:
                if result.pattern != "fifo":
                    self._check_span(field, ("results", result.id, "fields", field.id))
        if self.clock is not None:
            self._check_span(self.clock, ("clock",))
        return self

    def _check_span(self, point: ModbusPoint | ResultField | ModbusClock, at: tuple[str, ...]) -> None:
        if not is_bits(point.table) and point.width > self.max_registers and not self.one_register:
            raise SettingsError(
                f"{point.width} registers are more than max_registers ({self.max_registers})", at=at
            )
        for span in self.forbidden:
            if span.table == point.table and point.address <= span.last and span.first < point.end:
                raise SettingsError(
                    f"addresses {point.address} to {point.end - 1} are in the "
                    f"forbidden range {span.first} to {span.last}",
                    at=at,
                )


def _used_twice(group: str, name: str) -> SettingsError:
    what = "the id is used twice"
    return SettingsError(what, at=(group, name), mistake=Mistake.USED_TWICE, subjects=(name,))
