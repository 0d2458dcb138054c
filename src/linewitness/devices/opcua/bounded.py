"""Hold the library to what we announced: a server cannot make us store a message of gigabytes."""

from typing import Final

from linewitness.devices.opcua.wire import Client

#: We announce 65,535 bytes a chunk; a server may exceed that, but not without bound.
MAX_CHUNK_BYTES: Final = 1024 * 1024


def bound(client: Client) -> None:
    """Let a connection of this client end where a chunk is longer than any server of ours sends."""
    transport = client.uaclient
    make = transport._make_protocol  # noqa: SLF001 (the library offers no setting for it)

    def make_bounded() -> object:
        protocol = make()
        receive = protocol.data_received

        def receive_bounded(data: bytes) -> None:
            if len(protocol.receive_buffer or b"") + len(data) > MAX_CHUNK_BYTES:
                protocol.receive_buffer = None
                protocol.disconnect_socket()
                return
            receive(data)

        protocol.data_received = receive_bounded  # type: ignore[method-assign]  # one connection, not the class
        return protocol

    transport._make_protocol = make_bounded  # type: ignore[assignment,method-assign]  # noqa: SLF001 (as above)
