"""Clocks for tests."""

from linewitness.base.clock import NS_PER_S, Stamp

#: 2026-03-01T08:00:00Z
START_NS = 1_772_352_000 * NS_PER_S


class ManualClock:
    """A machine's clocks that move by `tick_ns` at each stamp, and as the test says."""

    def __init__(
        self, *, tick_ns: int = 1_000_000, boot_id: str = "00000000-0000-4000-8000-000000000001"
    ) -> None:
        self.realtime_ns = START_NS
        self.boottime_ns = 60 * NS_PER_S
        self.tick_ns = tick_ns
        self.boot_id = boot_id

    def stamp(self) -> Stamp:
        self.advance_ns(self.tick_ns)
        return Stamp(self.realtime_ns, self.boottime_ns)

    def advance_ns(self, duration_ns: int) -> None:
        """Let time pass: both clocks move."""
        self.realtime_ns += duration_ns
        self.boottime_ns += duration_ns

    def step_ns(self, jump_ns: int) -> None:
        """Set the wall clock: only one of them moves."""
        self.realtime_ns += jump_ns
