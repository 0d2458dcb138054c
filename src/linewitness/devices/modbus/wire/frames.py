"""Answers as they came: the bytes behind the function code, for one place to check them."""

from typing import Final

from pymodbus.pdu import DecodePDU
from pymodbus.pdu.exceptionresponse import ExceptionResponse
from pymodbus.pdu.file_message import ReadFifoQueueResponse
from pymodbus.pdu.pdu import ModbusPDU

from linewitness.devices.modbus.wire.protocol import ERROR_BIT

_FIFO_HEADER: Final = 4
_RTU_FIFO_FRAME: Final = 6
#: The functions that the driver uses: coils, inputs, registers, writes, FIFO queue, identification.
_FUNCTIONS: Final = frozenset({1, 2, 3, 4, 5, 6, 16, 24, 43})


class RawAnswer(ModbusPDU):
    """One whole answer; what its bytes mean is not looked at yet."""

    def __init__(self, frame: bytes) -> None:
        """Take the function code and what follows it, without address and checksum."""
        super().__init__()
        self.function_code = frame[0]
        self.body = frame[1:]


class AnswerDecoder(DecodePDU):
    """Tells the library where a frame ends, and leaves its bytes undecoded: its own decoders trust counts."""

    def __init__(self) -> None:
        """Decode what devices send to a client."""
        super().__init__(is_server=False)

    def lookupPduClass(self, data: bytes) -> type[ModbusPDU] | None:  # noqa: N802 - the library's name
        """Return what knows the length of an RTU frame; None for a function that nobody asked for."""
        function = data[1]
        if function & ERROR_BIT:
            return ExceptionResponse
        if function == _SizedFifo.function_code:
            return _SizedFifo
        return super().lookupPduClass(data) if function in _FUNCTIONS else None

    def decode(self, frame: bytes) -> RawAnswer:
        """Return a frame's bytes; never fails."""
        return RawAnswer(frame)


class _SizedFifo(ReadFifoQueueResponse):
    """A FIFO queue's answer, with the length that it has on a serial line."""

    @classmethod
    def calculateRtuFrameSize(cls, data: bytes) -> int:  # noqa: N802 - the name that the library calls
        """Return the size of the frame: its byte count covers the count of values and the values."""
        if len(data) < _FIFO_HEADER:
            return 0
        return int.from_bytes(data[2:4], "big") + _RTU_FIFO_FRAME
