"""Read points anew after changes were lost: a server says a value once, and never again while it stays."""

from collections.abc import Sequence
from typing import Final

from asyncua import ua

from linewitness.devices.opcua.backlog import Delivery
from linewitness.devices.opcua.connection.server import read
from linewitness.devices.opcua.conversation import Conversation
from linewitness.devices.opcua.monitor import Item

#: What is evidence, or says who made a change.
_READ: Final = frozenset({"change", "operator"})


async def read_anew(talk: Conversation, items: Sequence[Item]) -> Delivery:
    """Return what the points of evidence say now, as a delivery; what the library raises is passed on."""
    nodes = {item.handle: item.node for item in items if item.role in _READ and item.node is not None}
    values = await read(talk.client, list(nodes.values()), limit=talk.server.nodes_per_read)
    notification = ua.DataChangeNotification()
    notification.MonitoredItems = [
        ua.MonitoredItemNotification(ClientHandle=handle, Value=value)
        for handle, value in zip(nodes, values, strict=True)
    ]
    # No subscription has the number 0.
    return Delivery(talk.clock.stamp(), 0, 0, (notification,))
