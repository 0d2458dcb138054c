"""Take custody while the store runs, and put on record what its inspections found."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NoReturn

import structlog

from linewitness.base.errors import ConfigurationError, LinewitnessError
from linewitness.store.database.errors import StoreError, StoreMoved, StoreUnready
from linewitness.store.tenant.custody import EVERY_S, take_custody
from linewitness.store.tenant.deeds import say_checked
from linewitness.store.tenant.inspected import InspectedStreams
from linewitness.store.tenant.streams import TenantStreams
from linewitness.store.work import StoreWork

_DAILY: Final = "the store compares all records with trees and receipts once a day"

_log = structlog.get_logger(__name__)


class CustodyKeeper:
    """Say every few seconds how far streams have grown; a failure is told once, and so is its end."""

    def __init__(
        self,
        streams: TenantStreams,
        in_thread: Callable[[Callable[[], int]], Awaitable[int]],
        work: StoreWork,
    ) -> None:
        """Take what runs a function where the ledger runs."""
        self._streams = streams
        self._in_thread = in_thread
        self._work = work

    async def run(self) -> NoReturn:
        """Take custody for ever: receipts do not wait for it, and go on where it fails."""
        while True:
            if self._work.unready is None:
                await self._take()
            await asyncio.sleep(EVERY_S)

    async def _take(self) -> None:
        try:
            await self._in_thread(partial(take_custody, self._streams))
        except (StoreUnready, StoreMoved):
            return  # the judging loop meets the same database, and says so
        except (StoreError, ConfigurationError) as error:
            if not self._work.custody:
                _log.error("custody is not taken", why=error.what, hint=error.hint)
            self._work.custody = f"custody is not taken: {error.what}"
        else:
            if self._work.custody:
                _log.info("custody is taken again")
            self._work.custody = ""


def say_inspected(streams: TenantStreams, found: InspectedStreams) -> None:
    """Put an inspection on record; where that fails, the inspection itself has said what is damaged."""
    try:
        say_checked(streams, found.found, reason=_DAILY)
    except LinewitnessError as error:
        _log.error("an inspection is not on record", why=error.what, hint=error.hint)
