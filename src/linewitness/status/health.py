"""The state of every part now: written by the parts, read by status page, metrics and watchdog."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from linewitness.base.clock import monotonic
from linewitness.base.log_limits import LogFigures
from linewitness.base.mappings import EMPTY
from linewitness.devices.polling import PollFigures


@dataclass(slots=True)
class DeviceHealth:
    """One device: `state` is waiting, up, lost or refused; `why` is the reason in words.

    `unbound` counts results since the start of which it is not known to which unit they belong, `conflicts`
    those of which two sources name different units; why the last one, and when (monotonic). `refusals` counts
    what the station refused of what this device read or made, and exceptions.

    `reports` counts reports of the state: there is one at each attempt to connect. `at_work` is true while
    observations of the device are made durable or confirmed, the `rounds`-th time.
    `above_share` is true while the device sends more than its share, `losing` if some of that is not on
    record; `dropped` counts it. `polls` counts, where the gateway asks the device on a grid, since the start.
    `lost_segments` counts segments that the network lost, where the driver knows. `refused_points` says why
    the device refuses points, by their ids. `untold` says why it was not told of the unit at its station,
    `unmoved` which of its gates are not where they should be.
    """

    state: str = "waiting"
    why: str = ""
    observed: int = 0
    unbound: int = 0
    unbound_why: str = ""
    unbound_at: float = float("-inf")
    conflicts: int = 0
    conflict_why: str = ""
    conflict_at: float = float("-inf")
    refusals: int = 0
    reports: int = 0
    at_work: bool = False
    rounds: int = 0
    above_share: bool = False
    losing: bool = False
    dropped: int = 0
    polls: PollFigures = field(default_factory=PollFigures)
    lost_segments: int = 0
    refused_points: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    untold: str = ""
    unmoved: str = ""


@dataclass(slots=True)
class NoticeCounts:
    """Notices of alarms since the start: how many wait, were sent and gave way to newer ones.

    `why` says why the broker takes none; the empty string means that it does.
    """

    waiting: int = 0
    sent: int = 0
    dropped: int = 0
    why: str = ""


@dataclass(slots=True)
class Health:
    """The whole gateway."""

    devices: dict[str, DeviceHealth] = field(default_factory=dict)
    uplink_state: str = "none"
    uplink_why: str = ""
    #: When the uplink came into its state (monotonic); it is in the first one from the start.
    uplink_at: float = float("-inf")
    receipted: int = 0
    #: When the store last got further (monotonic).
    receipted_at: float = float("-inf")
    #: Since when records wait for a receipt (monotonic); None while none do.
    waiting_since: float | None = None
    notices: NoticeCounts = field(default_factory=NoticeCounts)
    #: What the last inspection found damaged in the journal, or nothing.
    damage: str = ""
    #: What the log of this process does not hold.
    log: Callable[[], LogFigures] = LogFigures
    #: Answers on the store's topic that it has not signed or that are outdated; why, and when (monotonic).
    answers_ignored: int = 0
    ignored_why: str = ""
    ignored_at: float = float("-inf")
    #: That another client takes our client id at the broker, or nothing; and when it was said (monotonic).
    takeover: str = ""
    takeover_at: float = float("-inf")
    #: What the store accuses the stream of without a proof, or nothing.
    accusation: str = ""
    #: That the TPM does not count, or has counted more than is on record, and what to do; or nothing.
    tpm_failure: str = ""
    tpm_hint: str = ""

    def damaged(self, what: str) -> None:
        """Record what an inspection of the journal found; the empty string means no damage."""
        self.damage = what

    def device(self, name: str, state: str, why: str) -> None:
        """Record a device's state."""
        health = self.devices.setdefault(name, DeviceHealth())
        health.state, health.why = state, why
        health.reports += 1

    def observed(self, name: str, count: int) -> None:
        """Count observations that became durable."""
        self.devices.setdefault(name, DeviceHealth()).observed += count

    def unbound(self, name: str, count: int, why: str) -> None:
        """Count results of which it is not known to which unit they belong."""
        health = self.devices.setdefault(name, DeviceHealth())
        health.unbound += count
        health.unbound_why, health.unbound_at = why, monotonic()

    def binding_conflict(self, name: str, count: int, why: str) -> None:
        """Count results of which two sources name different units."""
        health = self.devices.setdefault(name, DeviceHealth())
        health.conflicts += count
        health.conflict_why, health.conflict_at = why, monotonic()

    def refused_at_station(self, name: str, count: int) -> None:
        """Count what a station refused, and exceptions."""
        self.devices.setdefault(name, DeviceHealth()).refusals += count

    def share(self, name: str, *, above: bool, losing: bool, dropped: int) -> None:
        """Record whether a device sends more than its share, and how much is not on record."""
        health = self.devices.setdefault(name, DeviceHealth())
        health.above_share, health.losing, health.dropped = above, losing, dropped

    def polls(self, name: str, figures: PollFigures) -> None:
        """Record how many polls were due, how many were not made, and what keeps them."""
        self.devices.setdefault(name, DeviceHealth()).polls = figures

    def refused_points(self, name: str, refused: Mapping[str, str]) -> None:
        """Record why a device refuses points, by their ids."""
        self.devices.setdefault(name, DeviceHealth()).refused_points = refused

    def untold(self, name: str, why: str) -> None:
        """Record why a device was not told of the unit at its station, nothing where it was."""
        self.devices.setdefault(name, DeviceHealth()).untold = why

    def unmoved(self, name: str, why: str) -> None:
        """Record which gates of a device are not where they should be, nothing where all are."""
        self.devices.setdefault(name, DeviceHealth()).unmoved = why

    def lost_segments(self, name: str, count: int) -> None:
        """Record how many segments were lost on the way to a device since the start."""
        self.devices.setdefault(name, DeviceHealth()).lost_segments = count

    def at_work(self, name: str, busy: bool) -> None:
        """Record that a group of observations is being made durable or confirmed, or is done."""
        health = self.devices.setdefault(name, DeviceHealth())
        health.at_work = busy
        health.rounds += busy

    def uplink(self, state: str, why: str) -> None:
        """Record the uplink's state."""
        if state != self.uplink_state:
            self.uplink_at = monotonic()
        self.uplink_state, self.uplink_why = state, why

    def receipt(self, size: int, *, further: bool = False) -> None:
        """Record the number of records that a receipt covers.

        `further` says that the store got further: after a restore it does, although it had covered more.
        """
        if further or size > self.receipted:
            self.receipted_at = monotonic()
        self.receipted = size

    def wait_for_receipt(self, count: int) -> None:
        """Record how many records no receipt covers."""
        if not count:
            self.waiting_since = None
        elif self.waiting_since is None:
            self.waiting_since = monotonic()

    def answer_ignored(self, why: str) -> None:
        """Count an answer that the store has not signed, or that is outdated."""
        self.answers_ignored += 1
        self.ignored_why, self.ignored_at = why, monotonic()

    def taken_over(self, what: str) -> None:
        """Record that another client takes over our connections; nothing where none was noticed lately."""
        if what != self.takeover:
            self.takeover, self.takeover_at = what, monotonic()

    def accused(self, what: str) -> None:
        """Record what the store accuses this stream of without a proof; nothing where it does not."""
        self.accusation = what

    def tpm(self, what: str, hint: str) -> None:
        """Record that the TPM does not count, or has counted starts that are not on record."""
        self.tpm_failure, self.tpm_hint = what, hint

    @property
    def total_observed(self) -> int:
        """Observations of all devices that became durable since the start."""
        return sum(device.observed for device in self.devices.values())

    @property
    def sentence(self) -> str:
        """The whole in one line, for `systemctl status`."""
        up = sum(1 for device in self.devices.values() if device.state == "up")
        parts = (
            f"{up} of {len(self.devices)} devices up, uplink {self.uplink_state}, {self.receipted} receipted",
            f"journal damaged: {self.damage}" if self.damage else "",
            self.log().sentence,
        )
        return "; ".join(filter(None, parts))
