"""Answers that keep the device's own bytes, so that a whole block is decoded at once."""

from pymodbus.pdu.bit_message import ReadCoilsResponse, ReadDiscreteInputsResponse
from pymodbus.pdu.file_message import ReadFifoQueueResponse
from pymodbus.pdu.pdu import ModbusPDU
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse, ReadInputRegistersResponse

_FIFO_HEADER = 4
_RTU_FIFO_FRAME = 6


class _UndecodedPayload:
    """The bytes of an answer. Never raises: a short answer is found by its length."""

    payload = b""

    def decode(self, data: bytes) -> None:
        """Keep what the byte count announces, or less if less came."""
        self.payload = data[1 : 1 + data[0]] if data else b""


class HoldingBytes(_UndecodedPayload, ReadHoldingRegistersResponse):
    """Holding registers, undecoded."""


class InputBytes(_UndecodedPayload, ReadInputRegistersResponse):
    """Input registers, undecoded."""


class CoilBytes(_UndecodedPayload, ReadCoilsResponse):
    """Coils, undecoded, the lowest address in the lowest bit."""


class DiscreteBytes(_UndecodedPayload, ReadDiscreteInputsResponse):
    """Discrete inputs, undecoded, the lowest address in the lowest bit."""


class FifoBytes(ReadFifoQueueResponse):
    """A FIFO queue's registers, undecoded."""

    payload = b""

    @classmethod
    def calculateRtuFrameSize(cls, data: bytes) -> int:  # noqa: N802 - the name that the library calls
        """Return the size of the frame: its byte count covers the count of values and the values."""
        if len(data) < _FIFO_HEADER:
            return 0
        return int.from_bytes(data[2:4], "big") + _RTU_FIFO_FRAME

    def decode(self, data: bytes) -> None:
        """Keep the values; where the counts contradict the length the answer counts as empty."""
        count = int.from_bytes(data[2:4], "big")
        values = data[_FIFO_HEADER : _FIFO_HEADER + 2 * count]
        self.payload = values if len(values) == 2 * count else b""


RAW_ANSWERS: tuple[type[ModbusPDU], ...] = (HoldingBytes, InputBytes, CoilBytes, DiscreteBytes, FifoBytes)
