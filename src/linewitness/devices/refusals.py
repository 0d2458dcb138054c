"""Which points a device refuses to give, while the connection to it stands."""

from collections.abc import Mapping
from typing import Final, Protocol, runtime_checkable

#: So many points are named in one sentence.
NAMED: Final = 5


@runtime_checkable
class RefusingSession(Protocol):
    """A session that knows which of the configured points the device refuses."""

    @property
    def refused_points(self) -> Mapping[str, str] | None:
        """Why the device refuses points now, by their ids, with the device's own word.

        None while not every point was asked for.
        """


def some_of(refused: Mapping[str, str]) -> str:
    """Return the first points with why in brackets, and how many more there are."""
    named = "; ".join(f"{point} ({why})" for point, why in list(refused.items())[:NAMED])
    return named + (f" and {len(refused) - NAMED:,} more" if len(refused) > NAMED else "")
