"""Whether a result shows that another tool is connected than the one whose data the controller gave."""

from typing import Final

from linewitness.devices.open_protocol.content import operations
from linewitness.devices.open_protocol.content.facts import SessionFacts
from linewitness.devices.open_protocol.ledger.state import ResultRecord
from linewitness.devices.open_protocol.wire.variable import OperationParts

#: Tools that are asked for between two comparisons: a controller may name many and give the data of one.
MOST_ASKED: Final = 8


class ToolSwaps:
    """Tells once of each tool that the controller is to be asked for it: its data may stay another tool's."""

    def __init__(self) -> None:
        """Begin with no tool asked for."""
        self._asked: set[str] = set()

    def begin_anew(self) -> None:
        """Learn that the controller is asked for its tool in any case."""
        self._asked.clear()

    def shows(self, record: ResultRecord, facts: SessionFacts) -> bool:
        """Return whether a result names a tool whose data are not known and were not asked for yet."""
        connected, named = facts.connected_tool, _named_by(record)
        if connected is not None:
            self._asked.discard(connected)
        if connected is None or named in (None, connected, *self._asked) or len(self._asked) >= MOST_ASKED:
            return False
        self._asked.add(str(named))
        return True


def _named_by(record: ResultRecord) -> str | None:
    """Return the serial number of the tool that a result itself names, None where it names none."""
    content = record.content
    if isinstance(content, OperationParts):
        return content.text(operations.TOOL_SERIAL)
    return content.text("tool_serial_number")
