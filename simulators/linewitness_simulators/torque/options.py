"""What a simulated torque controller is, how it misbehaves, and what it saw its clients do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from linewitness_simulators.torque.model import ControllerDescription, Job, ParameterSet, Setup, Tool

History = Literal["exact", "at-or-before", "none"]

PARAMETER_SETS: Final = (
    ParameterSet(7, "M8 bracket 25Nm", 2300, 2700, 2500, 20, 90),
    ParameterSet(8, "M6 cover 10Nm", 900, 1100, 1000, 20, 120, batch_size=2),
    ParameterSet(9, "M12 hinge 80Nm", 7400, 8600, 8000, 30, 150, batch_size=0),
)
JOBS: Final = (Job(1, "Bracket", 7, 4), Job(2, "Cover", 8, 2))

#: The highest revision of each request and subscription; what is missing is unknown (error 99).
REVISIONS: Final[Mapping[int, int]] = MappingProxyType(
    {
        1: 7, 3: 1, 6: 1, 8: 1, 9: 1, 10: 1, 12: 5, 14: 2, 17: 1, 18: 1, 19: 2, 30: 2, 32: 2, 34: 5, 37: 1,
        38: 2, 39: 2, 40: 7, 42: 2, 43: 2, 50: 1, 51: 2, 54: 1, 60: 11, 63: 1, 64: 11, 66: 2, 67: 1, 70: 3,
        73: 1, 78: 1, 80: 1, 82: 1, 100: 6, 103: 1, 104: 1, 105: 4, 109: 1, 127: 1, 150: 1, 151: 1,
        154: 1, 155: 1, 156: 1, 157: 1, 900: 1, 901: 1, 902: 1, 1201: 3, 9999: 1,
    }
)  # fmt: skip


def without(*mids: int) -> Mapping[int, int]:
    """Return the usual capabilities less these requests and subscriptions, for a lesser controller."""
    return {mid: highest for mid, highest in REVISIONS.items() if mid not in mids}


#: Revisions with a layout of their own, made for one customer.
UNUSED: Final = frozenset({(12, 3), (12, 4)})


@dataclass(frozen=True, kw_only=True)
class TorqueOptions:
    """A controller. Times in seconds; `state` is the file in which its memory outlives it."""

    host: str = "127.0.0.1"
    port: int = 0
    state: Path | None = None
    seed: int = 1
    station: ControllerDescription = field(default_factory=ControllerDescription)
    tool: Tool = field(default_factory=Tool)
    parameter_sets: tuple[ParameterSet, ...] = PARAMETER_SETS
    jobs: tuple[Job, ...] = JOBS
    spindles: int = 1
    first_id: int = 1
    #: After the result with this id, ids go on with the one below.
    last_id: int = 4_294_967_295
    after_last: int = 0
    zone: str = "UTC"
    #: Make tightenings by itself, one in this time; None waits to be told.
    cycle_s: float | None = None
    per_unit: int = 4
    #: Share of results that are not ok in automatic mode, 0 to 1.
    nok_share: float = 0.0
    max_clients: int = 5
    max_revision: int | None = None
    revisions: Mapping[int, int] = field(default_factory=lambda: REVISIONS)
    #: 0060 revisions 998 and 999.
    special_revisions: tuple[int, ...] = (998, 999)
    history: History = "exact"
    #: Results that the memory holds at most; the oldest give way.
    capacity: int = 100_000
    link_level: bool = True
    keep_alive_s: float = 15.0
    ack_timeout_s: float = 10.0
    resends: int = 3
    #: Send results again that no client confirmed, when one subscribes in a new session.
    redeliver: bool = False
    control_port: int | None = None

    def highest(self, mid: int) -> int | None:
        """Return the highest revision of a MID, or None where the controller does not know it."""
        known = None if mid == 64 and self.history == "none" else self.revisions.get(mid)
        return known if known is None or self.max_revision is None else min(known, self.max_revision)

    def supports(self, mid: int, revision: int) -> bool:
        """Return whether the controller knows a MID in this revision."""
        highest = self.highest(mid)
        if highest is None or (mid, revision) in UNUSED:
            return False
        special = mid == 60 and self.max_revision is None and revision in self.special_revisions
        return revision <= highest or special

    def setup(self) -> Setup:
        """Return the part that the device model needs."""
        return Setup(
            parameter_sets={p.id: p for p in self.parameter_sets},
            jobs={j.id: j for j in self.jobs},
            tool=self.tool,
            seed=self.seed,
            spindles=self.spindles,
            last_id=self.last_id,
            after_last=self.after_last,
        )


@dataclass(kw_only=True)
class TorqueFaults:
    """Switches for misbehaviour, off at first; change them at any time. Counts go down with use."""

    #: Cut everything sent into pieces of this many bytes.
    split_bytes: int = 0
    #: Hold back this many telegrams (or 50 ms) and send them in one segment.
    glue: int = 0
    #: Send results in so many parts.
    parts: int = 1
    omit_nul: bool = False
    double_nul: bool = False
    #: Answer 0060, 0064 and 0040 one revision lower than asked.
    lower_revision: bool = False
    blank_revision: bool = False
    #: Keys of the layouts that are sent as blanks, in every telegram.
    blank_fields: frozenset[str] = frozenset()
    #: Text for keys of 0061 and 0065 in place of their value, such as "NaN".
    garbled_fields: dict[str, str] = field(default_factory=dict)
    right_aligned: bool = False
    #: Close without an answer where the revision of 0001 is too high.
    silent_close: bool = False
    #: Refuse 0001 with 96 for so long after a connection that ended without 0003.
    busy_after_drop_s: float = 0.0
    #: Wait before each answer.
    reply_delay_s: float = 0.0
    #: Fall silent for good towards a client that sends 9999 faster than this.
    fastest_keep_alive_s: float = 0.0
    #: Connect, read, and never answer or close: the peer's machine is gone.
    half_open: bool = False
    #: Make this many results between a request 0064 and its answer.
    push_before_reply: int = 0
    #: Make the id jump by so many results of other stations before each of ours.
    foreign_ids: int = 0
    #: Overlook so many confirmations.
    lose_acks: int = 0
    #: Damage the parameter ids of so many 0061.
    corrupt_results: int = 0
    #: Leave the tightening id of so many 0061 blank.
    blank_ids: int = 0
    #: Cut so many 0061 short in the middle of their data.
    short_results: int = 0
    #: Break the connection right after sending so many 0061.
    drop_after_push: int = 0
    #: Break so many connections right after 0002.
    drop_after_start: int = 0
    #: Ids that 0064 does not find although they were made.
    missing_ids: frozenset[int] = frozenset()
    #: Other torques, in hundredths, that 0065 tells for these ids.
    altered_torques: dict[int, int] = field(default_factory=dict)
    #: Error codes for these MIDs, once each.
    refuse_once: dict[int, int] = field(default_factory=dict)
    #: Error codes for these MIDs, always.
    refuse: dict[int, int] = field(default_factory=dict)
    #: Refuse every command with 92.
    commands_disabled: bool = False
    #: Answer 0050 and 0150 with 0005 and do nothing.
    ignore_identifiers: bool = False
    #: Say who we are with another serial number or station: a controller behind another's address.
    other_serial: str | None = None
    other_station: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened on the wire, such as `sent`, `acked`, `refused`, `command` or `closed`."""

    session: int
    what: str
    mid: int
    number: int | None = None
    text: str = ""


@dataclass
class ClientLog:
    """What clients were told and what they confirmed, in order, for a test to compare with their records."""

    entries: list[Entry] = field(default_factory=list)

    def add(self, session: int, what: str, mid: int, number: int | None = None, text: str = "") -> None:
        """Add an entry."""
        self.entries.append(Entry(session, what, mid, number, text))

    def numbers(self, what: str, mid: int) -> list[int]:
        """Return the result ids (or codes) of all entries of a kind and MID, in order."""
        return [e.number for e in self.entries if e.what == what and e.mid == mid and e.number is not None]
