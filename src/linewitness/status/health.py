"""How every part is doing right now: written by the parts, read by whoever asks."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class DeviceHealth:
    """One device: `state` is waiting, up, lost or refused; `why` says what a person should know.

    `reports` counts how often a state was said: a device that is away says so at each attempt. `at_work`
    is true while observations of it are made durable or confirmed, the `rounds`-th time.
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

    def damaged(self, what: str) -> None:
        """Take note of what an inspection of the journal found, or that it found nothing."""
        self.damage = what

    def device(self, name: str, state: str, why: str) -> None:
        """Take note of a device's state."""
        health = self.devices.setdefault(name, DeviceHealth())
        health.state, health.why = state, why
        health.reports += 1

    def observed(self, name: str, count: int) -> None:
        """Count observations that became durable."""
        self.devices.setdefault(name, DeviceHealth()).observed += count

    def at_work(self, name: str, busy: bool) -> None:
        """Take note that a group of observations is being carried, or was carried to its end."""
        health = self.devices.setdefault(name, DeviceHealth())
        health.at_work = busy
        health.rounds += busy

    def uplink(self, state: str, why: str) -> None:
        """Take note of the uplink's state."""
        self.uplink_state, self.uplink_why = state, why

    def receipt(self, size: int) -> None:
        """Take note of the size that the store has custody of."""
        self.receipted = size

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
