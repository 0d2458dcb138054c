"""asyncua still needs what we change in it: each test fails once the library has mended its part.

When one does, take the change out of `hardening.py` or `bounded.py`, and its test out of this file.
"""

import json
import subprocess
import sys
from typing import Any

import pytest
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary

from linewitness.devices.opcua.connection import client, hardening
from linewitness.devices.opcua.connection.bounded import MAX_CHUNK_BYTES, MAX_MESSAGE_BYTES

pytestmark = pytest.mark.heavy

#: The library alone, in a process of its own, with what a server may send.
ALONE = """
import asyncio, dataclasses, json, logging
from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.structures104 import load_custom_struct
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.ua_binary import extensionobject_from_binary, extensionobject_to_binary
from asyncua.ua.ua_binary import struct_from_binary, variant_from_binary

level = logging.getLogger("asyncua").getEffectiveLevel()
logging.disable()


class Transport:
    closed = False

    def write(self, data):
        pass

    def close(self):
        self.closed = True


def protocol():
    made = Client("opc.tcp://127.0.0.1:1").uaclient._make_protocol()
    made.connection_made(Transport())
    return made


def count(number):
    return number.to_bytes(4, "little")


def array_of_nothing():
    return len(variant_from_binary(Buffer(bytes([0x80]) + count(1_000_000))).Value)


def dimensions():
    data = bytes([0xC6]) + count(1) + count(7) + count(2) + count(1000) * 2
    return sum(map(len, variant_from_binary(Buffer(data)).Value))


def negative_length():
    buffer = Buffer(b"abcdefgh")
    buffer.read(4)
    buffer.read(-4)
    return buffer.read(4).decode()


def latin_1():
    try:
        variant_from_binary(Buffer(b"\\x0c" + count(4) + b"caf\\xe9")).Value.encode()
    except UnicodeError as error:
        return type(error).__name__
    return "a text that a record can hold"


def server_time():
    # As node-opcua sends it: a time of the source, 5 of its picoseconds, a time of the server.
    times = [(133_000_000_000_000_000 + n).to_bytes(8, "little") for n in (0, 10_000_000)]
    data = bytes([0x1D]) + b"\\x06" + count(7) + times[0] + b"\\x05\\x00" + times[1]
    return struct_from_binary(ua.DataValue, Buffer(data)).ServerTimestamp.year


class TypeNode:
    # The node of a type with one field, as a server shows it.
    nodeid = ua.NodeId(3002, 2)

    def __init__(self, field):
        self.field = field

    async def read_data_type_definition(self):
        fields = [ua.StructureField(Name=self.field, DataType=ua.NodeId(11))]
        return ua.StructureDefinition(DefaultEncodingId=ua.NodeId(5001, 2), Fields=fields)

    async def read_browse_name(self):
        return ua.QualifiedName("Axis", 2)

    async def get_references(self, **_):
        return []


def structure_of_another_server():
    # Two servers number their structures alike: what one calls Speed is Force in the other.
    for field in ("Speed", "Force"):
        asyncio.run(load_custom_struct(TypeNode(field)))
    sent = ua.ExtensionObject(TypeId=ua.NodeId(5001, 2), Body=bytes(8))
    found = extensionobject_from_binary(Buffer(extensionobject_to_binary(sent)))
    return [field.name for field in dataclasses.fields(found)]


def message_without_end():
    made, most = protocol(), 0
    server = SecureConnection(SecurityPolicyNone(), TransportLimits())
    for number in range(100):
        chunk = server.message_to_binary(b"0" * 60_000, request_id=1).replace(b"MSGF", b"MSGC", 1)
        made.data_received(chunk)
        most = max(most, sum(len(part.Body) for part in made._connection._incoming_parts))
    return most


def chunk_without_end():
    made = protocol()
    made.data_received(b"MSGF\\xff\\xff\\xff\\x7f")
    for _ in range(64):
        made.data_received(bytes(65_536))
    return 0 if made.transport.closed else len(made.receive_buffer or b"")


def limits_of_the_server():
    limits = protocol()._connection._limits
    theirs = 2**32 - 1
    limits.update_client_limits(
        ua.Acknowledge(ReceiveBufferSize=1, SendBufferSize=1, MaxMessageSize=theirs, MaxChunkCount=theirs)
    )
    return [limits.max_send_buffer, limits.max_message_size]


print(json.dumps({
    "log level": level,
    **{each.__name__: each() for each in (
        array_of_nothing, dimensions, negative_length, latin_1, server_time,
        structure_of_another_server, message_without_end, chunk_without_end,
        limits_of_the_server,
    )},
}))
"""


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_five_bytes_still_become_a_million_nothings(alone: dict[str, Any]) -> None:
    assert alone["array_of_nothing"] == 1_000_000


def test_dimensions_still_make_a_million_elements_up(alone: dict[str, Any]) -> None:
    assert alone["dimensions"] == 1_000_000


def test_a_length_below_zero_still_goes_back(alone: dict[str, Any]) -> None:
    assert alone["negative_length"] == "abcd"


def test_a_text_in_latin_1_still_cannot_be_written(alone: dict[str, Any]) -> None:
    assert alone["latin_1"] == "UnicodeEncodeError"


def test_picoseconds_still_spoil_the_servers_time(alone: dict[str, Any]) -> None:
    assert alone["server_time"] != 2022


def test_classes_of_structures_are_still_those_of_the_process(alone: dict[str, Any]) -> None:
    assert alone["structure_of_another_server"] == ["Speed"]


def test_a_message_still_grows_beyond_our_limit(alone: dict[str, Any]) -> None:
    assert alone["message_without_end"] > MAX_MESSAGE_BYTES


def test_a_chunk_still_grows_beyond_our_limit(alone: dict[str, Any]) -> None:
    assert alone["chunk_without_end"] > MAX_CHUNK_BYTES


def test_the_servers_limits_still_replace_the_clients(alone: dict[str, Any]) -> None:
    assert alone["limits_of_the_server"] == [1, 2**32 - 1]


def test_the_library_still_logs_what_we_raise(alone: dict[str, Any]) -> None:
    assert alone["log level"] < 50


def test_what_the_decoder_has_built_is_still_kept() -> None:
    """Without this cache, `harden` would not have to empty it."""
    assert all(callable(built.cache_clear) for built in hardening._BUILT)


def test_with_our_decoder_the_servers_time_is_right() -> None:
    """What the test of the library alone looks for would show it, too, if the library were right."""
    harden = "from linewitness.devices.opcua.connection import hardening\nhardening.harden()\n"
    code = f"{harden}{ALONE.partition('print(')[0]}print(server_time())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2022\n"


def test_importing_the_driver_changes_nothing_in_the_library() -> None:
    code = (
        "import linewitness.devices.opcua.driver\n"
        "from asyncua.common.utils import Buffer\n"
        "print(Buffer.read.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "asyncua.common.utils"


def test_making_a_client_hardens_the_library_once() -> None:
    client._new_client("opc.tcp://127.0.0.1:1", 1.0)
    changed = (Buffer.read, ua_binary._reshape, ua_binary.unpack_uatype_array)
    assert changed == (hardening.read_forward, hardening.reshape, hardening.unpack_array)
    assert ua_binary.Primitives.String.unpack is hardening.read_text
