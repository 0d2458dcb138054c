"""The demo's broker: mosquitto where it is installed, otherwise one inside this process."""

import asyncio
import logging
from pathlib import Path
from typing import Any, Protocol

from linewitness.base.clock import monotonic
from linewitness.base.errors import UplinkUnavailable

START_S = 10.0


class Broker(Protocol):
    """A broker on a fixed port of the loopback interface that can be taken away and brought back."""

    port: int
    name: str
    #: The version of MQTT that it speaks, as `uplink.protocol` names it.
    protocol: str

    async def start(self) -> None:
        """Start it, and return when it can be reached."""

    async def stop(self) -> None:
        """Take it away; nothing happens if it is away."""


class Mosquitto:
    """A real mosquitto with persistence, so that a restart keeps retained messages."""

    name = "mosquitto"
    protocol = "auto"

    def __init__(self, folder: Path, port: int, program: Path) -> None:
        """Write its configuration; `start` starts it."""
        self.port = port
        self._program = program
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {folder}/\nuser root\nlog_dest stderr\n",
            encoding="utf-8",
        )

    async def start(self) -> None:
        """Start it, and return when it listens."""
        with (self._folder / "broker.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(self._program), "-c", str(self._configuration), stdout=log, stderr=log
            )
        await _reachable(self.port)

    async def stop(self) -> None:
        """Stop it and wait for its end."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            await process.wait()


class EmbeddedBroker:
    """amqtt inside this process. It speaks MQTT 3.1.1 and forgets retained messages when stopped."""

    name = "amqtt (embedded)"
    protocol = "3.1.1"

    def __init__(self, _folder: Path, port: int) -> None:
        """Take the port; `start` starts it."""
        self.port = port
        self._broker: Any = None

    async def start(self) -> None:
        """Start it, and return when it listens."""
        from amqtt.broker import Broker as AmqttBroker  # noqa: PLC0415 (an extra that only the demo needs)

        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        self._broker = AmqttBroker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await self._broker.start()

    async def stop(self) -> None:
        """Stop it."""
        broker, self._broker = self._broker, None
        if broker is not None:
            await broker.shutdown()


async def _reachable(port: int) -> None:
    deadline = monotonic() + START_S
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if monotonic() > deadline:
                raise UplinkUnavailable(f"the broker does not listen on port {port}") from None
            await asyncio.sleep(0.05)
            continue
        writer.close()
        await writer.wait_closed()
        return
