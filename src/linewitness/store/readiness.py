"""A database that takes nothing: the store lives, answers nothing, says so, and goes on after it."""

import asyncio
from typing import Final, NoReturn

import structlog

from linewitness.store.database.database import Database
from linewitness.store.database.errors import StoreFull, StoreMoved, StoreUnready
from linewitness.store.database.upgrade import BETWEEN_STEPS_S, upgraded
from linewitness.store.work import StoreWork

RETRY_S: Final = 1.0

_log = structlog.get_logger(__name__)


class StoreReadiness:
    """Know whether the database takes anything; an alarm is logged once, and so is its end."""

    def __init__(self, database: Database, work: StoreWork) -> None:
        """Take the database, and where the state of the store is kept."""
        self._database = database
        self.work = work

    async def checked(self) -> None:
        """Open the database as soon as it takes something; any other StoreError is raised.

        One of an earlier version is brought to this one first, in a thread: the program stays stoppable.
        """
        while True:
            try:
                await self._upgraded()
                with self.work.judging.going_on():
                    await asyncio.to_thread(self._check)
            except StoreUnready as refusal:
                self.refused(refusal)
                await asyncio.sleep(RETRY_S)
            else:
                self._granted()
                return

    async def watch(self) -> NoReturn:
        """Ask a database that takes nothing again and again, until it does."""
        while True:
            await asyncio.sleep(RETRY_S)
            if self.work.unready is None:
                continue
            with self.work.judging.going_on():
                refusal = await asyncio.to_thread(self._database.refusal)
            if refusal is None:
                self._granted()
            else:
                self.work.unready = refusal

    def refused(self, refusal: StoreUnready) -> None:
        """Record that the database took nothing more."""
        if self.work.unready is None:
            if isinstance(refusal, StoreFull):
                _log.error(
                    "disk full: nothing is stored and no receipt is given",
                    why=refusal.what,
                    hint=refusal.hint,
                )
            else:
                _log.error(
                    "database away: nothing is stored and no receipt is given",
                    why=refusal.what,
                    hint=refusal.hint,
                )
        self.work.unready = refusal

    def overtaken(self, moved: StoreMoved) -> None:
        """Record that another program wrote the same stream: what was judged is dropped, and comes again."""
        self.work.overtaken += 1
        _log.warning(
            "another worker was quicker: what came is dropped, and gateways send it again",
            why=moved.what,
            times=self.work.overtaken,
        )

    def _check(self) -> None:
        self._database.check()
        if refusal := self._database.refusal():
            raise refusal

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

    def _granted(self) -> None:
        self.work.opened.set()
        refusal, self.work.unready = self.work.unready, None
        if isinstance(refusal, StoreFull):
            _log.info("the disk has room again: receiving goes on")
        elif refusal is not None:
            _log.info("the database is there again: receiving goes on")
