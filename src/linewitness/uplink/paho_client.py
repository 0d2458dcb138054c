"""The paho client of one connection: given its socket, and safe from long packets and many properties."""

import errno
from collections.abc import Callable
from typing import Final

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from linewitness.uplink.options import MqttOptions
from linewitness.uplink.publish import BadPublish, Publish, read_publish
from linewitness.uplink.wire import Wire

#: An acknowledgement or refusal of a broker is longer than this only if it is meant to harm.
MAX_ANSWER_BYTES: Final = 8192
_PUBLISH: Final = 0x30
_VERSIONS: Final = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}


class OwnPaho(paho.Client):
    """A paho client that is given its socket: its own connect() would block the event loop.

    It reads messages itself: the library reads properties, which any publisher chooses, in time that grows
    with the square of their number, and copies each message four times.
    """

    def __init__(
        self, wire: Wire, options: MqttOptions, protocol: str, on_publish_packet: Callable[[Publish], None]
    ) -> None:
        """Speak one version of MQTT over a wire; `on_publish_packet` takes each message as it arrives."""
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id or "",
            clean_session=None if protocol == "5" else True,
            protocol=_VERSIONS[protocol],
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self._wire = wire
        self._version_5 = protocol == "5"
        self._on_publish_packet = on_publish_packet
        self.max_inflight_messages = 0  # the window is the connection's

    def _create_socket(self) -> Wire:
        return self._wire

    def _packet_handle(self) -> MQTTErrorCode:
        """Refuse answers of the broker that are longer than any of its reasons."""
        command, packet = self._in_packet["command"], self._in_packet["packet"]
        if command & 0xF0 != _PUBLISH and len(packet) > MAX_ANSWER_BYTES:
            self._wire.error = OSError(errno.EMSGSIZE, f"an answer of {len(packet)} bytes")
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        return super()._packet_handle()

    def _handle_publish(self) -> MQTTErrorCode:
        command, packet = self._in_packet["command"], self._in_packet["packet"]
        try:
            publish = read_publish(command, packet, version_5=self._version_5)
        except BadPublish as error:
            self._wire.error = OSError(errno.EBADMSG, str(error))
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        self._on_publish_packet(publish)
        return MQTTErrorCode.MQTT_ERR_SUCCESS
