"""Keep the views up with the ledger: a thread and connections of their own, in the store's process."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn

import structlog

from linewitness.base.clock import monotonic
from linewitness.store.database.database import Database
from linewitness.store.database.errors import StoreError
from linewitness.store.views.filler import ViewFiller

#: How soon records are looked for where there were none, and how soon after something failed.
LOOK_S: Final = 1.0
#: After a step the ledger gets as much time as the step took, and never less than this.
_LEAST_S: Final = 0.01

_log = structlog.get_logger(__name__)


async def follow_views(database: Database, *, look_s: float = LOOK_S) -> NoReturn:
    """Fill the views for ever. A failure never stops the store: it is logged once, and tried again."""
    filler, told = ViewFiller(database), ""
    with ThreadPoolExecutor(1, "views") as thread:
        while True:
            begun, failure = monotonic(), ""
            taken = 0
            try:
                taken = await asyncio.get_running_loop().run_in_executor(thread, filler.step)
                failure = next((f"{origin}: {why}" for origin, why in filler.damage.items()), "")
            except StoreError as error:
                failure = error.what
            except Exception as error:  # noqa: BLE001 (a fault in views must not end the receipts)
                failure = f"{type(error).__name__}: {error}"
            if failure != told:
                _tell(failure)
                told = failure
            await asyncio.sleep(max(_LEAST_S, monotonic() - begun) if taken else look_s)


def _tell(failure: str) -> None:
    if failure:
        _log.warning("views are behind", why=failure, hint="receipts go on; answers say how far they hold")
    else:
        _log.info("views go on")
