"""Open the connection to the broker (name, TCP, TLS) without ever holding up the event loop."""

import asyncio
import errno
import socket
import ssl
import threading
from pathlib import Path
from typing import Final

from linewitness.base.errors import ConfigurationError, UplinkRefused, UplinkUnavailable
from linewitness.uplink.options import MqttOptions

READ_BYTES: Final = 65_536
#: The largest batch that can be configured (16 MiB) and its topic; MQTT itself allows 256 MiB.
MAX_PACKET_BYTES: Final = 17 * 1024**2

#: Alerts by which a broker says that our certificate is missing or not good enough.
_CERTIFICATE_ALERTS: Final = (
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_UNKNOWN",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
    "HANDSHAKE_FAILURE",
)
#: What a peer answers that does not speak TLS, or not this version.
_PROTOCOL_ALERTS: Final = ("WRONG_VERSION_NUMBER", "PROTOCOL_VERSION", "RECORD_LAYER_FAILURE")
_TLS_PORT: Final = "is it the broker's TLS port, and is it up?"


class Wire:
    """A connected socket, non-blocking, read in large pieces, that remembers why it broke."""

    def __init__(self, connected: socket.socket) -> None:
        """Take over a socket that is connected and, with TLS, has shaken hands."""
        self._socket = connected
        self._unread = b""
        self.error: OSError | None = None

    @property
    def pending(self) -> bool:
        """Whether bytes have been read that `recv` has not returned: the socket need not become readable."""
        return bool(self._unread)

    def recv(self, size: int) -> bytes:
        """Return up to `size` bytes; b"" at the end; raises BlockingIOError or the SSLWant errors.

        The library asks for the rest of a packet at once: for more than a packet of ours it gets an error.
        """
        if size > MAX_PACKET_BYTES:
            self.error = OSError(errno.EMSGSIZE, f"a packet of {size} bytes was announced")
            raise self.error
        if not self._unread:
            try:
                self._unread = self._socket.recv(READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except OSError as error:
                self.error = error
                raise
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def send(self, data: bytes | bytearray) -> int:
        """Send what the socket takes now, and return how much that was."""
        try:
            return self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            self.error = error
            raise

    def close(self) -> None:
        """Close the socket; again is harmless."""
        self._socket.close()

    def fileno(self) -> int:
        """Return the descriptor to wait on, or -1 once closed."""
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:
        """Choose whether calls wait."""
        self._socket.setblocking(flag)


async def open_wire(options: MqttOptions) -> Wire:
    """Connect; UplinkUnavailable if nobody answers, UplinkRefused if certificates do not fit.

    Resolving names, connecting and shaking hands all block, so a worker thread does them.
    """
    opening = _Opening(options)
    try:
        return Wire(await asyncio.to_thread(opening.run))
    except asyncio.CancelledError:
        opening.abandon()
        raise
    except ssl.SSLError as error:
        raise tls_error(options, error) from error
    except OSError as error:
        raise UplinkUnavailable(
            f"no connection to {options.host}:{options.port}: {error.strerror or error}",
            hint="is the broker running, and is the url right?",
        ) from error


def tls_error(options: MqttOptions, error: ssl.SSLError) -> UplinkRefused | UplinkUnavailable:
    """Return a TLS error in words; refusals are those that retrying does not help."""
    where = f"{options.host}:{options.port}"
    reason = (error.reason or "").upper()
    if isinstance(error, ssl.SSLCertVerificationError):
        return UplinkRefused(
            f"the certificate of {where} is not accepted: {error.verify_message}",
            hint="tls.ca names who may vouch for the broker, tls.server_name the name in its certificate",
        )
    if any(alert in reason for alert in _CERTIFICATE_ALERTS):
        return UplinkRefused(
            f"{where} does not accept our certificate: {reason.lower().replace('_', ' ')}",
            hint="check tls.certificate and tls.key, and that the broker knows who signed it",
        )
    if any(alert in reason for alert in _PROTOCOL_ALERTS):
        return UplinkRefused(
            f"{where} does not speak TLS 1.2 or newer: {reason.lower().replace('_', ' ')}",
            hint="is it the broker's TLS port? mqtt:// is for the one without TLS",
        )
    alert = reason.lower().replace("_", " ") or str(error)
    return UplinkUnavailable(f"the TLS connection to {where} broke: {alert}", hint=_TLS_PORT)


class _Opening:
    """One attempt in a worker thread, whose socket is closed if nobody waits for it any more."""

    def __init__(self, options: MqttOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._abandoned = False
        self._opened: socket.socket | None = None

    def run(self) -> socket.socket:
        opened = _open(self._options)
        with self._lock:
            if self._abandoned:
                opened.close()
            self._opened = opened
        return opened

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            if self._opened is not None:
                self._opened.close()


def _open(options: MqttOptions) -> socket.socket:
    context = _tls_context(options) if options.secure else None
    plain = socket.create_connection((options.host, options.port), timeout=options.connect_timeout_s)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            return plain
        return context.wrap_socket(plain, server_hostname=options.tls.server_name or options.host)
    except ConnectionError as error:
        plain.close()
        raise UplinkUnavailable(
            f"{options.host}:{options.port} hung up during the TLS handshake", hint=_TLS_PORT
        ) from error
    except BaseException:
        plain.close()
        raise


def _tls_context(options: MqttOptions) -> ssl.SSLContext:
    """Return a context that verifies the broker and offers our certificate."""
    tls = options.tls
    context = ssl.create_default_context() if tls.ca is None else _trusting(tls.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate is not None and tls.key is not None:
        try:
            context.load_cert_chain(tls.certificate, tls.key.path, password=_no_password)
        except (OSError, ValueError) as error:  # SSLError is an OSError
            raise ConfigurationError(
                f"the certificate {tls.certificate} and its key cannot be used: {error}",
                hint="both are PEM files, and the key is not encrypted and belongs to the certificate",
            ) from None
    return context


def _trusting(ca: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise ConfigurationError(
            f"the certificate authorities in {ca} cannot be read: {error}", hint="it is a PEM file"
        ) from None


def _no_password() -> str:
    raise ValueError("the key is encrypted")
