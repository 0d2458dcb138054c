"""What the points on which requirements rely say now, as long as their device can be heard."""

from dataclasses import dataclass

from linewitness.devices.base import Quality, Reading
from linewitness.stations.checklist.progress import ClockMoment


@dataclass(frozen=True, slots=True)
class LiveValue:
    """The value of a point: since when it has it, and whether that is when it changed.

    `changed` is False for the first value of a session, which the point may have had for long.
    """

    value: str
    since: ClockMoment
    changed: bool


class LiveValues:
    """The points of one station. A device that is lost, or a value that is not good, is not known."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._values: dict[str, LiveValue] = {}

    def take(self, reading: Reading, moment: ClockMoment) -> None:
        """Take what a point says."""
        name = f"{reading.device}/{reading.point}"
        if reading.quality is not Quality.GOOD or not isinstance(reading.value, str | int | bool):
            self._values.pop(name, None)
            return
        text = text_of(reading.value)
        before = self._values.get(name)
        if before is not None and before.value == text:
            return
        fresh = not (reading.initial or reading.backfilled) and before is not None
        self._values[name] = LiveValue(text, moment, fresh)

    def lose(self, device: str) -> None:
        """Forget what a device said."""
        for name in [name for name in self._values if name.startswith(f"{device}/")]:
            del self._values[name]

    def get(self, name: str) -> LiveValue | None:
        """Return what a point says, None where that is not known."""
        return self._values.get(name)


def text_of(value: str | int | bool) -> str:
    """Return a value as the settings write it: true, false, or its digits."""
    return str(value).lower() if isinstance(value, bool) else str(value)
