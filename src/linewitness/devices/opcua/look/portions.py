"""Ask for less at once where an answer becomes too large, for the server or for us."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile
from typing import Final, TypeVar

from asyncua import ua

from linewitness.devices.opcua.connection.wire import StatusCodes, UaStatusCodeError

R = TypeVar("R")

_CODES = StatusCodes
#: What a server, or the library on our side, says of an answer or a request that is too large.
TOO_LARGE: Final = frozenset(
    {
        _CODES.BadResponseTooLarge,
        _CODES.BadEncodingLimitsExceeded,
        _CODES.BadTcpMessageTooLarge,
        _CODES.BadRequestTooLarge,
        _CODES.BadTooManyOperations,
    }
)
#: References of one node in one answer, once all of them at once were too much.
FIRST_REFERENCES: Final = 1024


class Portion:
    """How much one kind of request asks for. It only shrinks, also over several connections."""

    def __init__(self) -> None:
        """Begin with what the server says it allows."""
        self.nodes = 0
        self.skipped: set[ua.NodeId] = set()

    def halve(self, asked: Sequence[ua.NodeId]) -> bool:
        """Ask for half as much as the last time; False if that was the least."""
        if len(asked) > 1:
            self.nodes = len(asked) // 2
            return True
        return False


class References(Portion):
    """How much is asked for of what nodes hold: of many nodes, then of one in several answers."""

    def __init__(self) -> None:
        """Begin with all references of a node in one answer, which is 0."""
        super().__init__()
        self.of_a_node = 0

    def halve(self, asked: Sequence[ua.NodeId]) -> bool:
        """Ask for fewer nodes, then for fewer references of a node."""
        if super().halve(asked):
            return True
        before, self.of_a_node = self.of_a_node, self.of_a_node // 2 or FIRST_REFERENCES
        return before != 1


class Values(Portion):
    """How many values are asked for; one that is too large alone is left out."""

    def halve(self, asked: Sequence[ua.NodeId]) -> bool:
        """Ask for fewer values, then for all but this one."""
        if not super().halve(asked):
            self.skipped.update(asked)
        return True


class Portions:
    """The portions of one walk through a server."""

    def __init__(self) -> None:
        """Begin with what the server says it allows."""
        self.references = References()
        self.access = Portion()
        self.values = Values()
        #: How often a request was halved.
        self.halvings = 0
        self._asked: tuple[Portion, list[ua.NodeId]] | None = None

    def halve(self) -> bool:
        """Ask for less than the last time; False if nothing less can be asked for."""
        if self._asked is None:
            return False
        portion, nodes = self._asked
        self.halvings += 1
        return portion.halve(nodes)

    async def ask(
        self,
        portion: Portion,
        nodes: Sequence[ua.NodeId],
        limit: int,
        request: Callable[[list[ua.NodeId]], Awaitable[list[R]]],
        *,
        instead: R | None = None,
    ) -> list[R]:
        """Return the answers for all nodes, at most `limit` at once, with `instead` for those left out.

        What is not too large is passed on.
        """
        found: list[R] = []
        while len(found) < len(nodes):
            size = min(limit, portion.nodes or limit)
            batch = nodes[len(found) : len(found) + size]
            if instead is not None and batch[0] in portion.skipped:
                found.append(instead)
                continue
            batch = list(takewhile(lambda node: node not in portion.skipped, batch))
            self._asked = (portion, batch)
            try:
                found += await request(batch)
            except UaStatusCodeError as error:
                if error.code not in TOO_LARGE or not self.halve():
                    raise
        self._asked = None
        return found
