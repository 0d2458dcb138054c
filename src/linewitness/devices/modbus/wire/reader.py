"""Read and write stretches of one device's tables, with its quirks, over the bus that it shares."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.file_message import ReadFifoQueueRequest
from pymodbus.pdu.pdu import ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.wire.bus import Bus
from linewitness.devices.modbus.wire.link import ModbusError, NoAnswer
from linewitness.devices.modbus.wire.protocol import PASSING, Table, is_bits

_REQUESTS: Final[Mapping[Table, type[ModbusPDU]]] = MappingProxyType(
    {
        "coil": ReadCoilsRequest,
        "discrete": ReadDiscreteInputsRequest,
        "holding": ReadHoldingRegistersRequest,
        "input": ReadInputRegistersRequest,
    }
)


class Reader:
    """One device behind a bus."""

    def __init__(self, bus: Bus, options: ModbusOptions) -> None:
        """Read the device of these options over this bus."""
        self._bus = bus
        self._options = options

    async def read(self, table: Table, first: int, count: int) -> bytes:
        """Return the bytes of a stretch, two to a register or eight bits to one.

        Raises NoAnswer after the configured retries, LinkBroken or ModbusError.
        """
        if self._options.one_register and not is_bits(table):
            parts = [await self._stretch(table, at, 1) for at in range(first, first + count)]
            return b"".join(parts)
        if is_bits(table) or count <= self._options.max_registers:
            return await self._stretch(table, first, count)
        most = self._options.max_registers
        ends = range(first, first + count, most)
        return b"".join([await self._stretch(table, at, min(most, first + count - at)) for at in ends])

    async def fifo(self, address: int) -> bytes:
        """Return the registers of a FIFO queue (function 24), at most 31; they stay in the queue."""
        return await self._ask(ReadFifoQueueRequest(address=address, dev_id=self._options.device_id))

    async def write(self, address: int, registers: Iterable[int]) -> None:
        """Write holding registers: one with function 6, several with function 16."""
        values = list(registers)
        unit = self._options.device_id
        request: ModbusPDU
        if len(values) == 1:
            request = WriteSingleRegisterRequest(address=address, registers=values, dev_id=unit)
        else:
            request = WriteMultipleRegistersRequest(address=address, registers=values, dev_id=unit)
        await self._ask(request)

    async def write_coil(self, address: int, *, on: bool) -> None:
        """Write one coil with function 5."""
        await self._ask(WriteSingleCoilRequest(address=address, bits=[on], dev_id=self._options.device_id))

    def probe_request(self, table: Table, first: int) -> ModbusPDU:
        """Return a small request: any answer to it, even an exception, shows that the device lives."""
        return _REQUESTS[table](address=first, count=1, dev_id=self._options.device_id)

    async def _stretch(self, table: Table, first: int, count: int) -> bytes:
        return await self._ask(_REQUESTS[table](address=first, count=count, dev_id=self._options.device_id))

    async def _ask(self, request: ModbusPDU) -> bytes:
        for _ in range(self._options.retries):
            try:
                return await self._once(request)
            except NoAnswer:
                continue
            except ModbusError as error:
                if error.code not in PASSING:
                    raise
        return await self._once(request)

    async def _once(self, request: ModbusPDU) -> bytes:
        return await self._bus.ask(
            request, timeout_s=self._options.timeout_s, pause_s=self._options.pause_ms / 1000
        )
