"""The clocks in a journal's records: offsets and bounds over time, steps, and the clocks of devices."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from linewitness.base.clock import NS_PER_S, from_rfc3339
from linewitness.evidence.format.record import parse
from linewitness.journal.reader import JournalReader
from linewitness.journal.records.reading import PAGE

#: A plot's columns and rows.
WIDTH: Final = 72
HEIGHT: Final = 9


@dataclass(frozen=True, slots=True)
class Point:
    """The clock at one `clock.status`: how far UTC was ahead of it, and how wrong it was at most."""

    at_ns: int
    sync: str
    offset_us: int | None
    bound_us: int | None


@dataclass(frozen=True, slots=True)
class SeenStep:
    """One `clock.stepped`."""

    sequence_no: int
    before: str
    after: str
    step_ms: int


@dataclass(frozen=True, slots=True)
class DeviceClockView:
    """A device's clock: how far it was ahead in the newest record that says so, and at most."""

    device: str
    offset_ms: int
    at: str
    worst_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockHistory:
    """The clocks in a part of a journal; `stepped` counts the steps in it, `steps` has the last ones."""

    points: tuple[Point, ...]
    stepped: int
    steps: tuple[SeenStep, ...]
    devices: tuple[DeviceClockView, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the history as JSON values."""
        return asdict(self)


def last_hours(reader: JournalReader, hours: float) -> Iterator[bytes]:
    """Yield the journal's records of the last hours, by their own times, and at most a page before these."""
    size = reader.size()
    newest = reader.batch(max(0, size - 1), 0)
    if not newest:
        return
    since_ns = _time(newest[0]) - int(hours * 3600 * NS_PER_S)
    first = max(reader.pruned, size - PAGE)
    while first > reader.pruned and _time(reader.batch(first, 0)[0]) >= since_ns:
        first = max(reader.pruned, first - PAGE)
    for _, data in reader.records(first, size):
        yield data


def _time(data: bytes) -> int:
    # A record's time follows its only unquoted name: quotes inside of strings are escaped.
    _, _, rest = data.partition(b'"ingested_at":"')
    return from_rfc3339(rest[:24].decode())


def history_of(records: Iterable[bytes], *, shown: int = 10) -> ClockHistory:
    """Return the clocks in consecutive records."""
    points: list[Point] = []
    steps: list[SeenStep] = []
    devices: dict[str, DeviceClockView] = {}
    for data in records:
        if b'"kind":"clock.' not in data and b'"device_offset_ms":' not in data:
            continue
        members = parse(data)
        fields = {change["field"]: change["after"] for change in members["changes"]}
        if members["kind"] == "clock.stepped":
            steps.append(_step(members))
        elif members["kind"] == "clock.status" and members["resource"]["type"] == "clock":
            points.append(_point(members, fields, points[-1] if points else None))
        offset_ms = members["clock"].get("device_offset_ms")
        if members["resource"]["type"] == "device" and isinstance(fields.get("offset_ms"), int):
            offset_ms = fields["offset_ms"]
        device = members["context"].get("device_id")
        if device is not None and offset_ms is not None:
            worst_ms = max((devices[device].worst_ms if device in devices else 0, offset_ms), key=abs)
            devices[device] = DeviceClockView(device, offset_ms, members["ingested_at"], worst_ms)
    return ClockHistory(
        points=tuple(points),
        stepped=len(steps),
        steps=tuple(steps[-shown:]),
        devices=tuple(devices[name] for name in sorted(devices)),
    )


def _point(members: Mapping[str, Any], fields: Mapping[str, Any], last: Point | None) -> Point:
    """Return the state that a record tells; what did not change since the last one it leaves out."""
    clock = members["clock"]
    offset_us = fields.get("offset_us", last.offset_us if last else None)
    return Point(
        from_rfc3339(members["ingested_at"]),
        fields.get("sync", clock["sync"]),
        offset_us if isinstance(offset_us, int) else None,
        fields.get("bound_us", clock.get("bound_us")),
    )


def _step(members: Mapping[str, Any]) -> SeenStep:
    (time,) = (change for change in members["changes"] if change["field"] == "time")
    before, after = str(time["before"]), str(time["after"])
    step_ms = (from_rfc3339(after) - from_rfc3339(before)) // 1_000_000
    return SeenStep(members["sequence_no"], before, after, step_ms)


def plot(points: Sequence[Point], *, width: int = WIDTH, height: int = HEIGHT) -> list[str]:
    """Draw the offset over time: `o` where it was, `.` between its extremes in one column, `-` at zero.

    `height` is odd; zero is in the middle. The scale holds all but the largest twentieth of the offsets,
    so that one bad hour does not flatten a day; what is beyond is `^` or `v` at the edge.
    """
    drawn = [(point.at_ns, point.offset_us) for point in points if point.offset_us is not None]
    if not drawn:
        return []
    ranked = sorted(abs(offset_us) for _, offset_us in drawn)
    most_us = max(1, ranked[-(-(len(ranked) - 1) * 19 // 20)])
    middle = height // 2
    rows = [[" "] * width for _ in range(height)]
    rows[middle] = ["-"] * width
    for column, found in _columns(drawn, width).items():
        inside = [min(max(offset_us, -most_us), most_us) for offset_us in found]
        at = [middle - round(offset_us * middle / most_us) for offset_us in inside]
        for row in range(min(at), max(at) + 1):
            rows[row][column] = "."
        mark = "^" if found[-1] > most_us else "v"
        rows[at[-1]][column] = "o" if found[-1] == inside[-1] else mark
    labels = {0: in_units(most_us), middle: "0", height - 1: in_units(-most_us)}
    return [f"{labels.get(number, ''):>12} |{''.join(row)}".rstrip() for number, row in enumerate(rows)]


def _columns(drawn: Sequence[tuple[int, int]], width: int) -> dict[int, list[int]]:
    """Return the offsets that fall into each column."""
    begin = min(at_ns for at_ns, _ in drawn)
    span = max(1, max(at_ns for at_ns, _ in drawn) - begin)
    columns: dict[int, list[int]] = {}
    for at_ns, offset_us in drawn:
        columns.setdefault((at_ns - begin) * (width - 1) // span, []).append(offset_us)
    return columns


def in_units(microseconds: int) -> str:
    """Return a signed duration in the unit that reads best."""
    if abs(microseconds) < 1000:  # noqa: PLR2004 (up to a millisecond)
        return f"{microseconds:+d} us"
    if abs(microseconds) < 1_000_000:  # noqa: PLR2004 (up to a second)
        return f"{microseconds / 1000:+.3f} ms"
    return f"{microseconds / 1_000_000:+,.3f} s"
