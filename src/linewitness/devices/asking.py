"""Drivers that can be asked for a measurement."""

from typing import Protocol, runtime_checkable

from linewitness.devices.base import Driver


@runtime_checkable
class AskableDriver(Driver, Protocol):
    """A driver that can be asked for a measurement when a unit arrives."""

    def weigh(self, *, identifier: str | None = None) -> None:
        """Ask for a measurement of this unit; its result comes as an observation.

        Raises DeviceUnavailable while there is no session, DeviceRefused where the device decides itself.
        """
