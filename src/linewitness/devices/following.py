"""Follow the values of points: what a device did not say is known only until it was heard last."""

from typing import Protocol, runtime_checkable

from linewitness.base.clock import Stamp
from linewitness.devices.base import Session


@runtime_checkable
class FollowingSession(Session, Protocol):
    """A connection that follows the values of points, and yields those that changed."""

    @property
    def known_until(self) -> Stamp | None:
        """Until when a point whose change was not yielded had not changed; None while that is not known."""
