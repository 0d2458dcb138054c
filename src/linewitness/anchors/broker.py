"""Publish checkpoints to a broker that is not the audit store's: whoever listens there keeps them."""

from linewitness.anchors.base import AnchorFailed, Subject, Written
from linewitness.anchors.options import BrokerOptions
from linewitness.base.errors import LinewitnessError
from linewitness.uplink.mqtt import MqttConnector


class BrokerTarget:
    """Each checkpoint is published, retained, in a connection of its own."""

    near = True

    def __init__(self, options: BrokerOptions) -> None:
        """Take the broker; nothing is opened yet."""
        self.name = f"broker {options.id}"
        self._url = options.url
        self._prefix = options.prefix
        self._connector = MqttConnector(options)

    async def write(self, subject: Subject) -> Written:
        """Publish, and wait for the broker's acknowledgement."""
        topic = f"{self._prefix}/{subject.origin}"
        try:
            async with self._connector.connect() as connection:
                await connection.publish(topic, subject.note.encode(), retain=True)
        except LinewitnessError as error:
            raise AnchorFailed(error.what, hint=error.hint) from None
        return Written(f"{self._url} {topic}", subject.note)
