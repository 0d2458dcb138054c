"""Hand on what a block raised, although it ran in a task group."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def ungrouped() -> Iterator[None]:
    """Raise a single exception as it was raised, not in the group of a task group."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
