"""How a controller says no, or nothing at all."""

from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.open_protocol.wire.mids import describe
from linewitness.devices.open_protocol.wire.telegram import Telegram


class RefusedByController(Exception):
    """The controller answered a question with an error."""

    def __init__(self, telegram: Telegram, code: int) -> None:
        """Keep the code; the message says what it means."""
        self.mid, self.revision, self.code = telegram.mid, telegram.revision, code
        text = describe(code)
        self.hint = text.hint
        super().__init__(
            f"MID {self.mid:04d} revision {self.revision} was refused with error {code:02d}: {text.meaning}"
        )


class Unanswered(RefusedByController):
    """The controller did not answer a question that we can do without: as if it did not know it."""

    def __init__(self, telegram: Telegram, code: int) -> None:
        """Keep the code that stands for it; the message says what happened."""
        super().__init__(telegram, code)
        self.args = (f"MID {self.mid:04d} revision {self.revision} got no answer",)


class NoAnswer(DeviceUnavailable):
    """The controller did not answer a question that we cannot do without."""


class ClosedByController(DeviceUnavailable):
    """The controller closed the connection."""
