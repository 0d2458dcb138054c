"""The line while the disk has no room to open its journal: the same page, metrics and health check."""

from collections.abc import Callable

from linewitness.base.clock import Clock
from linewitness.base.log_limits import LogFigures
from linewitness.journal.pressure import Level, Room
from linewitness.journal.reader import Figures
from linewitness.status.backlog import DrainRate
from linewitness.status.health import DeviceHealth, NoticeCounts
from linewitness.status.problems.line import full_journal
from linewitness.status.rows import DeviceRow, LineFacts, StationRow
from linewitness.status.snapshot import Snapshot


class BeforeStart:
    """Snapshots without a journal: what the YAML says of the line, and the alarm."""

    def __init__(
        self, line: LineFacts, *, max_size: int, clock: Clock, bytes_on_disk: Callable[[], int], refusal: str
    ) -> None:
        """Take the facts of the line, the journal's room, and what the disk said."""
        self._line = line
        self._max_size = max_size
        self._clock = clock
        self._bytes_on_disk = bytes_on_disk
        self._refusal = refusal

    async def snapshot(self) -> Snapshot:
        """Return the line as it waits."""
        used = self._bytes_on_disk()
        return Snapshot(
            now_ns=self._clock.stamp().realtime_ns,
            line=self._line,
            devices=tuple(DeviceRow(facts, DeviceHealth(), None) for facts in self._line.devices),
            stations=tuple(
                StationRow(name, title, None, None, (0, 0), None) for name, title in self._line.stations
            ),
            uplink_state="none",
            uplink_why="",
            answers_ignored=0,
            drain=DrainRate(),
            notices=NoticeCounts(),
            figures=Figures(0, 0, 0, used, used),
            signed=None,
            room=Room(used, 0, self._max_size, None),
            level=Level.FULL,
            verdict=None,
            offsets_us=(),
            dropped={},
            expiries=(),
            log=LogFigures(),
            events=(),
            problems=(full_journal(self._refusal),),
        )
