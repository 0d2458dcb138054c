"""How large a message the broker takes: what it announces, or what its hang-ups teach.

All sizes are those of the lines: compressed, they are smaller still.
"""

from typing import Final

import structlog

from linewitness.base.errors import UplinkTooLarge

log = structlog.get_logger()

#: What a PUBLISH packet holds beside topic and payload, at most.
_HEADER_BYTES: Final = 16
#: So many connections, one after the other, that end at a message larger than any before are no accident;
CUT_AGAIN: Final = 3
#: and so many, where smaller ones are not possible.
CUT_ALONE: Final = 6


class PacketLimit:
    """The largest payload that is sent; what was learned holds over all connections."""

    def __init__(self, batch_size: int) -> None:
        """Begin with what the YAML allows."""
        self._most = batch_size
        self._taken = 0
        self._on_way: list[tuple[int, int]] = []
        self._cut = self._alone = 0

    @property
    def most(self) -> int:
        """How many bytes a batch may have, whatever the broker announces."""
        return self._most

    def begin(self, most: int) -> None:
        """Go on with what was learned before."""
        self._most = most

    def payload(self, topic: str, announced: int | None) -> int:
        """Return how many bytes the next batch may have, given what the broker announced of its packets."""
        if announced is None:
            return self._most
        return max(1, min(self._most, announced - len(topic.encode()) - _HEADER_BYTES))

    def leaves(self, size: int, records: int) -> None:
        """Learn that a message of so many records is on its way."""
        self._on_way.append((size, records))

    def taken(self, size: int, records: int) -> None:
        """Learn that the broker has acknowledged such a message."""
        self._on_way.remove((size, records))
        self._taken = max(self._taken, size)
        self._cut = 0

    @property
    def explains(self) -> int:
        """Size of the message on its way that can be why the connection ended; 0 where none can."""
        largest, _ = max(self._on_way, default=(0, 0))
        return largest if largest > self._taken else 0

    def forget(self) -> None:
        """Learn that the connection ended for another reason than these messages."""
        self._on_way.clear()

    def connected(self) -> None:
        """Learn that a connection begins, so that the one before has ended.

        A message on its way that is larger than any before is the cause, if that happens again. Raises
        UplinkTooLarge if it is a single record.
        """
        explains, (size, records) = self.explains, max(self._on_way, default=(0, 0))
        self._on_way.clear()
        if not explains:
            return
        self._cut += 1
        if self._cut >= (CUT_AGAIN if records > 1 else CUT_ALONE):
            self.refused(size, records)

    def refused(self, size: int, records: int) -> None:
        """Learn that the broker takes no message of this size; UplinkTooLarge if it is a single record."""
        if (size, records) in self._on_way:
            self._on_way.remove((size, records))
        if records == 1:
            self._alone = size
            raise UplinkTooLarge(
                f"the broker does not take a record of {size} bytes",
                hint="raise its limit of a message (mosquitto: message_size_limit, max_packet_size)",
            )
        self._cut = 0
        self._most = max(1, size // 2)
        log.warning(
            "the broker takes no messages of this size: smaller ones are sent",
            bytes=size,
            now=self._most,
            hint="raise its limit of a message, or set forward.batch_size",
        )

    def give_up(self) -> None:
        """Send no message as large as the single record that was refused last."""
        self._most = max(1, self._alone - 1)
        self._cut = 0
