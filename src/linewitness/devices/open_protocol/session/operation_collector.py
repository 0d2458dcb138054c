"""Put operation results together from the telegrams that carry their parts (1201 and its 1202)."""

import asyncio
from typing import Final

from linewitness.devices.open_protocol.wire.mids import Mid
from linewitness.devices.open_protocol.wire.telegram import ReceivedTelegram
from linewitness.devices.open_protocol.wire.variable import MalformedVariable, OperationParts, parse_part

#: Results whose parts have not all come; the oldest give way and are fetched as a whole.
UNFINISHED: Final = 20


class OperationCollector:
    """Puts parts together; those of a result that we asked for are kept apart from pushed ones."""

    def __init__(self) -> None:
        """Start with nothing collected."""
        self._pushed: dict[int, OperationParts] = {}
        self._announced: dict[int, int] = {}
        self._asked = OperationParts()
        self._whole: asyncio.Future[OperationParts] | None = None

    def push(self, received: ReceivedTelegram) -> OperationParts | None:
        """Add what was pushed and return the result that it completes. Raises `MalformedVariable`."""
        part = parse_part(received.telegram)
        operation = self._pushed.setdefault(part.result_id, OperationParts())
        operation.parts[part.number] = part
        if operation.complete:
            return self._pushed.pop(part.result_id)
        while len(self._pushed) > UNFINISHED:
            del self._pushed[next(iter(self._pushed))]
        return None

    def begin(self) -> None:
        """Note that a result is being asked for; its objects may come before we look at its overall part."""
        self._asked = OperationParts()
        self._whole = asyncio.get_running_loop().create_future()

    async def asked_for(self, received: ReceivedTelegram, timeout_s: float) -> OperationParts:
        """Wait for the objects that belong to this answer. Raises TimeoutError, `MalformedVariable`."""
        part = parse_part(received.telegram)
        self._asked.parts = {1: part} | {
            number: each for number, each in self._asked.parts.items() if each.result_id == part.result_id
        }
        self._settle()
        if self._whole is None:
            raise TimeoutError
        async with asyncio.timeout(timeout_s):
            return await self._whole

    def end(self) -> None:
        """Note that nothing is asked for any more."""
        self._whole = None

    def belongs_to_asked(self, received: ReceivedTelegram) -> bool:
        """Look at each push as it comes: take an object of what we asked for, return False for the rest.

        The objects of a pushed result follow its overall part, so one without that was asked for.
        """
        if received.telegram.mid not in {Mid.OPERATION_RESULT, Mid.OPERATION_OBJECT}:
            return False
        try:
            part = parse_part(received.telegram)
        except MalformedVariable:
            return False
        if part.object_id is None:
            self._announced[part.result_id] = part.total - 1
            return False
        if self._announced.get(part.result_id, 0) > 0:
            self._announced[part.result_id] -= 1
            return False
        self._announced.pop(part.result_id, None)
        if self._whole is None:
            return False
        self._asked.parts[part.number] = part
        self._settle()
        return True

    def _settle(self) -> None:
        if self._asked.complete and self._whole is not None and not self._whole.done():
            self._whole.set_result(self._asked)
