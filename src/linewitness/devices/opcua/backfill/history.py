"""Fetch from a server's history what was missed while nobody listened."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Final

from asyncua import ua

from linewitness.devices.opcua.connection.server import Server, batches, read
from linewitness.devices.opcua.connection.wire import AttributeIds, Client, StatusCodes, UaStatusCodeError
from linewitness.devices.opcua.monitor import Item

#: Values asked for at a time and node.
PAGE: Final = 1000
#: Bit of AccessLevel that says that history may be read (OPC 10000-3, 8.57).
HISTORY_READ: Final = 0x04


async def keepers(client: Client, items: Sequence[Item], server: Server) -> set[int]:
    """Return the handles of the items whose history the server keeps and lets us read."""
    asked = [item for item in items if item.node is not None]
    levels = await read(
        client,
        [item.node for item in asked if item.node is not None],
        limit=server.nodes_per_read,
        attribute=AttributeIds.UserAccessLevel,
    )
    found: set[int] = set()
    for item, level in zip(asked, levels, strict=True):
        bits = level.Value.Value if level.Value else None
        if isinstance(bits, int) and bits & HISTORY_READ:
            found.add(item.handle)
    return found


class History:
    """The values of many items between two times of the server's clock."""

    def __init__(self, client: Client, server: Server) -> None:
        """Ask nothing yet."""
        self._client = client
        self._batch = server.nodes_per_history_read
        #: Items of which the server would not tell, by handle, and why.
        self.refused: dict[int, str] = {}

    async def between(
        self, since: Mapping[int, datetime], items: Sequence[Item], until: datetime
    ) -> AsyncGenerator[list[tuple[Item, ua.DataValue]], None]:
        """Yield the values after each item's own time, oldest first within a batch of items."""
        wanted = [item for item in items if item.handle in since]
        for batch in batches(wanted, self._batch):
            found: list[tuple[Item, ua.DataValue]] = []
            await self._collect(batch, since, until, found)
            found.sort(key=lambda pair: pair[1].SourceTimestamp or pair[1].ServerTimestamp or until)
            if found:
                yield found

    async def _collect(
        self,
        batch: list[Item],
        since: Mapping[int, datetime],
        until: datetime,
        found: list[tuple[Item, ua.DataValue]],
    ) -> None:
        """Read page after page; items that have no more drop out."""
        starts = {item.handle: since[item.handle] for item in batch}
        points: dict[int, bytes | None] = {}
        open_items = batch
        while open_items:
            # One start for a request: the earliest; what an item has already is left out below.
            results = await self._page(open_items, min(starts[i.handle] for i in open_items), until, points)
            more: list[Item] = []
            for item, result in zip(open_items, results, strict=True):
                if result.StatusCode.is_bad():
                    self.refused[item.handle] = str(result.StatusCode.name)
                    continue
                values = getattr(result.HistoryData, "DataValues", None) or []
                news = [value for value in values if _stamp(value, until) > starts[item.handle]]
                found.extend((item, value) for value in news)
                points[item.handle] = result.ContinuationPoint or None
                if news:
                    starts[item.handle] = max(_stamp(value, until) for value in news)
                # Some servers cut a page short without a continuation point: ask on from its last value.
                if points[item.handle] or (news and len(values) >= PAGE):
                    more.append(item)
            open_items = more

    async def _page(
        self, items: list[Item], start: datetime, until: datetime, points: Mapping[int, bytes | None]
    ) -> list[ua.HistoryReadResult]:
        details = ua.ReadRawModifiedDetails()
        details.IsReadModified = False
        details.StartTime, details.EndTime = start, until
        details.NumValuesPerNode = PAGE
        details.ReturnBounds = False
        request = ua.HistoryReadParameters()
        request.HistoryReadDetails = details
        request.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.ReleaseContinuationPoints = False
        request.NodesToRead = [
            ua.HistoryReadValueId(NodeId=item.node, ContinuationPoint=points.get(item.handle))
            for item in items
        ]
        try:
            return list(await self._client.uaclient.history_read(request))
        except UaStatusCodeError as error:
            if error.code not in _NO_HISTORY:
                raise
            return [ua.HistoryReadResult(StatusCode=ua.StatusCode(error.code)) for _ in items]


_NO_HISTORY: Final = {
    StatusCodes.BadServiceUnsupported,
    StatusCodes.BadHistoryOperationUnsupported,
    StatusCodes.BadHistoryOperationInvalid,
    StatusCodes.BadNotImplemented,
    StatusCodes.BadNotSupported,
    StatusCodes.BadUserAccessDenied,
}


def _stamp(value: ua.DataValue, otherwise: datetime) -> datetime:
    return value.SourceTimestamp or value.ServerTimestamp or otherwise
