"""Ask an NTP server, and believe its answer only after each check of RFC 5905 that a client can make."""

import asyncio
import secrets
import socket
import struct
from dataclasses import dataclass
from typing import Final

import ntplib

from linewitness.base.clock import NS_PER_S, Stamp
from linewitness.timesources.options import split_server
from linewitness.timesources.sample import Leap, Sample, SourceDeclined, SourceSilent, StampSource

PACKET_BYTES: Final = 48
MODE_SERVER: Final = 4
LEAP_UNKNOWN: Final = 3
STRATUM_UNSYNCHRONISED: Final = 16
#: Farther from the primary source than this counts as infinity (MAXDISP of RFC 5905).
ROOT_DISTANCE_LIMIT_NS: Final = 16 * NS_PER_S
#: NTP seconds count from 1900; after 2036 they begin again.
NTP_EPOCH_S: Final = -2_208_988_800
ERA_S: Final = 1 << 32
#: No clock is finer than this, whatever a server says: 2^-30 s.
FINEST: Final = -30
#: How far a server's stay may seem longer than the whole round trip: reading clocks takes time.
READING_NS: Final = 50_000
#: The round trip is measured by our oscillator, which is off by 1000 ppm at the very most.
ROUND_TRIP_ERROR: Final = 1000
#: The codes with which a server asks for fewer questions or none; the others say that it does not know.
REQUESTS: Final = frozenset({"RATE", "DENY", "RSTR"})

_LEAPS: Final = {0: Leap.NONE, 1: Leap.INSERT, 2: Leap.DELETE}
#: Not read by ntplib, which makes floats of them: steps of 0.48 µs, and no era.
_TIMES: Final = struct.Struct("!QQQQ")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question with its unguessable mark, and the bytes that came back."""

    mark: bytes
    sent: Stamp
    reply: bytes
    received: Stamp


def question() -> tuple[bytes, bytes]:
    """Return a client's packet and the mark by which its answer is known.

    The transmit timestamp is random: the server must return it as the origin, nobody off the path can
    guess it, and it tells nobody what our clock reads.
    """
    mark = secrets.token_bytes(8)
    packet: bytes = ntplib.NTPPacket(version=4, mode=3).to_data()
    return packet[:40] + mark, mark


def answers(mark: bytes, packet: bytes) -> bool:
    """Return whether a packet answers the question with this mark."""
    return len(packet) >= PACKET_BYTES and packet[24:32] == mark


def check(exchange: Exchange, source: str) -> Sample:
    """Return what a server's answer proves; SourceSilent or SourceDeclined if it proves nothing."""
    if not answers(exchange.mark, exchange.reply):
        raise SourceSilent("its answer belongs to another question (origin timestamp)")
    header = ntplib.NTPStats()
    header.from_data(exchange.reply)
    _check_header(header)
    reference, _, arrived, left = (_unix_ns(time) for time in _TIMES.unpack(exchange.reply[16:48]))
    if arrived is None or left is None or left < arrived or (reference is not None and reference > left):
        raise SourceSilent("its timestamps contradict each other")
    return _sample(exchange, source, header, arrived, left)


def _check_header(header: ntplib.NTPStats) -> None:
    if header.mode != MODE_SERVER:
        raise SourceSilent(f"it is not a server's answer (mode {header.mode})")
    code = _letters(header.ref_id)
    if header.stratum == 0 and code in REQUESTS:  # these have leap 3, too
        raise SourceDeclined(code)
    if header.leap == LEAP_UNKNOWN:
        raise SourceSilent("it says that it is not synchronised (leap 3)")
    if header.stratum == 0:
        raise SourceSilent(f"it does not know the time: {code}")
    if header.stratum >= STRATUM_UNSYNCHRONISED:
        raise SourceSilent(f"it says that it is not synchronised (stratum {header.stratum})")


def _sample(exchange: Exchange, source: str, header: ntplib.NTPStats, arrived: int, left: int) -> Sample:
    # Round trip and middle are taken on CLOCK_BOOTTIME: a step during the question does not matter.
    sent, received = exchange.sent.boottime_ns, exchange.received.boottime_ns
    delay = (received - sent) - (left - arrived)
    precision = round(2.0 ** max(header.precision, FINEST) * NS_PER_S)
    if delay < -(precision + READING_NS):
        raise SourceSilent("it says that it kept our question longer than the answer took")
    root_delay = round(header.root_delay * NS_PER_S)
    root_dispersion = round(header.root_dispersion * NS_PER_S)
    distance = root_delay // 2 + root_dispersion
    if distance >= ROOT_DISTANCE_LIMIT_NS:
        raise SourceSilent("it says that it does not know the time (root distance)")
    middle = (sent + received) // 2
    utc = (arrived + left) // 2
    realtime = (exchange.sent.realtime_ns + exchange.received.realtime_ns) // 2
    # Truth: the packet took no negative time in either direction, and the server is as good as it says.
    half = max(delay, 0) // 2 + distance + precision + READING_NS + (received - sent) // ROUND_TRIP_ERROR
    return Sample(
        source=source,
        boottime_ns=middle,
        utc_ns=utc,
        half_ns=half,
        offset_ns=utc - realtime,
        delay_ns=max(delay, 0),
        root_dispersion_ns=distance,
        stratum=header.stratum,
        reference=_reference(header),
        leap=_LEAPS[header.leap],
    )


def _unix_ns(timestamp: int) -> int | None:
    """Return Unix nanoseconds of a 64-bit timestamp, or None for the zero that means unknown."""
    if timestamp == 0:
        return None
    seconds, fraction = timestamp >> 32, timestamp & 0xFFFF_FFFF
    # The first bit is set from 1968 to 2036; without it the era after that is meant (RFC 4330, section 3).
    era = 0 if seconds >> 31 else ERA_S
    return (seconds + era + NTP_EPOCH_S) * NS_PER_S + ((fraction * NS_PER_S) >> 32)


def _letters(ref_id: int) -> str:
    text = ref_id.to_bytes(4, "big").rstrip(b"\0").decode("ascii", "replace")
    return text if text.isalnum() else "without a code"


def _reference(header: ntplib.NTPStats) -> str:
    if header.stratum == 1:
        return _letters(header.ref_id)
    return ".".join(str(byte) for byte in header.ref_id.to_bytes(4, "big"))


class NtpSource:
    """One NTP server."""

    def __init__(self, server: str, *, clock: StampSource, timeout_s: float) -> None:
        """Set whom to ask, as the YAML names it."""
        self._name = server
        self._host, self._port = split_server(server)
        self._clock = clock
        self._timeout_s = timeout_s

    @property
    def name(self) -> str:
        """The server as the YAML names it."""
        return self._name

    async def ask(self) -> Sample:
        """Ask once, in a worker thread: names are resolved and clocks read without the loop's delays."""
        exchange = await asyncio.to_thread(self._exchange)
        return check(exchange, self._name)

    def _exchange(self) -> Exchange:
        """Ask at the first of the server's addresses that can be reached."""
        trouble = OSError("it has no address")
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
        except OSError as error:
            found, trouble = [], error
        for family, kind, protocol, _, address in found:
            try:
                with socket.socket(family, kind, protocol) as connected:
                    # Connected: the kernel drops what comes from anybody else, and says when nobody listens.
                    connected.connect(address)
                    return self._ask_on(connected)
            except TimeoutError:
                raise SourceSilent(f"no answer within {self._timeout_s} s") from None
            except OSError as error:
                trouble = error
        raise SourceSilent(f"it cannot be reached: {trouble.strerror or trouble}") from trouble

    def _ask_on(self, connected: socket.socket) -> Exchange:
        packet, mark = question()
        sent = self._clock.stamp()
        connected.send(packet)
        deadline_ns = sent.boottime_ns + int(self._timeout_s * NS_PER_S)
        received = sent
        foreign = False
        while received.boottime_ns < deadline_ns:
            connected.settimeout((deadline_ns - received.boottime_ns) / NS_PER_S)
            try:
                reply = connected.recv(1024)
            except TimeoutError:
                break
            received = self._clock.stamp()
            if answers(mark, reply):
                return Exchange(mark, sent, reply, received)
            foreign = True  # forged or very late; the true answer may still come
        if foreign:
            raise SourceSilent("its answers belong to other questions (origin timestamp)")
        raise TimeoutError
