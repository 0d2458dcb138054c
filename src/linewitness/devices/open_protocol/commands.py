"""What a gate may ask of a controller: lock the tool, release it, tell it the unit. Never sent twice."""

from linewitness.devices.open_protocol.link import Link, RefusedByController
from linewitness.devices.open_protocol.mids import Mid
from linewitness.devices.open_protocol.telegram import Telegram
from linewitness.errors import DeviceRefused

#: A result carries this much of an identifier; a longer one would come back cut.
SINGLE_WIDTH = 25
MULTIPLE_WIDTH = 100


class CommandRefused(DeviceRefused):
    """The controller did not do what it was told; results still flow."""


class Commands:
    """Commands over an open connection. 0005 is an acceptance, no proof: the state is to be read back."""

    def __init__(self, *, link: Link, name: str) -> None:
        """`name` is what messages call the controller."""
        self._link = link
        self._name = name

    async def disable_tool(self) -> None:
        """Lock the tool (0042). Raises `CommandRefused`."""
        await self._command(Telegram(mid=Mid.TOOL_DISABLE))

    async def enable_tool(self) -> None:
        """Release the tool (0043). Raises `CommandRefused`."""
        await self._command(Telegram(mid=Mid.TOOL_ENABLE))

    async def send_identifier(self, text: str, *, multiple: bool = False) -> None:
        """Tell the controller which unit is there (0050, or 0150). Raises `CommandRefused`.

        A text that is too long is refused here: the result would carry a part of it, which is another unit's.
        """
        raw = text.encode("utf-8")
        limit = MULTIPLE_WIDTH if multiple else SINGLE_WIDTH
        if not 0 < len(raw) <= limit:
            raise CommandRefused(
                f"{self._name}: an identifier of {len(raw)} bytes cannot be sent",
                hint=f"it must have 1 to {limit}; give long serial numbers a short alias",
            )
        mid = Mid.IDENTIFIERS_DOWNLOAD if multiple else Mid.IDENTIFIER_DOWNLOAD
        await self._command(Telegram(mid=mid, data=raw))

    async def select_parameter_set(self, number: int) -> None:
        """Select a parameter set (0018); 0015 tells whether it was. Raises `CommandRefused`."""
        await self._command(Telegram(mid=Mid.PSET_SELECT, data=f"{number:03d}".encode("ascii")))

    async def _command(self, telegram: Telegram) -> None:
        try:
            await self._link.ask(telegram, Mid.ACCEPTED)
        except RefusedByController as error:
            raise CommandRefused(f"{self._name}: {error}", hint=error.hint) from error
