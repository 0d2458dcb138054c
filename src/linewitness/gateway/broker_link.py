"""What forwarding needs of a connection to the broker, and where it shows its state."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from linewitness.uplink.mqtt import MqttMessage


class BrokerLink(Protocol):
    """A connection to the broker, as far as forwarding needs one."""

    @property
    def maximum_packet_bytes(self) -> int | None:
        """The largest packet that the broker takes, where it has announced one."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Send one message and wait for the broker's acknowledgement."""

    async def subscribe(self, topic: str) -> None:
        """Subscribe to a topic."""

    def messages(self) -> AsyncIterator[MqttMessage]:
        """Yield what arrives until the connection ends."""


class Connect(Protocol):
    """Open a connection to the broker."""

    def __call__(self) -> AbstractAsyncContextManager[BrokerLink]:
        """Connect for the time of a block."""


class UplinkStatusSink(Protocol):
    """Where the state of the uplink is shown."""

    def uplink(self, state: str, why: str) -> None:
        """Record the state: up, away, refused or conflict."""

    def receipt(self, size: int, *, further: bool = False) -> None:
        """Record the number of records that a receipt covers."""

    def answer_ignored(self, why: str) -> None:
        """Count an answer that the store has not signed, or that is outdated."""

    def taken_over(self, what: str) -> None:
        """Record that another client takes over our connections; nothing where none was noticed lately."""

    def accused(self, what: str) -> None:
        """Record what the store accuses this stream of without a proof; nothing where it does not."""


async def publish(link: BrokerLink, topic: str, payload: bytes, *, retain: bool = False) -> None:
    """Send one message as a task of its own: the next one leaves before the acknowledgement of this one."""
    await link.publish(topic, payload, retain=retain)
