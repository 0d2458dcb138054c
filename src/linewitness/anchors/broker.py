"""Publish checkpoints to a broker that is not the audit store's: whoever listens there keeps them."""

import asyncio
import contextlib
from typing import Final

from linewitness.anchors.base import AnchorFailed, Subject, Written, text_of_note
from linewitness.anchors.options import BrokerOptions
from linewitness.base.errors import LinewitnessError
from linewitness.uplink.mqtt import MqttConnection, MqttConnector

#: A broker sends what it retains with its answer to the subscription; it has so long for it.
RETAINED_S: Final = 2.0


class BrokerTarget:
    """Each checkpoint is published, retained, in a connection of its own."""

    near = True

    def __init__(self, options: BrokerOptions) -> None:
        """Take the broker; nothing is opened yet."""
        self.name = f"broker {options.id}"
        self._url = options.url
        self._prefix = options.prefix
        self._connector = MqttConnector(options)

    async def seen(self, origin: str) -> str | None:
        """Return the retained checkpoint; None where the broker shows none within a short time."""
        try:
            async with self._connector.connect() as connection:
                return await _retained(connection, self._topic(origin))
        except LinewitnessError as error:
            raise AnchorFailed(error.what, hint=error.hint) from None

    async def write(self, subject: Subject) -> Written:
        """Publish, and wait for the broker's acknowledgement."""
        topic = self._topic(subject.origin)
        try:
            async with self._connector.connect() as connection:
                await connection.publish(topic, subject.note.encode(), retain=True)
        except LinewitnessError as error:
            raise AnchorFailed(error.what, hint=error.hint) from None
        return Written(f"{self._url} {topic}", subject.note)

    def _topic(self, origin: str) -> str:
        return f"{self._prefix}/{origin}"


async def _retained(connection: MqttConnection, topic: str) -> str | None:
    """Return what the broker retains; None also where it does not let us read."""
    # A broker may refuse the subscription, keep silent, or end the connection: it takes checkpoints anyway.
    with contextlib.suppress(LinewitnessError, TimeoutError):
        await connection.subscribe(topic)
        async with asyncio.timeout(RETAINED_S):
            async for message in connection.messages():
                if message.topic == topic and message.retained:
                    return text_of_note(message.payload)
    return None
