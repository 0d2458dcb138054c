"""Hold one controller together: state, durable results, clock, and who wants to hear of changes."""

import random
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final, Protocol

from linewitness.base.clock import Clock
from linewitness_simulators.torque import device
from linewitness_simulators.torque.device import ToolDisabledError
from linewitness_simulators.torque.memory import Acked, Forgotten, ResultMemory
from linewitness_simulators.torque.model import Alarm, ControllerDescription, Inputs, State, StoredResult
from linewitness_simulators.torque.options import ClientLog, TorqueFaults, TorqueOptions

FOREIGN_STATION_STEP: Final = 1


class ControllerChange(Enum):
    """What a subscriber may want to hear of."""

    RESULT = auto()
    PARAMETER_SET = auto()
    JOB = auto()
    IDENTIFIER = auto()
    ALARM = auto()
    ALARM_STATUS = auto()
    ALARM_ACKNOWLEDGED = auto()


@dataclass(frozen=True, slots=True)
class ControllerEvent:
    """Something changed at the controller."""

    change: ControllerChange
    result: StoredResult | None = None
    alarm: Alarm | None = None


class Listener(Protocol):
    """Somebody connected."""

    def subscribed(self, mid: int) -> bool:
        """Return whether there is a subscription that began with this MID."""

    def hear(self, event: ControllerEvent) -> None:
        """Take notice of a change."""


class Controller:
    """A controller without its network. Everything made is on the disk before anybody hears of it."""

    def __init__(
        self, options: TorqueOptions, *, clock: Clock, faults: TorqueFaults, ledger: ClientLog
    ) -> None:
        """Remember what the state file holds, or begin anew."""
        self.options = options
        self.faults = faults
        self.ledger = ledger
        self.setup = options.setup()
        self.memory = ResultMemory(options.state)
        self.alarms: list[Alarm] = []
        self.listeners: list[Listener] = []
        self._clock = clock
        first = next(iter(self.setup.parameter_sets))
        self.state = self.memory.state or State(next_id=options.first_id, parameter_set=first)

    @property
    def station(self) -> ControllerDescription:
        """Who we say we are."""
        serial = self.faults.other_serial or self.options.station.serial
        number = (
            self.options.station.station_id
            if self.faults.other_station is None
            else self.faults.other_station
        )
        return replace(self.options.station, serial=serial, station_id=number)

    def times(self) -> tuple[int, str]:
        """Return Unix nanoseconds and what the controller's own clock shows."""
        now = self._clock.stamp().realtime_ns
        return now, device.wall_time(now, self.options.zone, self.state.device_offset_s)

    def _keep(self, state: State, *changes: ControllerEvent) -> None:
        self.memory.append(state)
        self.state = state
        for change in changes:
            self._tell(change)

    def _tell(self, event: ControllerEvent) -> None:
        for listener in list(self.listeners):
            listener.hear(event)

    def subscribed(self, mid: int) -> int:
        """Return how many listeners subscribed with this MID."""
        return sum(listener.subscribed(mid) for listener in self.listeners)

    def tighten(self, inputs: Inputs, *, at_ns: int | None = None) -> StoredResult:
        """Make a result, store it, tell the subscribers. ToolDisabledError while the tool is locked."""
        self._pass_ids_to_others()
        times = self.times()
        if at_ns is not None:
            times = (at_ns, device.wall_time(at_ns, self.options.zone, self.state.device_offset_s))
        before = self.state
        after, made = device.tighten(self.setup, before, self.options.station.station_id, times, inputs)
        self.memory.append(made, after)
        self.state = after
        self._forget_the_oldest()
        if after.identifiers != before.identifiers:
            self._tell(ControllerEvent(ControllerChange.IDENTIFIER))
        self._tell(ControllerEvent(ControllerChange.RESULT, result=made))
        if after.job:
            self._tell(ControllerEvent(ControllerChange.JOB))
        return made

    def push_again(self, number: int, torque: int | None = None) -> None:
        """Tell the subscribers of a stored result once more, with another torque if one is given."""
        made = self.memory.stored[number]
        self._tell(
            ControllerEvent(
                ControllerChange.RESULT, result=made if torque is None else replace(made, torque=torque)
            )
        )

    def _pass_ids_to_others(self) -> None:
        """Let stations that share our id space make their results."""
        for _ in range(self.faults.foreign_ids):
            station = self.options.station.station_id + FOREIGN_STATION_STEP
            foreign = replace(self.state, identifiers=("ELSEWHERE", "", "", ""), tool_enabled=True)
            _, made = device.tighten(self.setup, foreign, station, self.times(), Inputs())
            self.state = replace(self.state, next_id=self.state.next_id + 1)
            self.memory.append(made, self.state)

    def _forget_the_oldest(self) -> None:
        if len(self.memory.stored) > self.options.capacity:
            ids = sorted(self.memory.stored)
            self.memory.append(Forgotten(below=ids[-self.options.capacity]))

    def identify(self, text: str, position: int = 0) -> None:
        """Take over an identifier; position 0 is the VIN."""
        self._keep(device.identify(self.state, text, position), ControllerEvent(ControllerChange.IDENTIFIER))

    def select_parameter_set(self, number: int) -> None:
        """Select a parameter set; KeyError where there is none of that number."""
        state = device.select_parameter_set(self.setup, self.state, number)
        self._keep(state, ControllerEvent(ControllerChange.PARAMETER_SET))

    def set_batch_size(self, number: int, size: int) -> None:
        """Change the batch of a parameter set; KeyError where there is none of that number."""
        self._keep(device.set_batch_size(self.setup, self.state, number, size))

    def select_job(self, number: int) -> None:
        """Start a job, or none with 0; KeyError where there is none of that number."""
        state = device.select_job(self.setup, self.state, number)
        changes = [ControllerEvent(ControllerChange.JOB)] if number else []
        self._keep(state, *changes, ControllerEvent(ControllerChange.PARAMETER_SET))

    def enable_tool(self, enabled: bool) -> None:
        """Lock or release the tool."""
        self._keep(replace(self.state, tool_enabled=enabled))

    def show_time(self, text: str) -> None:
        """Set the controller's clock to a local time; ValueError if it is none."""
        offset = device.offset_to_show(text, self._clock.stamp().realtime_ns, self.options.zone)
        self._keep(replace(self.state, device_offset_s=offset))

    def shift_clock(self, seconds: float) -> None:
        """Let the controller's clock jump."""
        self._keep(replace(self.state, device_offset_s=self.state.device_offset_s + seconds))

    def forget(self, below: int | None = None) -> None:
        """Lose the stored results below an id, or all; the ids go on."""
        self.memory.append(Forgotten(below=below))

    def count_from(self, number: int) -> None:
        """Give the next result this id."""
        self._keep(replace(self.state, next_id=number))

    def set_sync_id(self, number: int) -> None:
        """Give the next multi-spindle result this id."""
        self._keep(replace(self.state, sync_id=number))

    def raise_alarm(self, code: str, text: str) -> None:
        """Raise an alarm."""
        alarm = Alarm(code, text, self.times()[1])
        self.alarms.append(alarm)
        self._tell(ControllerEvent(ControllerChange.ALARM, alarm=alarm))

    def acknowledge_alarm(self) -> bool:
        """Clear the oldest alarm at the controller; False where none is active."""
        if not self.alarms:
            return False
        alarm = self.alarms.pop(0)
        self._tell(ControllerEvent(ControllerChange.ALARM_ACKNOWLEDGED, alarm=alarm))
        if not self.alarms:
            self._tell(ControllerEvent(ControllerChange.ALARM_STATUS))
        return True

    def tighten_next(self) -> StoredResult:
        """Make the next tightening of a line that runs by itself; units come and go."""
        state, options = self.state, self.options
        if not state.tool_enabled:
            raise ToolDisabledError("the tool is disabled; enable it with MID 0043")
        if state.unit_left == 0:
            following = replace(state, units=state.units + 1, unit_left=options.per_unit)
            self._keep(
                device.identify(following, f"SN{following.units:04d}"),
                ControllerEvent(ControllerChange.IDENTIFIER),
            )
        chance = random.Random(f"{options.seed}:ok:{self.state.next_id}").random()
        made = self.tighten(Inputs(ok=chance >= options.nok_share))
        if made.ok:
            self._keep(replace(self.state, unit_left=self.state.unit_left - 1))
        return made

    def newest_of_ours(self) -> StoredResult | None:
        """Return the newest stored result of this station."""
        station = self.options.station.station_id
        newest_first = reversed(self.memory.stored)
        ours = (self.memory.stored[n] for n in newest_first if self.memory.stored[n].station_id == station)
        return next(ours, None)

    def acknowledged(self, number: int) -> None:
        """Remember that a client confirmed a result for the first time."""
        self.memory.append(Acked(number))
