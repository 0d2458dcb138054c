"""Peers that send without end what no device should: what they say, and all of them in another process.

As a program: `python -m support.worst_peers PORT TOPIC`. It prints the port of each device as JSON, floods
the topic at the broker on PORT with huge messages, and ends with its input.
"""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from support.floods import flooding
from support.greedy import greedy

#: Messages of many lines, each of which somebody could take for a record.
SHORT_LINES: Final = b"aa\n" * (16 * 2**20 // 3)

#: More of them in a second, and the broker keeps gigabytes, or drops what others send to the same topic.
RATE: Final = 2.0

FLOODS: Final = {
    "nothing but letters": b"A" * 65_536,
    "short lines": b"A1\r\n" * 16_384,
    "zeros": b"\0" * 65_536,
    "digits": b"9" * 65_536,
    "large announced frames": b"\x00\x01\x00\x00\xff\xff\x01\x03" + b"\xff" * 65_528,
}
GIGABYTES: Final = b"ACKF\xff\xff\xff\x7f" + b"\0" * 65_528


def telegram(mid: int, data: str = "", revision: int = 1) -> bytes:
    text = f"{20 + len(data):04d}{mid:04d}{revision:03d}{'':9}{data}"
    return text.encode() + b"\0"


def controller(connection: socket.socket) -> None:
    """Agree to everything until results are asked for."""
    while True:
        said = connection.recv(4096)
        if not said:
            raise ConnectionError
        mid = int(said[4:8])
        if mid == 1:
            connection.sendall(telegram(2, "010001020103" + "Airbag1".ljust(25)))
            continue
        if mid == 60:
            connection.sendall(telegram(5, f"{mid:04d}"))
            return
        if mid != 9999:
            connection.sendall(telegram(4, f"{mid:04d}99"))


RESULT: Final = telegram(
    61,
    "010001020103Airbag1                  04SN0001                   0500060010700000800000900010111"
    "112001200130013001400125015001230160000017003601800090190004520"
    "2026-11-20:10:00:00212026-11-20:10:00:00222230000000042",
)


def _silent(_: socket.socket) -> None:
    pass


#: What each of these devices is in the YAML of a line, what it sends, and what it says before.
PEERS: Final[dict[str, tuple[str, bytes, Callable[[socket.socket], object]]]] = {
    "mad-letters": ("driver: scanner", FLOODS["nothing but letters"], _silent),
    "mad-lines": ("driver: scanner", FLOODS["short lines"], _silent),
    "mad-scale": ("driver: mt_sics, trigger: key", FLOODS["digits"], _silent),
    "mad-oven": (
        "driver: modbus, points: [{id: a, table: holding, address: 0, type: uint16, record: change}]",
        FLOODS["large announced frames"],
        _silent,
    ),
    "mad-digits": ("driver: open_protocol, timezone: UTC", FLOODS["digits"], _silent),
    "mad-wrench": ("driver: open_protocol, timezone: UTC", RESULT * 200, controller),
    "mad-press": (
        'driver: opcua, points: [{id: a, node: "ns=2;s=A", record: change}]',
        GIGABYTES,
        lambda connection: connection.recv(4096),
    ),
}


def in_yaml(ports: dict[str, int]) -> str:
    """Return the devices as items of the list `devices`."""
    lines = []
    for name, port in ports.items():
        settings = PEERS[name][0]
        place = f"host: 127.0.0.1, port: {port}"
        if "opcua" in settings:
            place = f'endpoint: "opc.tcp://127.0.0.1:{port}"'
        lines.append(f"  - {{id: {name}, {place}, {settings}}}\n")
    return "".join(lines)


@asynccontextmanager
async def worst_peers(broker: int, topic: str) -> AsyncIterator[dict[str, int]]:
    """Run all of them in another process, so that they take no time from the honest ones in this one."""
    path = os.pathsep.join([*filter(None, sys.path), str(Path(__file__).parents[1])])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "support.worst_peers", str(broker), topic),
        env=os.environ | {"PYTHONPATH": path},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield json.loads(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


def main(broker: int, topic: str) -> None:
    with ExitStack() as stack:
        ports = {}
        for name, (_, chunk, greet) in PEERS.items():
            ports[name] = stack.enter_context(flooding(chunk, greet=greet, offered=sys.maxsize)).port
        stack.enter_context(greedy(broker, topic, SHORT_LINES, rate=RATE))
        print(json.dumps(ports), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
