"""MQTT brokers of other makers, each a process of its own on a port of the loopback interface."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from pathlib import Path

from linewitness.base.errors import UplinkRefused, UplinkUnavailable
from linewitness.demo.broker import Broker
from linewitness.demo.plant import free_port
from linewitness.uplink.mqtt import MqttConnector
from linewitness.uplink.options import MqttOptions, Protocol
from support.npm import installed
from support.waiting import until

AEDES = Path(__file__).parents[1] / "foreign" / "aedes"
#: Debian installs it where the path of users does not lead.
NATS = shutil.which("nats-server") or "/usr/sbin/nats-server"
RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
#: RabbitMQ takes seconds to start, and longer on a machine that has other work.
START_S = 90.0
STOP_S = 30.0


class Listener:
    """A program that listens on a port; it can be taken away and brought back."""

    def __init__(self, log: Path, port: int, *command: str, **environment: str) -> None:
        """Describe the program; `start` starts it."""
        self.port = port
        self._log = log
        self._command = command
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and return when it listens."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=self._log.parent,
                env=os.environ | self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # what it starts in turn ends with it
            )
        await until(self._listens, lambda: f"port {self.port}; {self.said()}", timeout_s=START_S)

    async def stop(self) -> None:
        """Ask it to stop, wait for its end, and leave nothing behind that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            process.terminate()
            async with asyncio.timeout(STOP_S):
                await process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    def said(self) -> str:
        """Return what it printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, f"it ended: {self.said()}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


class Aedes(Listener):
    """The broker of `foreign/aedes`, which keeps everything in memory."""

    name = "aedes"
    protocol = "auto"

    def __init__(self, folder: Path, port: int) -> None:
        """Take the port; `start` starts it."""
        script = installed(AEDES) / "broker.mjs"
        super().__init__(folder / "broker.log", port, "node", str(script), str(port))


class Nats(Listener):
    """A NATS server with its MQTT listener, which needs JetStream and a name."""

    name = "NATS"
    protocol = "auto"

    def __init__(self, folder: Path, port: int) -> None:
        """Write its configuration; `start` starts it."""
        configuration = folder / "nats.conf"
        configuration.write_text(
            f"server_name: plant\nlisten: 127.0.0.1:{free_port()}\n"
            f"jetstream {{ store_dir: {folder}/jetstream }}\nmqtt {{ listen: 127.0.0.1:{port} }}\n",
            encoding="utf-8",
        )
        super().__init__(folder / "broker.log", port, NATS, "-c", str(configuration))


class RabbitMq(Listener):
    """A RabbitMQ node of its own with the MQTT plugin.

    Nodes find each other through `epmd`. This one has an `epmd` of its own, which ends with it: RabbitMQ
    would start one that stays.
    """

    name = "RabbitMQ"
    protocol = "auto"

    def __init__(self, folder: Path, port: int) -> None:
        """Write its configuration; `start` starts it."""
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp = none\nmqtt.listeners.tcp.1 = 127.0.0.1:{port}\nmqtt.allow_anonymous = true\n",
            encoding="utf-8",
        )
        (folder / "enabled_plugins").write_text("[rabbitmq_mqtt].\n", encoding="utf-8")
        names = free_port()
        super().__init__(
            folder / "broker.log",
            port,
            RABBITMQ,
            HOME=str(folder),  # the nodes' shared secret
            ERL_EPMD_ADDRESS="127.0.0.1",
            ERL_EPMD_PORT=str(names),
            RABBITMQ_CONF_ENV_FILE=str(folder / "none.conf"),
            RABBITMQ_CONFIG_FILE=str(folder / "rabbitmq.conf"),
            RABBITMQ_DIST_PORT=str(free_port()),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(folder / "enabled_plugins"),
            RABBITMQ_LOGS="-",
            RABBITMQ_LOG_BASE=str(folder),
            RABBITMQ_MNESIA_BASE=str(folder / "mnesia"),
            RABBITMQ_NODENAME=f"plant-{port}@localhost",
            RABBITMQ_PID_FILE=str(folder / "rabbitmq.pid"),
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        )
        address = ("-address", "127.0.0.1", "-port", str(names))
        self._names = Listener(folder / "epmd.log", names, "epmd", *address)

    async def start(self) -> None:
        """Start the node's `epmd`, then the node."""
        await self._names.start()
        await super().start()

    async def stop(self) -> None:
        """Stop both."""
        await super().stop()
        await self._names.stop()


async def version_of(broker: Broker) -> str:
    """Return the version of MQTT that gateway and store come to use with a broker."""
    async with _connector(broker).connect() as connection:
        return connection.protocol


async def hangs_up_at_mqtt_5(broker: Broker) -> bool:
    """Return whether a broker ends the connection without saying that it does not speak MQTT 5."""
    try:
        async with _connector(broker, protocol="5").connect():
            return False
    except UplinkRefused:
        return False
    except UplinkUnavailable as error:
        return "hung up before its welcome" in error.hint


async def arrives_as(broker: Broker, topic: str) -> str:
    """Publish on a topic, and return the one that subscribers of all topics see.

    UplinkUnavailable if the broker ends the connection instead.
    """
    async with _connector(broker).connect() as connection, asyncio.timeout(START_S):
        await connection.subscribe("linewitness/v1/#")
        await connection.publish(topic, b"{}")
        async for message in connection.messages():
            if not message.retained:
                return message.topic
    raise AssertionError("the connection ended")


def _connector(broker: Broker, protocol: Protocol = "auto") -> MqttConnector:
    return MqttConnector(MqttOptions(url=f"mqtt://127.0.0.1:{broker.port}", protocol=protocol))
