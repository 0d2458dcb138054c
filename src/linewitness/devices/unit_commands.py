"""What a device is told of the unit at its station, where the YAML allows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from linewitness.base.errors import DeviceRefused
from linewitness.devices.base import CommandingSession


class DeviceBusy(DeviceRefused):
    """The device did nothing because it is busy: the command may be given again in a moment."""


@dataclass(frozen=True, slots=True)
class UnitCommand:
    """One command: its name, which records repeat, and the value that is sent with it.

    It is sent only if the command called `after` was accepted for the same unit.
    """

    name: str
    value: str
    after: str = ""


@runtime_checkable
class UnitCommandOptions(Protocol):
    """Settings of a device that can be told of the unit at its station."""

    @property
    def commands_units(self) -> bool:
        """Whether the YAML allows any command."""

    def commands_for(self, unit: str, named_by: str, product: str = "") -> Sequence[UnitCommand]:
        """Return the commands for a unit, in order; `named_by` is the device that named the unit.

        `product` is what the station knows of the unit's product, empty where nobody said.

        Raises DeviceRefused where the settings do not say what this unit needs: nothing is sent then.
        """


@runtime_checkable
class UnitCommandSession(CommandingSession, Protocol):
    """A connection to a device that can be told of the unit at its station."""

    async def command_unit(self, command: UnitCommand) -> str:
        """Give a command once, and return the value that the device accepted.

        Raises DeviceRefused if the device says no, or did not offer it; DeviceBusy if it says not now;
        DeviceUnavailable if no answer came: then it is not known whether the device carried it out.
        """
