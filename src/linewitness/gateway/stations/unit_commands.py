"""Tell a device of the unit at its station: each command is on record before it is sent."""

from collections.abc import Sequence
from typing import Final

import structlog

from linewitness.base.clock import Clock
from linewitness.base.errors import DeviceError, DeviceRefused, DeviceUnavailable
from linewitness.base.failures import retrieve
from linewitness.devices.base import CommandingSession
from linewitness.devices.unit_commands import (
    DeviceBusy,
    UnitCommand,
    UnitCommandOptions,
    UnitCommandSession,
)
from linewitness.evidence.format.gateway_event import gateway_event
from linewitness.evidence.format.record import Change, Event, Resource
from linewitness.gateway.availability import DeviceStatusSink
from linewitness.journal.journal import Journal
from linewitness.stations.station import Station
from linewitness.stations.unit.units import HeldUnit

log = structlog.get_logger()

#: A unit that only the tool's own result names is there when it is too late to tell the tool of it.
BY_RESULT: Final = "result"
#: A device that is busy is asked so often, once a second, before that is its answer.
BUSY_TRIES: Final = 10
#: What is tried and cannot be decided, because no setting says what the unit needs.
CHOICE: Final = "choice"


class UnitTelling:
    """The commands of one device for the units that come to its station.

    A command that was accepted is not sent again for the same stay of a unit. One that was refused, or of
    which no answer came, is sent again only when somebody reads the unit again: it may have been carried out.
    """

    def __init__(
        self,
        device: str,
        station_id: str | None,
        options: UnitCommandOptions,
        station: Station,
        *,
        journal: Journal,
        clock: Clock,
        health: DeviceStatusSink,
    ) -> None:
        """Take the device, its settings, and its station."""
        self._device = device
        self._context = {"device_id": device, **({"station_id": station_id} if station_id else {})}
        self._options = options
        self._station = station
        self._journal = journal
        self._clock = clock
        self._health = health
        self._told: HeldUnit | None = None
        self._busy: dict[str, int] = {}

    async def tell(self, session: CommandingSession) -> None:
        """Send what the unit at the station needs and was not sent. DeviceUnavailable: no answer."""
        present = self._station.units.present
        if present is None or not isinstance(session, UnitCommandSession):
            return
        held, named_by = present
        self._begin(held)
        if held.by == BY_RESULT:
            return
        commands = await self._chosen(session, held, named_by)
        if commands is None:
            return
        for command in commands:
            if not self._is_here(held):
                return
            after = not command.after or self._name(command.after) in held.told
            if after and self._is_due(held, command.name):
                await self._give(session, held, command)
            if command.name in self._busy:
                return  # what comes after it waits as well
        if all(self._name(command.name) in held.told for command in commands):
            self._health.untold(self._device, "")

    def _begin(self, held: HeldUnit) -> None:
        """Forget what was about the unit before; show what was tried for this one before a restart."""
        if held is self._told:
            return
        prefix = self._name("")
        tried = sorted(
            name.removeprefix(prefix) for name in held.tried - held.told if name.startswith(prefix)
        )
        why = (
            f"it did not accept {', '.join(tried)}, or did not answer: this is not repeated" if tried else ""
        )
        self._health.untold(self._device, why)
        self._told, self._busy = held, {}

    async def _chosen(
        self, session: UnitCommandSession, held: HeldUnit, named_by: str
    ) -> Sequence[UnitCommand] | None:
        """Return what the settings say of a unit; None, and that on record, where it cannot be decided."""
        try:
            return self._options.commands_for(held.serial, named_by, held.variant.product)
        except DeviceRefused as error:
            if self._is_due(held, CHOICE):
                await self._not_done(session, held, UnitCommand(CHOICE, held.serial), error)
            return None

    async def _give(self, session: UnitCommandSession, held: HeldUnit, command: UnitCommand) -> None:
        name, tries = self._name(command.name), self._busy.get(command.name, 0) + 1
        if tries == 1:
            sent = Change("command", None, "sent")
            reason = f"{command.name} is sent for the unit at the station, as the YAML says"
            event = self._event(session, held, command, reason, (sent,))
            await self._journal.submit([event], state=dict(self._station.units.noted(held)))
            if not self._is_here(held):  # the commit took its time, as on a full disk
                await self._not_sent(session, held, command)
                return
        # Crash here: the command is on record and not sent; it is sent when the unit is read again.
        try:
            back = await session.command_unit(command)
        except DeviceRefused as error:
            self._busy.pop(command.name, None)
            if isinstance(error, DeviceBusy) and tries < BUSY_TRIES:
                self._busy[command.name] = tries
                held.tried.discard(name)
                return
            await self._not_done(session, held, command, error)
            return
        except DeviceUnavailable as error:
            # The session ends now, and with it this task: the record must not wait for its turn.
            unknown = f"whether {command.name} was carried out is not known, and it is not repeated: {error}"
            event = self._event(session, held, command, unknown, (_confirmed(None),))
            self._journal.submit([event]).add_done_callback(retrieve)
            self._show(held, command, unknown)
            raise
        done = self._event(
            session,
            held,
            command,
            f"the device accepted {command.name}",
            (Change("read_back", None, back), _confirmed(back == command.value)),
        )
        state = self._station.units.tell(held, name)
        self._busy.pop(command.name, None)
        await self._journal.submit([done], state=dict(state))

    async def _not_sent(self, session: UnitCommandSession, held: HeldUnit, command: UnitCommand) -> None:
        """Put on record that the unit was not there any more; it is told if it is there again."""
        held.tried.discard(self._name(command.name))
        reason = f"{command.name} was not sent, because the unit left before the record was durable"
        event = self._event(session, held, command, reason, (_confirmed(False),))
        await self._journal.submit([event], state=dict(self._station.units.noted(held)))

    async def _not_done(
        self, session: UnitCommandSession, held: HeldUnit, command: UnitCommand, error: DeviceError
    ) -> None:
        self._show(held, command, str(error))
        await self._journal.submit([self._event(session, held, command, str(error), (_confirmed(False),))])

    def _is_here(self, held: HeldUnit) -> bool:
        present = self._station.units.present
        return present is not None and present[0] is held

    def _is_due(self, held: HeldUnit, name: str) -> bool:
        """Return whether a command is to be given now, and note that it is."""
        key = self._name(name)
        if key in held.told or key in held.tried:
            return False
        held.tried.add(key)
        return True

    def _name(self, command: str) -> str:
        return f"{self._device}/{command}"

    def _show(self, held: HeldUnit, command: UnitCommand, why: str) -> None:
        self._health.untold(self._device, why)
        log.warning(
            "device was not told of the unit",
            device=self._device,
            unit=held.serial,
            command=command.name,
            why=why,
        )

    def _event(
        self,
        session: UnitCommandSession,
        held: HeldUnit,
        command: UnitCommand,
        reason: str,
        changes: tuple[Change, ...],
    ) -> Event:
        return gateway_event(
            "parameter.changed",
            self._clock.stamp().realtime_ns,
            resource=Resource("device", self._device, ("unit", held.serial)),
            reason=reason,
            changes=(Change(command.name, None, command.value), *changes),
            context={**self._context, "session_id": session.session_id},
        )


def _confirmed(done: bool | None) -> Change:
    return Change("confirmed", None, done, status="ok" if done else "nok")
