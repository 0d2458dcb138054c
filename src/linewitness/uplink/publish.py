"""Read a PUBLISH packet (MQTT 3.1.1 and MQTT 5, section 3.3), in time that grows with its length alone."""

import struct
from typing import Final, NamedTuple

_UINT16: Final = struct.Struct("!H")
#: A variable byte integer has at most so many bytes.
_VARIABLE_BYTES: Final = 4


class BadPublish(ValueError):
    """The packet ends before what it announces, or asks for a QoS that was not subscribed."""


class Publish(NamedTuple):
    """A message as the broker sends it; its properties are not read. `mid` is 0 with QoS 0."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    retained: bool


def read_publish(flags: int, packet: bytes | bytearray, *, version_5: bool) -> Publish:
    """Take a packet apart: `flags` is its first byte, `packet` all that follows the remaining length.

    The payload is copied once. Properties are skipped by their length: publishers choose them, and nobody
    here asks for any. Raises BadPublish.
    """
    qos = flags >> 1 & 3
    if qos > 1:
        raise BadPublish(f"QoS {qos} was not subscribed")
    topic_at = _UINT16.size
    at = topic_at + _uint16(packet, 0)
    topic = bytes(packet[topic_at:at]).decode("utf-8", "replace")
    mid = 0
    if qos:
        mid = _uint16(packet, at)
        at += _UINT16.size
    if version_5:
        at = _after_properties(packet, at)
    if at > len(packet):
        raise BadPublish("the packet ends before its payload")
    with memoryview(packet) as view:
        return Publish(topic, bytes(view[at:]), mid, qos, bool(flags & 1))


def _uint16(packet: bytes | bytearray, at: int) -> int:
    try:
        value: int = _UINT16.unpack_from(packet, at)[0]
    except struct.error:
        raise BadPublish("the packet ends before its payload") from None
    return value


def _after_properties(packet: bytes | bytearray, at: int) -> int:
    length = 0
    for position, byte in enumerate(packet[at : at + _VARIABLE_BYTES]):
        length |= (byte & 127) << 7 * position
        if byte < 128:  # noqa: PLR2004 (the highest bit says that another byte follows)
            return at + position + 1 + length
    raise BadPublish("the length of the properties is malformed")
