"""Tasks that live as long as a block does, and whose end never disguises how the block ended."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self


class BackgroundTasks:
    """A task group that is cancelled when the block ends, and lets the block's own error through as it is.

    A bug in one of the tasks still ends the block, as a group of exceptions.
    """

    def __init__(self) -> None:
        """Start with no task."""
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Open the group."""
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what still runs, and wait for it."""
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(None, None, None)

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run something until the block ends."""
        self._tasks.append(self._group.create_task(work, name=name))
