"""Run one paho client on the event loop: its socket, its timer and its callbacks, without threads."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final, Protocol

from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from linewitness.base.errors import UplinkUnavailable
from linewitness.uplink import reasons
from linewitness.uplink.options import MqttOptions
from linewitness.uplink.paho_client import OwnPaho
from linewitness.uplink.publish import Publish
from linewitness.uplink.takeover import TakenOver
from linewitness.uplink.wire import MAX_PACKET_BYTES, Wire

#: How many received messages a broker may have sent that were not taken yet (MQTT 5 only).
RECEIVE_MAXIMUM: Final = 64

_PACKETS_PER_TURN: Final = 50


@dataclass(frozen=True, slots=True)
class Will:
    """The message that the broker publishes for us if the connection ends without a DISCONNECT."""

    topic: str
    payload: bytes
    retain: bool = True


@dataclass(frozen=True, slots=True)
class Welcome:
    """The broker's answer to our CONNECT: its reason code and limits, None where it names none."""

    reason: int
    receive_maximum: int | None = None
    maximum_packet_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class MqttMessage:
    """What the broker brought."""

    topic: str
    payload: bytes
    retained: bool


class PeerListener(Protocol):
    """Who takes the broker's packets; every call comes from the event loop's own thread."""

    def on_welcome(self, welcome: Welcome) -> None:
        """Hear that the broker accepted or refused the connection."""

    def on_published(self, mid: int, reason: int) -> None:
        """Hear the answer to a message."""

    def on_subscribed(self, mid: int, reason: int) -> None:
        """Hear the answer to a subscription."""

    def on_message(self, mid: int, qos: int, message: MqttMessage) -> None:
        """Take what arrived."""

    def on_end(self, error: UplinkUnavailable) -> None:
        """Hear, once or more often, that the connection is over."""


class Peer:
    """The broker at the other end of one wire."""

    def __init__(self, options: MqttOptions, protocol: str, wire: Wire, listener: PeerListener) -> None:
        """Prepare; nothing is sent before `start`."""
        self._options = options
        self._wire = wire
        self._listener = listener
        self._v5 = protocol == "5"
        self._client = OwnPaho(wire, options, protocol, self._on_message)
        self._descriptor = wire.fileno()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._attached = True
        self._reading = False

    def start(self, will: Will | None) -> None:
        """Send CONNECT and begin to listen."""
        client, options = self._client, self._options
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        client.on_socket_close = self._on_socket_close
        if options.username is not None:
            client.username_pw_set(options.username, options.password.read() if options.password else None)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        if self._v5:
            client.connect(
                options.host,
                options.port,
                options.keepalive_s,
                clean_start=True,
                properties=_connect_properties(),
            )
        else:
            client.connect(options.host, options.port, options.keepalive_s)
        self.resume()
        self._tick()

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> int:
        """Hand over a message with QoS 1 and return its number."""
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise UplinkUnavailable(f"the message cannot be sent: {paho.error_string(info.rc)}")
        return info.mid

    def subscribe(self, topic: str) -> int:
        """Ask for a topic with QoS 1 and return the request's number."""
        result, mid = self._client.subscribe(topic, qos=1)
        if result != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise UplinkUnavailable(f"cannot subscribe to {topic}: {paho.error_string(result)}")
        return mid

    def acknowledge(self, mid: int, qos: int) -> None:
        """Tell the broker that a message was taken; it may send another."""
        self._client.ack(mid, qos)

    def pause(self) -> None:
        """Stop reading, so that the broker's own buffers fill and it waits."""
        if self._reading:
            self._loop.remove_reader(self._descriptor)
            self._reading = False

    def resume(self) -> None:
        """Read again."""
        if self._attached and not self._reading:
            self._reading = True
            self._loop.add_reader(self._descriptor, self._on_readable)
            if self._wire.pending:
                self._loop.call_soon(self._on_readable)

    def say_goodbye(self, *, orderly: bool) -> None:
        """Send DISCONNECT; `on_end` follows. Without `orderly` the broker is to send the will."""
        if orderly:
            self._client.disconnect()
        elif self._v5:
            self._client.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
        else:
            self._listener.on_end(UplinkUnavailable("the connection was closed"))

    def release(self) -> None:
        """Let go of timer and socket; again is harmless."""
        if self._timer is not None:
            self._timer.cancel()
        self._detach()
        self._wire.close()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(min(1.0, self._options.keepalive_s / 4), self._tick)
        self._client.loop_misc()

    def _detach(self) -> None:
        """Take the socket from the event loop, before its descriptor can be used by another."""
        if self._attached:
            self._attached = False
            self._reading = False
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)

    def _on_readable(self) -> None:
        for _ in range(_PACKETS_PER_TURN):
            if not self._reading or self._client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
            if not self._wire.pending:
                return
        self._loop.call_soon(self._on_readable)

    def _on_register_write(self, *_: Any) -> None:
        if self._attached:
            self._loop.add_writer(self._descriptor, self._client.loop_write)

    def _on_unregister_write(self, *_: Any) -> None:
        if self._attached:
            self._loop.remove_writer(self._descriptor)

    def _on_socket_close(self, *_: Any) -> None:
        self._detach()

    def _on_connect(
        self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._listener.on_welcome(
            Welcome(
                reason.value,
                getattr(properties, "ReceiveMaximum", None),
                getattr(properties, "MaximumPacketSize", None),
            )
        )

    def _on_disconnect(
        self, _client: paho.Client, _data: Any, flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        code = reason.value
        if flags.is_disconnect_packet_from_server:
            what = f"the broker ended the connection: {reasons.words(code)}"
            ending = TakenOver if code == reasons.TAKEN_OVER else UplinkUnavailable
            self._listener.on_end(ending(what, hint=reasons.hint(code)))
        else:
            why = self._wire.error or str(reason).lower()
            self._listener.on_end(UplinkUnavailable(f"the connection to the broker broke: {why}"))

    def _on_publish(
        self, _client: paho.Client, _data: Any, mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        self._listener.on_published(mid, reason.value)

    def _on_subscribe(
        self, _client: paho.Client, _data: Any, mid: int, codes: list[ReasonCode], _properties: Any
    ) -> None:
        self._listener.on_subscribed(mid, codes[0].value)

    def _on_message(self, publish: Publish) -> None:
        received = MqttMessage(publish.topic, publish.payload, publish.retained)
        self._listener.on_message(publish.mid, publish.qos, received)


def _connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    # A larger one would end the connection: the broker keeps it to itself.
    properties.MaximumPacketSize = MAX_PACKET_BYTES
    properties.SessionExpiryInterval = 0
    return properties
