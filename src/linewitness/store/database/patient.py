"""Ask a database for an inspection, and ask again where it was away: that says nothing of what it holds."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from linewitness.base.inspection import InspectionThread
from linewitness.store.database.errors import StoreUnready

T = TypeVar("T")


class PatientThread(InspectionThread):
    """A thread whose queries wait for a database that is not ready."""

    def __init__(self, retry_s: float | None) -> None:
        """Take how long to wait before a query is asked again; None raises StoreUnready instead."""
        super().__init__()
        self._retry_s = retry_s

    async def run(self, query: Callable[[], T]) -> T:
        """Run a query in the thread, until the database answers."""
        while True:
            try:
                return await super().run(query)
            except StoreUnready:
                if self._retry_s is None:
                    raise
                await asyncio.sleep(self._retry_s)
