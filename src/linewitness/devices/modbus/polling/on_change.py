"""Send of telemetry what changed, and everything again once in a while. Pure: no I/O."""

from collections.abc import Sequence
from typing import Final

from linewitness.devices.modbus.points import ModbusPoint, Order
from linewitness.devices.modbus.polling.columns import Columns, TelemetryDecoder

#: A deadband of 0.1 is reached from 0.2 to 0.3, whose difference is a little less in binary arithmetic.
_ROUNDING: Final = 1 - 1e-9
_NOT_SENT: Final = object()


class ChangeFilter:
    """The telemetry points of one block that are sent only on change, and what was last sent of them.

    Its methods return the points to send with their values, or None where nothing is to be sent.
    """

    def __init__(
        self, points: Sequence[ModbusPoint], *, first: int, count: int, order: Order, repeat_ns: int
    ) -> None:
        """Compile how the points of a block are read; after `repeat_ns` all of them are sent again."""
        self._decoder = TelemetryDecoder(points, first=first, count=count, order=order)
        bands = {point.id: point.deadband for point in points}
        self._bands = tuple(float(bands[name] or 0) * _ROUNDING for name in self._decoder.points)
        self._repeat_ns = repeat_ns
        self._sent_all_ns: int | None = None
        self._data: bytes | None = None
        self._values: list[object] = [_NOT_SENT] * len(self._bands)
        self._statuses: dict[int, str] = {}
        self.points: tuple[str, ...] = self._decoder.points

    def take(self, data: bytes, now_ns: int) -> tuple[tuple[str, ...], Columns] | None:
        """Return the points whose values are to be sent, with these; `now_ns` is the time since boot."""
        if data == self._data and not self._is_time(now_ns):
            return None
        self._data = data
        return self._to_send(self._decoder.decode(data), now_ns)

    def take_failure(self, words: str, now_ns: int) -> tuple[tuple[str, ...], Columns] | None:
        """Return the points of which was not yet said that they have no value, and why."""
        self._data = None
        count = len(self.points)
        return self._to_send(Columns((None,) * count, dict.fromkeys(range(count), words)), now_ns)

    def _is_time(self, now_ns: int) -> bool:
        return self._sent_all_ns is None or now_ns - self._sent_all_ns >= self._repeat_ns

    def _to_send(self, columns: Columns, now_ns: int) -> tuple[tuple[str, ...], Columns] | None:
        """Compare with what was last sent, and keep what is sent now."""
        values, statuses = columns.values, columns.statuses
        if self._is_time(now_ns):
            self._sent_all_ns = now_ns
            self._values, self._statuses = list(values), dict(statuses)
            return self.points, columns
        sent = self._values
        new = [
            at
            for at, (value, before, band) in enumerate(zip(values, sent, self._bands, strict=True))
            if (value != before and _differs(value, before, band))
            or (value is None and self._says(at, statuses))
        ]
        if not new:
            return None
        for at in new:
            sent[at] = values[at]
            if at in statuses:
                self._statuses[at] = statuses[at]
            else:
                self._statuses.pop(at, None)
        told = {position: statuses[at] for position, at in enumerate(new) if at in statuses}
        return tuple([self.points[at] for at in new]), Columns(tuple([values[at] for at in new]), told)

    def _says(self, at: int, statuses: dict[int, str]) -> bool:
        """Return whether a point without a value has it for another reason than was last sent."""
        return statuses.get(at) != self._statuses.get(at)


def _differs(value: object, before: object, band: float) -> bool:
    """Return whether two values that are not equal are far enough apart; a missing one is."""
    if band and isinstance(value, int | float) and isinstance(before, int | float):
        return abs(value - before) >= band
    return True
