"""The loops of a running line, and what shows that each of them makes progress."""

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from linewitness.base.watchdog import CARRY_S, COMMIT_S, CONNECT_S, Loop
from linewitness.gateway.clock_watch import ClockBoard
from linewitness.journal.journal import Journal
from linewitness.journal.telemetry.buffer import TelemetryBuffer
from linewitness.status.health import Health
from linewitness.uplink.forwarding import ForwardOptions
from linewitness.uplink.mqtt import MqttConnector

CLOCK_S: Final = 60.0
#: A few receipt records may wait a minute before they are sent, a broker's answer takes up to half a minute.
FORWARD_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayLoops:
    """The loops of a line; their progress is read from counters that the parts keep."""

    journal: Journal
    telemetry: TelemetryBuffer
    health: Health
    board: ClockBoard
    forward: ForwardOptions
    connector: MqttConnector | None
    devices: Callable[[], Iterable[str]]

    def __call__(self) -> Iterator[Loop]:
        """Yield the loops of now: a new YAML may have changed the devices."""
        yield Loop("journal", COMMIT_S, self._journal)
        yield Loop("telemetry", COMMIT_S, self._telemetry)
        yield Loop("clock", CLOCK_S, lambda: self.board.verdict and self.board.verdict.stamp)
        if self.connector is not None:
            yield Loop("forward", self._forward_s(), self._forward)
        for name in self.devices():
            yield Loop(f"capture:{name}", CARRY_S, functools.partial(self._carrying, name))
            yield Loop(f"connect:{name}", CONNECT_S, functools.partial(self._connecting, name))

    def _journal(self) -> object | None:
        if not self.journal.waiting or self.journal.pressure.full:
            return None
        return self.journal.head.size, self.journal.pressure.rounds

    def _telemetry(self) -> object | None:
        return self.telemetry.moved if self.telemetry.waiting else None

    def _carrying(self, name: str) -> object | None:
        device = self.health.devices.get(name)
        if device is None or not device.at_work or self.journal.pressure.full:
            return None
        return device.rounds

    def _connecting(self, name: str) -> object | None:
        device = self.health.devices.get(name)
        if device is None or device.state == "up" or self.journal.pressure.full:
            return None
        return device.reports

    def _forward(self) -> object | None:
        pending = self.journal.head.size > self.health.receipted
        if self.connector is None or not pending or self.health.uplink_state == "conflict":
            return None
        if self.journal.pressure.refusal:
            return None  # a receipt waits for the disk, too
        return self.connector.steps

    def _forward_s(self) -> float:
        """Return the longest pause that the settings allow between two steps of forwarding, and more."""
        pause_s = self.forward.pause_s(int(self.forward.batch_size))
        return FORWARD_S + 2 * (pause_s + self.forward.receipt_timeout_s)
