"""Where in a YAML further points of a device belong."""

from pathlib import Path

from linewitness.config.reading import read_file
from linewitness.devices.options import DeviceOptions
from linewitness.devices.spec import PointsPlace


def points_place(path: Path, device: DeviceOptions) -> PointsPlace:
    """Return the columns at which points of a device are pasted into its YAML, and the ids that it uses.

    The YAML is right: `load` has read it. `points: []` is to be replaced.
    """
    taken = frozenset(point.id for point in getattr(device, "points", ()))
    devices = read_file(path).child("devices")
    for node in devices.items() if devices is not None else ():
        if node.text("id") != device.id:
            continue
        column, points = node.keys["id"].column - 1, node.child("points")
        if points is None or points.value == []:
            return PointsPlace(key=column, dash=column + 2, taken=taken)
        # A list begins with its first dash.
        dash = points.place.column - 1 if points.items() else column + 2
        return PointsPlace(key=None, dash=dash, taken=taken)
    return PointsPlace(taken=taken)
