"""One open connection to a bus: send a request, get the answer's bytes, or say why not."""

import asyncio
import logging
import ssl
from functools import partial
from typing import Any, Final

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.framer import FramerType
from pymodbus.pdu.pdu import ModbusPDU
from pymodbus.transport import CommParams, CommType

from linewitness.base.errors import DeviceRefused, DeviceUnavailable
from linewitness.devices.endings import how_ended
from linewitness.devices.modbus.options import ModbusOptions
from linewitness.devices.modbus.wire.answers import read_answer
from linewitness.devices.modbus.wire.frames import AnswerDecoder, RawAnswer

#: The library writes to its own logger; nothing of it belongs on a user's terminal.
logging.getLogger("pymodbus").addHandler(logging.NullHandler())

#: What messages call the other side.
PEER: Final = "the device"
#: How a connection ended that was never opened, or that nobody needs any more.
NOT_OPEN: Final = "there is no connection"
_PARITY: Final = {"none": "N", "even": "E", "odd": "O"}


class NoAnswer(Exception):
    """Nothing came within the time, which its text names; the connection may still be good."""


class MalformedAnswer(NoAnswer):
    """Something came that is not what was asked for; its text says how. Nothing of it is used."""


class LinkBroken(Exception):
    """The connection is gone; its text says how it ended."""


class ModbusError(Exception):
    """The device answered with an exception code."""

    def __init__(self, code: int) -> None:
        """Keep the code as it came."""
        super().__init__(code)
        self.code = code


class ModbusLink:
    """A connection that is open or has been."""

    def __init__(self, options: ModbusOptions) -> None:
        """Prepare a connection to the place that the options name."""
        self._place = options.place
        self._timeout = options.timeout_s
        self._client = _client(options)
        self._ended = NOT_OPEN
        # Not `trace_connect`, which is told only that the connection ended.
        client: Any = self._client.ctx
        client.callback_disconnected = self._on_end
        self._client.ctx.framer.decoder = AnswerDecoder()
        self._numbered = options.has_transaction_ids
        self._waiting: asyncio.Future[RawAnswer] | None = None
        if options.tls is not None and options.tls.server_name is not None:
            connect: Any = self._client.ctx.call_create
            self._client.ctx.call_create = partial(connect, server_hostname=options.tls.server_name)

    @property
    def is_open(self) -> bool:
        """True while the connection stands, as far as is known."""
        return self._client.connected

    async def open(self) -> None:
        """Connect. Raises DeviceUnavailable, or DeviceRefused where the certificate is not trusted."""
        ctx = self._client.ctx
        try:
            async with asyncio.timeout(self._timeout):
                ctx.transport, _ = await ctx.call_create()
        except TimeoutError:
            raise DeviceUnavailable(
                f"{self._place} did not answer within {self._timeout:g} s",
                hint="check power, cable and address",
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise DeviceRefused(
                f"{self._place} showed a certificate that is not trusted: {error.verify_message}",
                hint="compare tls.ca and tls.server_name with the device's certificate",
            ) from None
        except OSError as error:
            raise DeviceUnavailable(
                f"{self._place} cannot be reached: {error.strerror or error}",
                hint="check address, port and that the device listens",
            ) from None

    def close(self) -> None:
        """Close the connection; a second time does nothing."""
        self._client.close()
        self._wake()

    async def ask(self, request: ModbusPDU, timeout_s: float) -> bytes:
        """Send one request and return the bytes that it asked for; one at a time.

        Raises NoAnswer, MalformedAnswer, LinkBroken or ModbusError.
        """
        ctx = self._client.ctx
        if not self._client.connected:
            raise LinkBroken(self._ended)
        request.transaction_id = ctx.getNextTID()
        self._waiting = ctx.response_future = asyncio.get_running_loop().create_future()
        try:
            # Not the library's own `execute`: its `wait_for` swallows a cancellation that meets the answer.
            ctx.pdu_send(request)
            async with asyncio.timeout(timeout_s):
                raw = await self._waiting
        except TimeoutError:
            if not self._client.connected:
                raise LinkBroken(self._ended) from None
            raise NoAnswer(f"no answer within {timeout_s:g} s") from None
        except OSError as error:
            raise LinkBroken(how_ended(error, PEER)) from None
        finally:
            self._waiting = None
        try:
            answer = read_answer(request, raw, numbered=self._numbered)
        except ValueError as error:
            raise MalformedAnswer(str(error)) from None
        if answer.exception_code is not None:
            raise ModbusError(answer.exception_code)
        return answer.payload

    def _on_end(self, error: Exception | None) -> None:
        self._ended = how_ended(error, PEER)
        self._wake()

    def _wake(self) -> None:
        """End the wait for an answer that cannot come."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(LinkBroken(self._ended))


def _client(options: ModbusOptions) -> ModbusBaseClient:
    if options.serial is not None:
        try:
            return AsyncModbusSerialClient(
                options.serial.port,
                framer=FramerType.RTU,
                baudrate=options.serial.baudrate,
                parity=_PARITY[options.serial.parity],
                stopbits=options.serial.stopbits,
                reconnect_delay=0,
                timeout=options.timeout_s,
                retries=0,
            )
        except RuntimeError:
            raise DeviceRefused(
                f"{options.id}: transport serial needs the package pyserial", hint="pip install pyserial"
            ) from None
    params = CommParams(
        comm_name=options.id,
        comm_type=CommType.TLS if options.tls else CommType.TCP,
        host=options.host or "",
        port=options.tcp_port,
        timeout_connect=options.timeout_s,
        sslctx=_tls_context(options),
    )
    framer = FramerType.RTU if options.transport == "rtu-over-tcp" else FramerType.SOCKET
    return _TcpClient(params, framer)


class _TcpClient(AsyncModbusTcpClient):
    """The library's TCP client with our parameters: its TLS framer takes any chunk for a whole frame."""

    def __init__(self, params: CommParams, framer: FramerType) -> None:
        self.comm_params = params
        super().__init__(params.host, framer=framer, port=params.port, retries=0)


def _tls_context(options: ModbusOptions) -> ssl.SSLContext | None:
    files = options.tls
    if files is None:
        return None
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(files.ca))
        if files.certificate is not None:
            context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        raise DeviceRefused(
            f"{options.id}: the TLS files cannot be used: {error}", hint="check tls.ca, certificate and key"
        ) from None
    return context
