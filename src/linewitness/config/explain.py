"""What a configuration comes to, in words: for `check` and `check --explain`."""

from collections.abc import Sequence

from linewitness.config.models import Config
from linewitness.devices.options import DeviceOptions
from linewitness.devices.table import known


def summary(config: Config) -> str:
    """Return the counts of devices, points and stations."""
    points = sum(len(points_of(device)) for device in config.devices)
    counts = ((len(config.devices), "device"), (points, "point"), (len(config.stations), "station"))
    return ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)


def points_of(device: DeviceOptions) -> Sequence[object]:
    """Return the device's configured points; drivers of tools have none."""
    points = getattr(device, "points", ())
    return points if isinstance(points, Sequence) else ()


def explain_device(device: DeviceOptions) -> str:
    """Return how a device will be read: the driver's own plan where it has one."""
    spec = known(device.driver)
    if spec.explain:
        explained: str = spec.load(spec.explain)(device)
        return explained
    count = len(points_of(device))
    return f"{device.id}: {device.driver}" + (f", {count} point{'' if count == 1 else 's'}" if count else "")
