"""What a store does beside its receipts, with connections of its own: it inspects, and fills views."""

import functools
from typing import Never

from linewitness.base.clock import Clock
from linewitness.store.database.database import Database
from linewitness.store.inspection import inspect_daily
from linewitness.store.keys import Cosigner
from linewitness.store.options import AuditStoreOptions
from linewitness.store.tenant.keeper import say_inspected
from linewitness.store.tenant.streams import streams_of
from linewitness.store.views.follower import follow_views
from linewitness.store.work import StoreWork


async def inspect_store(options: AuditStoreOptions, work: StoreWork, clock: Clock) -> Never:
    """Inspect the database once a day, and put on record what was found."""
    store_key = Cosigner.load(options.name, options.key).vkey
    database = Database(options.database_url, password=options.database_password)
    await work.opened.wait()
    try:
        say = functools.partial(say_inspected, streams_of(options, database, clock))
        await inspect_daily(database, store_key=store_key, tell=work.damaged, say=say)
    finally:
        database.close()


async def fill_views(options: AuditStoreOptions, work: StoreWork) -> Never:
    """Fill the views with what the ledger has accepted."""
    database = Database(options.database_url, password=options.database_password)
    await work.opened.wait()
    try:
        await follow_views(database)
    finally:
        database.close()
