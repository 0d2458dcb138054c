"""What a controller is told of the unit at its station: its serial number, and the program that it needs."""

from collections.abc import Callable, Mapping
from typing import Final

from linewitness.devices.open_protocol.options import OpenProtocolOptions
from linewitness.devices.open_protocol.session.commands.offers import CommandOffers, learn
from linewitness.devices.open_protocol.session.commands.tool import CommandRefused
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.wire.codec import encode
from linewitness.devices.open_protocol.wire.mids import TRANSIENT, Mid
from linewitness.devices.open_protocol.wire.refusals import RefusedByController
from linewitness.devices.open_protocol.wire.telegram import Telegram
from linewitness.devices.unit_commands import DeviceBusy, UnitCommand

#: Characters that 0050 and 0150 hold; of the latter, results repeat parts of 25.
LIMITS: Final[Mapping[int, int]] = {Mid.IDENTIFIER_DOWNLOAD: 25, Mid.IDENTIFIERS_DOWNLOAD: 100}
#: What revision 1 of 0038 and 0019 can say.
TWO_DIGITS: Final = 99


class UnitCommands:
    """Commands about units over an open connection, as far as YAML and controller allow them."""

    def __init__(self, *, link: ControllerLink, options: OpenProtocolOptions) -> None:
        """Take what the YAML allows; nothing is offered before `learn`."""
        self._link = link
        self._options = options
        self._offers = CommandOffers()
        self._telegrams: Mapping[str, Callable[[str], Telegram]] = {
            "identifier": self._identifier,
            "batch_size": self._batch_size,
            "parameter_set": self._parameter_set,
            "job": lambda number: self._job(Mid.JOB_SELECT, number),
            "restart_job": lambda number: self._job(Mid.JOB_RESTART, number),
            "abort_job": lambda _: self._abort(),
        }

    async def learn(self) -> None:
        """Ask what the controller offers; to be called when all else is subscribed."""
        self._offers = await learn(self._link, self._options)

    async def give(self, command: UnitCommand) -> str:
        """Send a command once, and return the value that was accepted (0005).

        An acceptance is no proof of what the controller does with it. Raises `CommandRefused`, `DeviceBusy`,
        and `DeviceUnavailable` where no answer comes.
        """
        try:
            await self._link.ask(self._telegram(command), Mid.ACCEPTED)
        except RefusedByController as error:
            kind = DeviceBusy if error.code in TRANSIENT else CommandRefused
            raise kind(f"{self._options.name}: {error}", hint=self._hint(error)) from error
        return command.value

    def _telegram(self, command: UnitCommand) -> Telegram:
        allowed = "identifier" if command.name == "identifier" else "program"
        make = self._telegrams.get(command.name)
        if make is None or allowed not in self._options.commands:
            raise CommandRefused(
                f"{self._options.name}: the YAML does not allow the command {command.name}",
                hint=f"add {allowed} to commands of this device",
            )
        return make(command.value)

    def _identifier(self, serial: str) -> Telegram:
        if not self._offers.identifiers:
            raise self._not_offered("to take serial numbers (0051, 0151)", "identifier")
        if not (serial.isascii() and serial.isprintable()):
            raise CommandRefused(
                f"{self._options.name}: {serial!r} has characters that a controller cannot take",
                hint="a serial number for a controller has ASCII letters, digits and signs only",
            )
        for mid in self._offers.identifiers:
            if len(serial) <= LIMITS[mid]:
                return encode(mid, 1, {"identifier": serial})
        most = max(LIMITS[mid] for mid in self._offers.identifiers)
        raise CommandRefused(
            f"{self._options.name}: {serial} is longer than the {most} characters that the controller takes",
            hint="a serial number is never cut: mark the units with a shorter one, or leave out identifier",
        )

    def _parameter_set(self, number: str) -> Telegram:
        if not self._offers.selects_psets:
            raise self._not_offered("to select parameter sets (0010, 0014)", "program")
        return encode(Mid.PSET_SELECT, 1, {"pset_id": int(number)})

    def _batch_size(self, value: str) -> Telegram:
        if not self._offers.selects_psets:
            raise self._not_offered("to select parameter sets (0010, 0014)", "program")
        number, _, size = value.partition(":")
        values = {"pset_id": int(number), "batch_size": int(size)}
        return encode(Mid.BATCH_SIZE_SET, 2 if int(size) > TWO_DIGITS else 1, values)

    def _job(self, mid: Mid, number: str) -> Telegram:
        self._check_jobs()
        revision = 2 if int(number) > TWO_DIGITS else self._offers.job_revision
        return encode(mid, revision, {"job_id": int(number)})

    def _abort(self) -> Telegram:
        self._check_jobs()
        return Telegram(mid=Mid.JOB_ABORT)

    def _check_jobs(self) -> None:
        if not self._offers.selects_jobs:
            raise self._not_offered("to select jobs (0030, 0034)", "program")

    def _not_offered(self, what: str, command: str) -> CommandRefused:
        return CommandRefused(
            f"{self._options.name} did not offer {what} when the session began: nothing was sent",
            hint=f"enable it at the controller, which may need a licence, or take {command} out of commands",
        )

    def _hint(self, error: RefusedByController) -> str:
        """Return what to do, with the numbers that the controller listed."""
        lists = {Mid.PSET_SELECT: self._offers.psets, Mid.JOB_SELECT: self._offers.jobs}
        numbers = lists.get(Mid(error.mid))
        if not numbers:
            return error.hint
        return f"{error.hint}; the controller listed {', '.join(map(str, numbers))}"
