"""The state of every part now: written by the parts, read by status page, metrics and watchdog."""

from dataclasses import dataclass, field

from linewitness.base.clock import monotonic


@dataclass(slots=True)
class DeviceHealth:
    """One device: `state` is waiting, up, lost or refused; `why` is the reason in words.

    `reports` counts reports of the state: there is one at each attempt to connect. `at_work` is true while
    observations of the device are made durable or confirmed, the `rounds`-th time.
    """

    state: str = "waiting"
    why: str = ""
    observed: int = 0
    reports: int = 0
    at_work: bool = False
    rounds: int = 0


@dataclass(slots=True)
class Health:
    """The whole gateway."""

    devices: dict[str, DeviceHealth] = field(default_factory=dict)
    uplink_state: str = "none"
    uplink_why: str = ""
    receipted: int = 0
    #: What the last inspection found damaged in the journal, or nothing.
    damage: str = ""
    #: Answers on the store's topic that it has not signed or that are outdated; why, and when (monotonic).
    answers_ignored: int = 0
    ignored_why: str = ""
    ignored_at: float = float("-inf")
    #: That another client takes our client id at the broker, or nothing; and when it was said (monotonic).
    takeover: str = ""
    takeover_at: float = float("-inf")
    #: What the store accuses the stream of without a proof, or nothing.
    accusation: str = ""

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

    def at_work(self, name: str, busy: bool) -> None:
        """Record that a group of observations is being made durable or confirmed, or is done."""
        health = self.devices.setdefault(name, DeviceHealth())
        health.at_work = busy
        health.rounds += busy

    def uplink(self, state: str, why: str) -> None:
        """Record the uplink's state."""
        self.uplink_state, self.uplink_why = state, why

    def receipt(self, size: int) -> None:
        """Record the number of records that a receipt covers."""
        self.receipted = size

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

    @property
    def total_observed(self) -> int:
        """Observations of all devices that became durable since the start."""
        return sum(device.observed for device in self.devices.values())

    @property
    def sentence(self) -> str:
        """The whole in one line, for `systemctl status`."""
        up = sum(1 for device in self.devices.values() if device.state == "up")
        return (
            f"{up} of {len(self.devices)} devices up, uplink {self.uplink_state}, {self.receipted} receipted"
            + (f"; journal damaged: {self.damage}" if self.damage else "")
        )
