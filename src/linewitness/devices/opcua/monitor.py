"""Subscribe: create monitored items in batches that the server allows, and set apart what it refuses."""

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from asyncua import ua

from linewitness.devices.opcua.connection.server import CURRENT_TIME, Server, batches
from linewitness.devices.opcua.connection.wire import (
    AttributeIds,
    Client,
    ObjectIds,
    UaStatusCodeError,
    standard,
)
from linewitness.devices.opcua.decoding.values import status_name
from linewitness.devices.opcua.nodes import resolve
from linewitness.devices.opcua.notifications.events import alarm_filter, audit_filter
from linewitness.devices.opcua.options import OpcUaOptions, OpcUaPoint

Role = Literal["change", "telemetry", "operator", "trigger", "alarm", "audit", "heartbeat"]

#: Server time is watched with this many looks within the time after which silence means death.
LOOKS: Final = 3
#: The server deletes a subscription that nobody asks for after this many keep-alive intervals.
LIFETIME_KEEP_ALIVES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that is listened to. `handle` is its number within the session."""

    handle: int
    role: Role
    node: ua.NodeId | None
    place: str
    text: str
    point: OpcUaPoint | None = None
    sampling_ms: int = 0
    queue_size: int = 1
    filter: object | None = None

    @property
    def signals(self) -> bool:
        """Whether it belongs to the subscription for telemetry."""
        return self.role == "telemetry"


def plan(options: OpcUaOptions, server: Server) -> list[Item]:
    """Return what is listened to on this server. The position in the list is the handle."""
    items: list[Item] = []

    def add(role: Role, text: str, place: str, point: OpcUaPoint | None, **more: object) -> None:
        node = resolve(text, server.namespaces)
        items.append(
            Item(handle=len(items), role=role, node=node, place=place, text=text, point=point, **more)  # type: ignore[arg-type]  # the fields of Item
        )

    for place, text in _operators(options).items():
        add("operator", text, place, None, sampling_ms=100, queue_size=100)
    for index, point in enumerate(options.points):
        place = f"devices.{options.id}.points[{index}].node"
        match point.record:
            case "alarm":
                add("alarm", point.node, place, point, queue_size=1000, filter=alarm_filter())
            case "result":
                add(
                    "trigger",
                    point.node,
                    place,
                    point,
                    sampling_ms=point.sampling_ms,
                    queue_size=point.queue_size,
                )
            case role:
                add(
                    role,
                    point.node,
                    place,
                    point,
                    sampling_ms=point.sampling_ms,
                    queue_size=point.queue_size,
                    filter=_deadband(point),
                )
    if options.audit:
        add("audit", "i=2253", f"devices.{options.id}.audit", None, queue_size=1000, filter=audit_filter())
    return items


def _operators(options: OpcUaOptions) -> dict[str, str]:
    """Return the operator nodes by their place; each node once."""
    found: dict[str, str] = {}
    if options.operator is not None:
        found[f"devices.{options.id}.operator"] = options.operator
    for index, point in enumerate(options.points):
        if point.operator is not None and point.operator not in found.values():
            found[f"devices.{options.id}.points[{index}].operator"] = point.operator
    return found


def _deadband(point: OpcUaPoint) -> ua.DataChangeFilter | None:
    if point.deadband is None:
        return None
    return ua.DataChangeFilter(
        Trigger=ua.DataChangeTrigger.StatusValue,
        DeadbandType=ua.DeadbandType.Absolute,
        DeadbandValue=float(point.deadband),
    )


class Monitor:
    """The subscriptions of one session: one for evidence, one for telemetry, which must not delay it."""

    def __init__(self, client: Client, options: OpcUaOptions, server: Server) -> None:
        """Keep what is needed to subscribe; nothing is asked of the server yet."""
        self._client = client
        self._options = options
        self._server = server
        self.heartbeats: set[int] = set()
        self.evidence_id = 0
        self.signals_id = 0
        self.keep_alive_s = options.silence_s
        self.refused: dict[int, str] = {}
        #: How long ago the server may have looked at a point of evidence when it says that nothing changed.
        self.sampling_ms = 0.0

    async def start(self, items: Sequence[Item], callback: Callable[[ua.PublishResult], None]) -> None:
        """Create the subscriptions and all items; what the server refuses is kept in `refused`."""
        for signals in (False, True):
            group = [item for item in items if item.signals is signals]
            if not group:
                continue
            subscription = await self._subscribe(callback, priority=0 if signals else 200)
            if signals:
                self.signals_id = subscription
            else:
                self.evidence_id = subscription
            await self.add(subscription, [*group, self._heartbeat(len(items) + int(signals))])

    async def _subscribe(self, callback: Callable[[ua.PublishResult], None], *, priority: int) -> int:
        wanted = ua.CreateSubscriptionParameters()
        wanted.RequestedPublishingInterval = self._options.publishing_ms
        wanted.RequestedMaxKeepAliveCount = max(
            1, math.floor(self._options.silence_s * 1000 / LOOKS / self._options.publishing_ms)
        )
        wanted.RequestedLifetimeCount = max(
            LIFETIME_KEEP_ALIVES * wanted.RequestedMaxKeepAliveCount,
            math.ceil(30_000 / self._options.publishing_ms),
        )
        wanted.MaxNotificationsPerPublish = 0
        wanted.PublishingEnabled = True
        wanted.Priority = priority
        given = await self._client.uaclient.create_subscription(wanted, callback)
        alive_s = given.RevisedPublishingInterval * given.RevisedMaxKeepAliveCount / 1000
        self.keep_alive_s = max(self.keep_alive_s, alive_s * 1.5 + self._options.timeout_s)
        return int(given.SubscriptionId)

    def _heartbeat(self, handle: int) -> Item:
        self.heartbeats.add(handle)
        looks_ms = int(self._options.silence_s * 1000 / LOOKS)
        return Item(
            handle=handle, role="heartbeat", node=CURRENT_TIME, place="", text="i=2258", sampling_ms=looks_ms
        )

    async def add(self, subscription: int, items: Sequence[Item]) -> None:
        """Create items in one subscription."""
        known = [item for item in items if item.node is not None]
        for item in items:
            if item.node is None:
                self.refused[item.handle] = "the server has no such namespace"
        for batch in batches(known, self._server.items_per_call):
            request = ua.CreateMonitoredItemsParameters()
            request.SubscriptionId = subscription
            request.TimestampsToReturn = ua.TimestampsToReturn.Both
            request.ItemsToCreate = [_wanted(item) for item in batch]
            results = await self._client.uaclient.create_monitored_items(request)
            for item, result in zip(batch, results, strict=True):
                if result.StatusCode.is_good():
                    self.refused.pop(item.handle, None)
                    if item.role == "change":
                        self.sampling_ms = max(self.sampling_ms, result.RevisedSamplingInterval)
                elif item.role == "heartbeat":
                    self.heartbeats.discard(item.handle)
                else:
                    self.refused[item.handle] = status_name(result.StatusCode)

    async def refresh_conditions(self) -> None:
        """Ask for the alarms that stand now; a server without conditions has none."""
        call = ua.CallMethodRequest()
        call.ObjectId = standard(ObjectIds.ConditionType)
        call.MethodId = standard(ObjectIds.ConditionType_ConditionRefresh)
        call.InputArguments = [ua.Variant(self.evidence_id, ua.VariantType.UInt32)]
        with contextlib.suppress(UaStatusCodeError):
            await self._client.uaclient.call([call])


def _wanted(item: Item) -> ua.MonitoredItemCreateRequest:
    events = item.role in {"alarm", "audit"}
    wanted = ua.MonitoredItemCreateRequest()
    wanted.ItemToMonitor = ua.ReadValueId(
        NodeId=item.node, AttributeId=AttributeIds.EventNotifier if events else AttributeIds.Value
    )
    wanted.MonitoringMode = ua.MonitoringMode.Reporting
    wanted.RequestedParameters = ua.MonitoringParameters(
        ClientHandle=item.handle,
        SamplingInterval=float(item.sampling_ms),
        QueueSize=item.queue_size,
        DiscardOldest=True,
        Filter=item.filter,
    )
    return wanted
