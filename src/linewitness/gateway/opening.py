"""Open the journal of a line, and wait where its disk has no room: the process lives and says so."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog

from linewitness.base.errors import ConfigurationError, JournalFull
from linewitness.base.watchdog import supervise, tell_systemd
from linewitness.evidence.format.ended import successor
from linewitness.gateway.tasks import Tasks, running
from linewitness.journal.database import require_room
from linewitness.journal.journal import Journal
from linewitness.journal.pressure import FULL_MESSAGE, RETRY_S
from linewitness.records.builder import StreamIdentity

log = structlog.get_logger()

OpenJournal = Callable[[], AbstractAsyncContextManager[Journal]]


@asynccontextmanager
async def when_there_is_room(
    open_journal: OpenJournal,
    directory: Path,
    stop: asyncio.Event,
    *,
    page: Callable[[JournalFull], Tasks],
) -> AsyncIterator[Journal]:
    """Open the journal, again and again while the disk is full; JournalFull where `stop` is set meanwhile.

    `page` returns what shows the alarm to people while it waits.
    """
    async with AsyncExitStack() as stack:
        try:
            journal = await stack.enter_async_context(open_journal())
        except JournalFull as refusal:
            log.error(FULL_MESSAGE, why=refusal.what, hint=refusal.hint)  # noqa: TRY400 (no failure of ours)
            sentence = f"JOURNAL FULL, waiting for room to start: {refusal.what}"
            async with running({**page(refusal), "watchdog": supervise(lambda: (), status=lambda: sentence)}):
                # systemd's limit of time for a start must not end the process; from now on it is watched.
                tell_systemd("READY=1")
                journal = await _opened(open_journal, directory, stop, stack, refusal)
            log.info("journal has room again")
        yield journal


async def _opened(
    open_journal: OpenJournal,
    directory: Path,
    stop: asyncio.Event,
    stack: AsyncExitStack,
    refusal: JournalFull,
) -> Journal:
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_S):
                await stop.wait()
            raise refusal
        with contextlib.suppress(JournalFull):
            require_room(directory)
            return await stack.enter_async_context(open_journal())


def check_identity(found: StreamIdentity, wanted: StreamIdentity) -> None:
    """Refuse a YAML that names another stream than the journal holds: its records would bear another name."""
    if found == wanted:
        return
    hint = f"the journal's stream is {found.stream} of {found.tenant}, plant {found.plant}, line {found.line}"
    if wanted.stream == successor(found.stream):
        hint += "; `linewitness init --continue` ends it and begins the next generation"
    raise ConfigurationError(
        f"the YAML names the stream {wanted.stream}, the journal is another one's", hint=hint
    )
