"""Which loops a watchdog finds stuck."""

from collections.abc import Callable, Iterable

from linewitness.base.watchdog import Looks, Loop, Stuck


def stuck_after(loops: Callable[[], Iterable[Loop]]) -> str:
    """Return what is said of the loops that are stuck if nothing moves any more."""
    looks = Looks(10.0)
    for _ in range(200):
        try:
            looks.look(loops())
        except Stuck as stuck:
            return stuck.what
    return ""
