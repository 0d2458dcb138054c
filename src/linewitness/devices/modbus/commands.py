"""Write one configured point for a gate, and read it back."""

from linewitness.base.errors import DeviceRefused
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.points import ModbusPoint
from linewitness.devices.modbus.wire.bus import unavailable
from linewitness.devices.modbus.wire.link import LinkBroken, ModbusError, NoAnswer
from linewitness.devices.modbus.wire.reader import Reader

_WRITABLE = frozenset({"uint16", "int16"})
_TRUE = frozenset({"1", "true", "on"})
_FALSE = frozenset({"0", "false", "off"})


class Commands:
    """Write coils and whole 16-bit holding registers of one device."""

    def __init__(self, options: ModbusOptions, reader: Reader) -> None:
        """Take the device's points by id."""
        self._options = options
        self._reader = reader
        self._points = {point.id: point for point in options.points}

    async def write(self, point_id: str | None, value: str) -> str:
        """Write `value` and return what reading it back gives, in the form of `value`.

        Raises DeviceRefused for a point that cannot be written or that the device refuses, and
        DeviceUnavailable if the connection broke.
        """
        point = self._point(point_id)
        try:
            if point.table == "coil":
                return await self._write_coil(point, value)
            return await self._write_register(point, value)
        except ModbusError as error:
            raise DeviceRefused(
                f"{self._options.id}: {point.id} cannot be written: {error}",
                hint="allow the gateway to write this address, or use another one",
            ) from None
        except (NoAnswer, LinkBroken) as error:
            raise unavailable(self._options, error) from None

    def _point(self, point_id: str | None) -> ModbusPoint:
        point = self._points.get(point_id or "")
        if point is None:
            raise DeviceRefused(
                f"{self._options.id} has no point {point_id}", hint="name a point of this device in the gate"
            )
        plain = point.kind in _WRITABLE and not (point.scale or point.offset or point.labels)
        if point.table != "coil" and not (point.table == "holding" and plain):
            raise DeviceRefused(
                f"{self._options.id}: {point.id} is not something that a gate can write",
                hint="a gate writes a coil, or a holding register of type uint16 or int16 without scale",
            )
        return point

    async def _write_coil(self, point: ModbusPoint, value: str) -> str:
        text = value.lower()
        if text not in _TRUE | _FALSE:
            raise DeviceRefused(f"{value!r} is not a value of a coil", hint="write 1 or 0")
        await self._reader.write_coil(point.address, on=text in _TRUE)
        payload = await self._reader.read("coil", point.address, 1)
        found = bool(payload[0] & 1)
        return value if found == (text in _TRUE) else str(int(found))

    async def _write_register(self, point: ModbusPoint, value: str) -> str:
        signed = point.kind == "int16"
        try:
            raw = int(value).to_bytes(2, "big", signed=signed)
        except (ValueError, OverflowError):
            raise DeviceRefused(f"{value!r} does not fit {point.kind}", hint="write a whole number") from None
        swapped = (point.order or self._options.order) in ("little", "big-byte-swap")
        await self._reader.write(point.address, [int.from_bytes(raw, "little" if swapped else "big")])
        payload = await self._reader.read("holding", point.address, 1)
        return str(int.from_bytes(payload[:2], "little" if swapped else "big", signed=signed))
