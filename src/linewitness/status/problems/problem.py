"""One problem of a line: what it is about, whether it is an alarm, and what to do."""

from dataclasses import dataclass
from typing import Final, Literal

#: What happens from time to time is shown for this long.
SHOWN_S: Final = 3600.0

ProblemCode = Literal[
    "device-refused",
    "device-lost",
    "points-refused",
    "binding-conflict",
    "unit-unknown",
    "unit-not-told",
    "gate-not-moved",
    "device-share",
    "polls-missed",
    "journal-damaged",
    "journal-full",
    "journal-fills",
    "stream-frozen",
    "store-conflict",
    "store-accusation",
    "answers-ignored",
    "client-id-taken",
    "uplink-refused",
    "uplink-away",
    "no-receipt",
    "notices-refused",
    "clock-unsure",
    "certificate-expiry",
    "log-unread",
    "ended-not-handed-over",
    "tpm",
    "list-refused",
    "list-stale",
]


@dataclass(frozen=True, slots=True)
class LineProblem:
    """A problem: its code, what it is about, whether it is an alarm or a warning, and both in words.

    `subject` is the device, the setting of the certificate, the folder of an ended journal, the
    name of a list, `journal`, `uplink`, `clock`, `tpm` or `log`.
    """

    code: ProblemCode
    subject: str
    alarm: bool
    what: str
    hint: str
