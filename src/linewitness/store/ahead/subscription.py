"""Subscribe to notices, where the broker allows it: records need no notices."""

from collections.abc import Sequence
from typing import Protocol

import structlog

from linewitness.base.errors import UplinkRefused
from linewitness.uplink.topics import ALL_NOTICES, PREFIX

_log = structlog.get_logger(__name__)


class Subscribing(Protocol):
    """A connection to the broker, as far as a subscription needs one."""

    async def subscribe(self, topic: str) -> None:
        """Subscribe to a topic; UplinkRefused if the broker refuses."""


async def subscribe_to_notices(connection: Subscribing, tenants: Sequence[str]) -> None:
    """Subscribe to the notices of the tenants that are served, all if none is named.

    An ACL from before there were notices may refuse it: logged, and the store works without them.
    """
    topics = [f"{PREFIX}/{tenant}/+/notice" for tenant in tenants] or [ALL_NOTICES]
    try:
        for topic in topics:
            await connection.subscribe(topic)
    except UplinkRefused as error:
        hint = "allow the store to read …/notice; records and receipts are not affected"
        _log.warning("the broker refuses notices: alarms come with their records", why=error.what, hint=hint)
