"""A PUBLISH packet as a broker sends it: written here by hand, from the MQTT specifications."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewitness.uplink.publish import BadPublish, Publish, read_publish

TOPIC = b"\x00\x03a/b"
USER_PROPERTY = b"\x26\x00\x01k\x00\x01v"


def variable(number: int) -> bytes:
    """Return a variable byte integer (MQTT 5, section 1.5.5)."""
    found = bytearray()
    while True:
        number, digit = divmod(number, 128)
        found.append(digit | (128 if number else 0))
        if not number:
            return bytes(found)


@pytest.mark.parametrize(
    ("flags", "packet", "version_5", "expected"),
    [
        (0x30, TOPIC + b"x", False, Publish("a/b", b"x", 0, 0, retained=False)),
        (0x32, TOPIC + b"\x01\x02x", False, Publish("a/b", b"x", 258, 1, retained=False)),
        (0x3B, TOPIC + b"\x00\x07\x00x", True, Publish("a/b", b"x", 7, 1, retained=True)),
        (0x32, TOPIC + b"\x00\x07\x07" + USER_PROPERTY + b"x", True, Publish("a/b", b"x", 7, 1, False)),
        (0x32, TOPIC + b"\x00\x07\x00", True, Publish("a/b", b"", 7, 1, retained=False)),
        (0x30, b"\x00\x01\xff\x00", True, Publish("\ufffd", b"", 0, 0, retained=False)),
    ],
)
def test_topic_number_and_payload_are_read(
    flags: int, packet: bytes, *, version_5: bool, expected: Publish
) -> None:
    assert read_publish(flags, bytearray(packet), version_5=version_5) == expected


@pytest.mark.parametrize(
    ("flags", "packet", "version_5"),
    [
        (0x34, TOPIC + b"\x00\x01x", False),
        (0x30, b"", False),
        (0x30, b"\x00\x09a", False),
        (0x32, TOPIC + b"\x00", False),
        (0x32, TOPIC + b"\x00\x01", True),
        (0x32, TOPIC + b"\x00\x01\x08abc", True),
        (0x32, TOPIC + b"\x00\x01\xff\xff\xff\xff\x01", True),
    ],
)
def test_a_packet_that_ends_too_early_is_refused(flags: int, packet: bytes, *, version_5: bool) -> None:
    with pytest.raises(BadPublish):
        read_publish(flags, packet, version_5=version_5)


@given(flags=st.integers(0x30, 0x3F), packet=st.binary(max_size=40), version_5=st.booleans())
def test_any_bytes_are_read_or_refused(flags: int, packet: bytes, *, version_5: bool) -> None:
    try:
        found = read_publish(flags, packet, version_5=version_5)
    except BadPublish:
        return
    assert packet.endswith(found.payload)


def test_sixteen_mebibytes_of_properties_cost_no_more_than_their_bytes() -> None:
    """A library that reads one after the other, and copies the rest each time, would take days."""
    properties = USER_PROPERTY * (16 * 2**20 // len(USER_PROPERTY))
    packet = TOPIC + b"\x00\x07" + variable(len(properties)) + properties + b"x"
    assert read_publish(0x32, bytearray(packet), version_5=True).payload == b"x"
