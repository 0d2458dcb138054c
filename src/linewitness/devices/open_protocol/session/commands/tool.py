"""What is commanded: a gate locks or releases the tool, and the clock is set. Never sent twice."""

from typing import Final

from linewitness.base.errors import DeviceRefused
from linewitness.devices.open_protocol.session.link import ControllerLink
from linewitness.devices.open_protocol.wire.codec import encode
from linewitness.devices.open_protocol.wire.mids import STEP_DOWN, UNSUPPORTED, Mid
from linewitness.devices.open_protocol.wire.refusals import RefusedByController
from linewitness.devices.open_protocol.wire.telegram import Telegram

#: 0042 revision 2: lock the tool, rather than inhibit only some kinds of results.
LOCK: Final = 0
#: From this revision on 0042 and 0043 name a tool.
NAMED_TOOL: Final = 2
NAMED_TOOL_HINT: Final = "remove tool_number: this controller locks its only tool"
LOWER: Final = STEP_DOWN | UNSUPPORTED


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
        if value not in {"closed", "opened"}:
            raise CommandRefused(f"{self._name}: a tool can be closed or opened, not {value!r}")
        await self._command(self._lock() if value == "closed" else self._release())
        return value

    async def set_time(self, local: str) -> None:
        """Set the controller's clock to a local time, YYYY-MM-DD:HH:MM:SS (0082). Raises `CommandRefused`."""
        await self._command(encode(Mid.TIME_SET, 1, {"time": local}))

    def _lock(self) -> Telegram:
        if self._tool_number is None:
            return Telegram(mid=Mid.TOOL_DISABLE)
        values = {"tool_number": self._tool_number, "disable_type": LOCK}
        return encode(Mid.TOOL_DISABLE, NAMED_TOOL, values)

    def _release(self) -> Telegram:
        if self._tool_number is None:
            return Telegram(mid=Mid.TOOL_ENABLE)
        return encode(Mid.TOOL_ENABLE, NAMED_TOOL, {"tool_number": self._tool_number})

    async def _command(self, telegram: Telegram) -> None:
        try:
            await self._link.ask(telegram, Mid.ACCEPTED)
        except RefusedByController as error:
            hint = NAMED_TOOL_HINT if telegram.revision == NAMED_TOOL and error.code in LOWER else error.hint
            raise CommandRefused(f"{self._name}: {error}", hint=hint) from error
