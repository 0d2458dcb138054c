"""Open exception groups, and retrieve the failure of a future that nothing waits for."""

import asyncio
from collections.abc import Iterator
from typing import Any

from linewitness.base.errors import LinewitnessError

Retried = type[LinewitnessError] | tuple[type[LinewitnessError], ...]


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in a group, at any depth, in order; an error that is no group yields itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from causes(inner)
    else:
        yield error


def deciding(group: BaseExceptionGroup[BaseException], *, retried: Retried) -> BaseException:
    """Return the error that decides what happens next: the first that is not `retried`, else the first.

    Where anything in the group is no LinewitnessError (a bug, a cancellation), the group itself decides.
    """
    found = list(causes(group))
    if not all(isinstance(error, LinewitnessError) for error in found):
        return group
    return next((error for error in found if not isinstance(error, retried)), found[0])


def retrieve(future: "asyncio.Future[Any]") -> None:
    """Mark the exception of a future as retrieved: its failure is handled elsewhere."""
    if not future.cancelled():
        future.exception()
