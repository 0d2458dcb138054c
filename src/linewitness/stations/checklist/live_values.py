"""What the points on which requirements rely say now, as long as their device can be heard."""

from dataclasses import dataclass, replace

from linewitness.base.clock import NS_PER_MS
from linewitness.devices.base import Quality, Reading, Scalar
from linewitness.stations.checklist.progress import ClockMoment


@dataclass(frozen=True, slots=True)
class LiveValue:
    """The value of a point: the earliest moment at which it may have taken it, and whether it changed then.

    `changed` is False for the first value of a session, which the point may have had for long. `unbroken` is
    since when no value of the point is missing.
    """

    value: str
    since: ClockMoment
    changed: bool
    unbroken: ClockMoment


class LiveValues:
    """The points of one station. A device that is lost, or a value that is not good, is not known."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._values: dict[str, LiveValue] = {}
        self._known_until: dict[str, ClockMoment] = {}

    def take(self, reading: Reading, moment: ClockMoment) -> None:
        """Take what a point says."""
        name = f"{reading.device}/{reading.point}"
        if reading.backfilled:
            return
        if reading.quality is not Quality.GOOD or not isinstance(reading.value, str | int | bool):
            self._values.pop(name, None)
            return
        text = text_of(reading.value)
        before = self._values.get(name)
        if before is not None and before.value == text:
            return
        since = _earliest(reading, moment)
        fresh = not reading.initial and before is not None and since is not None
        unbroken = before.unbroken if before is not None and not reading.initial else moment
        self._values[name] = LiveValue(text, since or moment, fresh, unbroken)

    def lose(self, device: str) -> None:
        """Forget what a device said."""
        self._known_until.pop(device, None)
        for name in [name for name in self._values if name.startswith(f"{device}/")]:
            del self._values[name]

    def doubt(self, device: str, moment: ClockMoment) -> None:
        """Learn that values of a device are missing: it may have said something else meanwhile."""
        for name, value in self._values.items():
            if name.startswith(f"{device}/"):
                self._values[name] = replace(value, changed=False, unbroken=moment)

    def hear(self, device: str, moment: ClockMoment) -> None:
        """Learn that a device's points had not changed until a moment, other than `take` was told."""
        self._known_until[device] = moment

    def recall(self, name: str, value: Scalar, moment: ClockMoment) -> None:
        """Take what a point is known to have said last, which is so since `moment` at the latest."""
        if isinstance(value, str | int | bool):
            self._values[name] = LiveValue(text_of(value), moment, changed=False, unbroken=moment)

    def known_until(self, name: str) -> ClockMoment | None:
        """Return until when a point is known, None where that is not known."""
        return self._known_until.get(name.partition("/")[0])

    def get(self, name: str) -> LiveValue | None:
        """Return what a point says, None where that is not known."""
        return self._values.get(name)


def _earliest(reading: Reading, moment: ClockMoment) -> ClockMoment | None:
    """Return the earliest moment at which a point may have taken a value, None where that can be any.

    What was found by polling may be as old as the poll before. A device's own clock may say that a value is
    older than its arrival, and not that it is younger.
    """
    when = reading.when
    own = when.occurred_from in ("device", "server")
    if when.unc_ms is None:
        return None if when.occurred_from == "poll" else moment
    doubt_ns = when.unc_ms * NS_PER_MS
    earliest_ns = when.occurred_ns + (doubt_ns if own else -doubt_ns)
    age_ns = max(0, reading.received.realtime_ns - earliest_ns)
    return moment._replace(realtime_ns=moment.realtime_ns - age_ns, boottime_ns=moment.boottime_ns - age_ns)


def text_of(value: str | int | bool) -> str:
    """Return a value as the settings write it: true, false, or its digits."""
    return str(value).lower() if isinstance(value, bool) else str(value)
