"""What the ledger needs of whatever brings the gateways' messages: now a broker, for a fleet an engine."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

from linewitness.store.inbox.share import GatewayShare


class WaitingMessage(NamedTuple):
    """A message or a part of one: its topic, which names the gateway and so the partition, and its bytes."""

    topic: str
    payload: bytes


class Inbox(ABC):
    """Messages of gateways, those of one gateway in order, until the ledger has committed what they say."""

    @abstractmethod
    def turns(self) -> AsyncIterator[list[WaitingMessage]]:
        """Yield what goes into one transaction, of one gateway or of several."""

    @abstractmethod
    async def ack(self, turn: Iterable[WaitingMessage]) -> None:
        """Say that a turn is committed; one that is not, comes again."""

    @abstractmethod
    def serve(self, share: GatewayShare) -> None:
        """Serve these partitions from now on: what waits of others is another worker's."""
