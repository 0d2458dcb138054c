"""How long work tells how far it has come."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

#: Told how many are done so far.
Progress = Callable[[int], None]
#: Opened for each kind of work with its name and, where that is known, how much it will be.
Stage = Callable[[str, int | None], AbstractContextManager[Progress]]


@contextmanager
def silent(_what: str, _total: int | None) -> Iterator[Progress]:
    """Show nothing."""
    yield lambda _done: None
