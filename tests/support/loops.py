"""Which loops a watchdog finds stuck."""

from linewitness.base.watchdog import Looks, Stuck


def stuck_after(loops):
    """Return what is said of the loops that are stuck if nothing moves any more."""
    looks = Looks(10.0)
    for _ in range(200):
        try:
            looks.look(loops())
        except Stuck as stuck:
            return stuck.what
    return ""
