"""What a gate may ask of a controller: lock the tool, release it, tell it the unit. Never sent twice."""

from typing import Final

from linewitness.base.errors import DeviceRefused
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.wire.codec import encode
from linewitness.devices.open_protocol.wire.mids import STEP_DOWN, UNSUPPORTED, Mid
from linewitness.devices.open_protocol.wire.refusals import RefusedByController
from linewitness.devices.open_protocol.wire.telegram import Telegram

#: A result carries this much of an identifier; a longer one would come back cut.
SINGLE_WIDTH = 25
MULTIPLE_WIDTH = 100
#: 0042 revision 2: lock the tool, rather than inhibit only some kinds of results.
LOCK: Final = 0
#: From this revision on 0042 and 0043 name a tool.
NAMED_TOOL: Final = 2


class CommandRefused(DeviceRefused):
    """The controller did not do what it was told; results still flow."""


class ToolCommands:
    """Commands over an open connection. 0005 is an acceptance, no proof of what the tool does."""

    def __init__(self, *, link: ControllerLink, name: str, tool_number: int | None = None) -> None:
        """`name` is what messages call the controller; `tool_number` which of its tools is meant."""
        self._link = link
        self._name = name
        self._tool_number = tool_number

    async def move(self, point: str | None, value: str) -> str:
        """Lock the tool (`closed`) or release it (`opened`), and return what the controller accepted.

        Open Protocol has no question for the lock, so the acceptance (0005) is all there is to return. Raises
        `CommandRefused`, and `DeviceUnavailable` where no answer comes: it is not known then what the tool
        does, and the order is given again on the next connection.
        """
        if point is not None:
            raise CommandRefused(
                f"{self._name}: a controller has no point {point} that could be written",
                hint="leave out the gate's point: the tool itself is locked, and alive is not for tools",
            )
        if value == "closed":
            await self.disable_tool()
        elif value == "opened":
            await self.enable_tool()
        else:
            raise CommandRefused(f"{self._name}: a tool can be closed or opened, not {value!r}")
        return value

    async def disable_tool(self) -> None:
        """Lock the tool (0042). Raises `CommandRefused`."""
        if self._tool_number is None:
            await self._command(Telegram(mid=Mid.TOOL_DISABLE))
        else:
            values = {"tool_number": self._tool_number, "disable_type": LOCK}
            await self._command(encode(Mid.TOOL_DISABLE, NAMED_TOOL, values))

    async def enable_tool(self) -> None:
        """Release the tool (0043). Raises `CommandRefused`."""
        if self._tool_number is None:
            await self._command(Telegram(mid=Mid.TOOL_ENABLE))
        else:
            await self._command(encode(Mid.TOOL_ENABLE, NAMED_TOOL, {"tool_number": self._tool_number}))

    async def set_time(self, local: str) -> None:
        """Set the controller's clock to a local time, YYYY-MM-DD:HH:MM:SS (0082). Raises `CommandRefused`."""
        await self._command(encode(Mid.TIME_SET, 1, {"time": local}))

    async def bypass_identifier(self) -> None:
        """Let the next identifier of the work order be left out (0155). Raises `CommandRefused`."""
        await self._command(Telegram(mid=Mid.IDENTIFIER_BYPASS))

    async def reset_latest_identifier(self) -> None:
        """Let the controller forget the identifier that came last (0156). Raises `CommandRefused`."""
        await self._command(Telegram(mid=Mid.IDENTIFIER_RESET_LATEST))

    async def reset_identifiers(self) -> None:
        """Let the controller forget all identifiers (0157). Raises `CommandRefused`."""
        await self._command(Telegram(mid=Mid.IDENTIFIER_RESET_ALL))

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
            hint = NAMED_TOOL_HINT if telegram.revision == NAMED_TOOL and error.code in LOWER else error.hint
            raise CommandRefused(f"{self._name}: {error}", hint=hint) from error


LOWER: Final = STEP_DOWN | UNSUPPORTED
NAMED_TOOL_HINT: Final = "remove tool_number: this controller locks its only tool"
