"""Ask a server what it is, what it allows in one request, and what time it has."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, TypeVar

from asyncua import ua

from linewitness.devices.opcua.connection.wire import AttributeIds, Client, ObjectIds, standard

T = TypeVar("T")

CURRENT_TIME: Final = standard(ObjectIds.Server_ServerStatus_CurrentTime)
#: Used where the server names no limit; larger requests gain nothing and upset small PLCs.
DEFAULT_BATCH: Final = 500
DEFAULT_HISTORY_BATCH: Final = 50
DEFAULT_BROWSE_BATCH: Final = 50
#: How old the value of the server's time may be when it is read.
STALE: Final = timedelta(seconds=2)

_IDS = ObjectIds
_LIMITS: Final = (
    _IDS.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    _IDS.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    _IDS.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData,
    _IDS.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
)
_IDENTITY: Final = {
    "product": _IDS.Server_ServerStatus_BuildInfo_ProductName,
    "manufacturer": _IDS.Server_ServerStatus_BuildInfo_ManufacturerName,
    "version": _IDS.Server_ServerStatus_BuildInfo_SoftwareVersion,
    "build": _IDS.Server_ServerStatus_BuildInfo_BuildNumber,
    "started": _IDS.Server_ServerStatus_StartTime,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a server said about itself on connecting."""

    identity: Mapping[str, str]
    namespaces: Sequence[str]
    items_per_call: int = DEFAULT_BATCH
    nodes_per_read: int = DEFAULT_BATCH
    nodes_per_history_read: int = DEFAULT_HISTORY_BATCH
    nodes_per_browse: int = DEFAULT_BROWSE_BATCH


def batches(things: Sequence[T], size: int) -> Iterator[list[T]]:
    """Cut a sequence into lists of at most `size`."""
    rest = iter(things)
    while batch := list(islice(rest, size)):
        yield batch


def _batch(value: ua.DataValue, default: int) -> int:
    limit = value.Value.Value if value.Value else None
    return min(limit, default) if isinstance(limit, int) and limit > 0 else default


async def ask_server(client: Client) -> Server:
    """Read identity, namespaces and limits; what the library raises is passed on."""
    nodes = [_IDS.Server_NamespaceArray, *_LIMITS, *_IDENTITY.values()]
    values: list[ua.DataValue] = []
    # One node at a time would cost a round trip each; all at once may exceed the limit we do not know yet.
    for batch in batches(nodes, 5):
        values += await read(client, [standard(node) for node in batch], limit=5)
    namespaces, items, reads, histories, browses, *identity = values
    said: dict[str, str] = {}
    for name, value in zip(_IDENTITY, identity, strict=True):
        content = value.Value.Value if value.Value else None
        if content is not None:
            said[name] = f"{content:%Y-%m-%dT%H:%M:%SZ}" if isinstance(content, datetime) else str(content)
    return Server(
        identity=said,
        namespaces=tuple((namespaces.Value.Value if namespaces.Value else None) or ()),
        items_per_call=_batch(items, DEFAULT_BATCH),
        nodes_per_read=_batch(reads, DEFAULT_BATCH),
        nodes_per_history_read=_batch(histories, DEFAULT_HISTORY_BATCH),
        nodes_per_browse=_batch(browses, DEFAULT_BROWSE_BATCH),
    )


async def read(
    client: Client,
    nodes: Sequence[ua.NodeId],
    *,
    limit: int,
    attribute: AttributeIds = AttributeIds.Value,
) -> list[ua.DataValue]:
    """Read one attribute of many nodes with both timestamps, past every cache of the server."""
    values: list[ua.DataValue] = []
    for batch in batches(nodes, limit):
        request = ua.ReadParameters()
        request.MaxAge = 0
        request.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.NodesToRead = [ua.ReadValueId(NodeId=node, AttributeId=attribute) for node in batch]
        values += await client.uaclient.read(request)
    return values


def server_time(value: ua.DataValue) -> datetime | None:
    """Return the youngest stamp that a reading of the server's time carries; None where it has none."""
    content = value.Value.Value if value.Value else None
    if not isinstance(content, datetime):
        return None
    stamp = value.ServerTimestamp
    # Some servers update the value once a second, but stamp the reading when it is made; others give
    # stamps that mean nothing.
    return stamp if stamp is not None and content <= stamp <= content + STALE else content
