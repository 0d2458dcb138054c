"""The store on a full disk: it lives, stores and answers nothing, says so, and goes on when there is room."""

import asyncio
from typing import Final, NoReturn

import structlog

from linewitness.store.database.database import Database
from linewitness.store.database.errors import StoreFull
from linewitness.store.database.upgrade import BETWEEN_STEPS_S, upgraded
from linewitness.store.work import StoreWork

RETRY_S: Final = 1.0

_log = structlog.get_logger(__name__)


class StoreRoom:
    """Know whether the database's disk takes anything; an alarm is logged once, and so is its end."""

    def __init__(self, database: Database, work: StoreWork) -> None:
        """Take the database, and where the state of the store is kept."""
        self._database = database
        self.work = work

    async def checked(self) -> None:
        """Open the database as soon as its disk has room; any other StoreError is raised.

        One of an earlier version is brought to this one first, in a thread: the program stays stoppable.
        """
        while True:
            try:
                await self._upgraded()
                self._database.check()
            except StoreFull as refusal:
                self.refused(refusal)
                await asyncio.sleep(RETRY_S)
            else:
                self._granted()
                return

    async def _upgraded(self) -> None:
        steps = upgraded(self._database)
        total = left = await asyncio.to_thread(next, steps, None)
        if total is None:
            return
        _log.info("the database is of an earlier version: its records are moved", records=total)
        try:
            while left is not None:
                self.work.upgrade = f"older database: {left} records to move"
                with self.work.judging.going_on():
                    left = await asyncio.to_thread(next, steps, None)
                await asyncio.sleep(BETWEEN_STEPS_S)
        finally:
            self.work.upgrade = ""
        _log.info("the database is of this version now", records=total)

    def refused(self, refusal: StoreFull) -> None:
        """Record that the disk took nothing more."""
        if not self.work.full:
            _log.error(
                "disk full: nothing is stored and no receipt is given", why=refusal.what, hint=refusal.hint
            )
        self.work.full = refusal.what

    async def watch(self) -> NoReturn:
        """Ask a full disk again and again, until it has room."""
        while True:
            await asyncio.sleep(RETRY_S)
            if self.work.full and not await asyncio.to_thread(self._database.refusal):
                self._granted()

    def _granted(self) -> None:
        self.work.opened.set()
        if self.work.full:
            self.work.full = ""
            _log.info("the disk has room again: receiving goes on")
