"""Notice that another client takes our client id at the broker, and do not take it back at full speed."""

from typing import Final

import structlog

from linewitness.base.clock import monotonic
from linewitness.base.errors import LinewitnessError, UplinkUnavailable
from linewitness.base.retry import Backoff

log = structlog.get_logger()

#: A connection that the broker ends sooner than this after its welcome is a short one.
SHORT_S: Final = 20.0
#: So many short connections in a row are taken for a sign: not every broker says why it hangs up.
IN_A_ROW: Final = 4
#: Two clients of one id take it from each other at most this often, once they have done so repeatedly.
CAP_S: Final = 10.0
#: A connection that lasted this long was not fought for.
STEADY_S: Final = 60.0
#: A take-over is shown for this long, and logged again after it.
SHOWN_S: Final = 3600.0

HINT: Final = (
    "operator action required: two programs use one client id, or somebody takes it; let the broker make "
    "client ids those of the certificates, see docs/brokers.md"
)


class TakenOver(UplinkUnavailable):
    """The broker says that another client has connected with our client id (MQTT 5, reason code 0x8E)."""


class TakeoverWatch:
    """What ended the connections to the broker, one after the other."""

    def __init__(self) -> None:
        """Begin without any connection."""
        self._times = 0
        self._short = 0
        self._connected_at: float | None = None
        self._noticed_at = float("-inf")
        self._logged_at = float("-inf")
        self._what = ""
        self._backoff = Backoff(cap_s=CAP_S, steady_s=STEADY_S)

    @property
    def what(self) -> str:
        """What was noticed within the last hour, or nothing."""
        return self._what if self._what and monotonic() - self._noticed_at < SHOWN_S else ""

    def connected(self) -> None:
        """Note that the broker has welcomed us."""
        self._connected_at = monotonic()
        self._backoff.succeeded()

    def ended(self, error: LinewitnessError) -> float:
        """Judge what ended a connection, or an attempt; return how long to wait at least, in seconds."""
        connected_at, self._connected_at = self._connected_at, None
        if isinstance(error, TakenOver):
            self._times += 1
            what = "another client took over our client id at the broker; times since the start: "
            return self._noticed(f"{what}{self._times}")
        if connected_at is None:
            return 0.0
        self._short = self._short + 1 if monotonic() - connected_at < SHORT_S else 0
        if self._short < IN_A_ROW:
            return 0.0
        return self._noticed(
            f"the broker ended {self._short} connections in a row within {SHORT_S:.0f} s of its welcome: "
            "another client may use our client id"
        )

    def explained(self) -> None:
        """Note that a connection ended for a reason that is known: it is no sign."""
        self._connected_at, self._short = None, 0

    def _noticed(self, what: str) -> float:
        self._what, self._noticed_at = what, monotonic()
        if monotonic() - self._logged_at >= SHOWN_S:
            self._logged_at = monotonic()
            log.error("another client takes over our connection to the broker", why=what, hint=HINT)
        return self._backoff.next_s()
