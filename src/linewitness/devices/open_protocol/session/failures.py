"""Why a connection to a controller ends, and what to do about it."""

from linewitness.base.errors import DeviceUnavailable
from linewitness.devices.open_protocol.wire.refusals import ClosedByController, NoAnswer
from linewitness.devices.open_protocol.wire.telegram import Telegram


def broke(name: str, error: OSError) -> DeviceUnavailable:
    """Return the reason where the network ended it.

    Who closes a connection with something unread in it resets it.
    """
    kind = ClosedByController if isinstance(error, ConnectionResetError) else DeviceUnavailable
    return kind(f"the connection to {name} broke: {error}")


def silent(name: str, telegram: Telegram, timeout_s: float) -> NoAnswer:
    """Return the reason where a question was not answered, and nothing else came."""
    return NoAnswer(
        f"{name} did not answer MID {telegram.mid:04d} revision {telegram.revision} within {timeout_s:g} s",
        hint="check that this port is its Open Protocol port (usually 4545)",
    )


def left_out(name: str, mid: int) -> NoAnswer:
    """Return the reason where only this answer is left out, by a controller that gave it before."""
    return NoAnswer(
        f"{name} did not answer MID {mid:04d}, which it has answered before",
        hint="the connection is made anew; if this does not end, restart the controller",
    )


def unfinished(name: str, timeout_s: float) -> DeviceUnavailable:
    """Return the reason where a telegram was begun, and what came since did not complete it."""
    return DeviceUnavailable(
        f"{name} began a telegram and did not complete it within {timeout_s:g} s",
        hint="its length field is too long, or the rest was lost on the way",
    )


def overrun(name: str, waiting: int, what: str) -> DeviceUnavailable:
    """Return the reason where the controller does not wait until what it pushed is confirmed."""
    return DeviceUnavailable(
        f"{name} pushes without waiting for confirmations: {waiting} {what} wait here",
        hint="see whether the journal can commit; if it can, the controller breaks the protocol",
    )
