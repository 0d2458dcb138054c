"""What every driver offers and what devices can say: the edge between devices and the rest."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol, runtime_checkable

from linewitness.base.clock import Stamp
from linewitness.base.mappings import EMPTY

Scalar = str | int | bool | None
OccurredFrom = Literal["device", "server", "poll", "gateway"]
Verdict = Literal["ok", "low", "high", "nok"]
DecidedBy = Literal["stricter", "ours", "plc"]


class Quality(StrEnum):
    """How far the device itself vouches for a value."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """When something happened, and how that is known (FORMAT 4).

    `occurred_ns` is Unix time in nanoseconds, the best knowledge; `unc_ms` its uncertainty;
    `device_time` the device's own stamp, verbatim; `device_offset_ms` how far the device's clock was
    measured to be ahead of ours.
    """

    occurred_ns: int
    occurred_from: OccurredFrom
    unc_ms: int | None = None
    device_time: str | None = None
    device_offset_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a device said, raw. Each subclass is one thing that a device can say.

    `received` is the stamp by which `when` was concluded: if the clock is set before the record is written,
    the record says so. `session_id` names the connection; `raw` holds the device's own bytes where there are
    any; `remember` is what the driver wants stored in its memory in the same transaction as the records
    (None deletes a key); `confirmable` says that the device waits for `confirm`.
    """

    device: str
    session_id: str
    received: Stamp
    when: When
    raw: bytes | None = None
    remember: Mapping[str, str | None] = field(default_factory=lambda: EMPTY)
    confirmable: bool = False
    backfilled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Observation):
    """The value of one configured point.

    A number is a decimal string exactly as the device gave it (`"12.30"`), never a float. A structure
    or an array is a mapping from field path (`"x"`, `"[3].low"`) to scalar. `operator` is who made the
    change, as a tag of the PLC or the device's own account of it says (`operator_by`). `initial` is the first
    value of a session: it may have changed at any time before.
    """

    point: str
    value: Scalar | Mapping[str, Scalar]
    quality: Quality = Quality.GOOD
    status: str = "Good"
    operator: str | None = None
    operator_by: Literal["tag", "device"] = "device"
    initial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings(Observation):
    """Values of points that a device gave together, all of good quality and none a mapping: columns.

    Means what a `Reading` of each means, in this order; at most 128 of them (`devices/together.py`).
    `whens` is None where `when` is true of all values; `initial` is true of all or none. `remember` is what
    is to be remembered of all of them; `remembers` what belongs to each, None where all belongs to each.
    """

    points: tuple[str, ...]
    values: tuple[Scalar, ...]
    whens: tuple[When, ...] | None = None
    remembers: tuple[Mapping[str, str | None], ...] | None = None
    initial: bool = False

    def singly(self) -> Iterator[Reading]:
        """Yield a `Reading` of each value."""
        for position, (point, value) in enumerate(zip(self.points, self.values, strict=True)):
            yield Reading(
                device=self.device,
                session_id=self.session_id,
                received=self.received,
                when=self.whens[position] if self.whens else self.when,
                remember=self.remembers[position] if self.remembers else self.remember,
                backfilled=self.backfilled,
                initial=self.initial,
                point=point,
                value=value,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals(Observation):
    """A block of telemetry: columns of equal length, numbers as floats allowed, never evidence.

    `times_ns` is None where all values were read at `when.occurred_ns`. `statuses` names the
    positions whose quality was not good.
    """

    points: tuple[str, ...]
    values: tuple[object, ...]
    times_ns: tuple[int, ...] | None = None
    statuses: Mapping[int, str] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measured value of a result, with its limits and verdict where the device has them."""

    field: str
    value: Scalar
    unit: str | None = None
    low: str | None = None
    high: str | None = None
    status: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Observation):
    """A completed operation with its values: a tightening, a weighing, a triggered read.

    `result_id` is the device's own identity of the result, unique within `source` and `epoch`;
    `identifier` is what unit the device itself says it belongs to; `facts` are values without limits
    (parameter set, batch, tool serial …); `counts` is False for results that are stored but decide
    nothing about the unit (loosening, batch increments); `decoded` is False where only raw bytes exist;
    `decided_by` says whose verdict counts, the device's (`ok`) or that of our limits.
    """

    kind: Literal["tightening.result", "measurement.result"]
    source: str
    epoch: int = 0
    result_id: str
    identifier: str | None = None
    ok: bool | None = None
    decided_by: DecidedBy = "plc"
    measured: tuple[Measured, ...] = ()
    facts: tuple[tuple[str, Scalar], ...] = ()
    counts: bool = True
    decoded: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code(Observation):
    """One code that was read: a unit's serial number or an operator's badge, as the YAML says.

    `again` says that it is the same reading once more: the code is still there.
    """

    text: str
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed(Observation):
    """Something came that could have been a code, and is none that counts: makes no event.

    What the station knows from this device counts no longer: another unit or operator may be there.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(Observation):
    """A range that the device produced and that we do not have (FORMAT 3, `source.gap`).

    `count` are observations or results, `size` the bytes of what is missing, where they are known.
    `untaken` says that the device sent it and the gateway did not take it: anything may be missing, also
    the name of a unit.
    """

    source: str
    first: str | None
    last: str | None
    count: int | None = None
    size: int | None = None
    untaken: bool = False
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Observation):
    """Something that becomes one event of a given kind as it stands.

    For what needs no station to understand it: `alarm.raised`, `alarm.cleared`, `tool.changed`,
    `source.epoch`, `source.conflict`, `clock.status` of a device, a parameter set that was selected.
    `missed` says that it could have been a code and is none that counts, as in `Missed`.
    """

    kind: str
    resource_type: str
    resource_id: str
    changes: tuple[tuple[str, Scalar, Scalar], ...] = ()
    reason: str
    operator: str | None = None
    missed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Observation):
    """Nothing new (a duplicate): makes no event, but is confirmed after what it repeats is durable."""


class Memory(Protocol):
    """What a driver asked to have remembered, as last committed; keys are the driver's own."""

    async def get(self, key: str) -> str | None:
        """Return the committed value, or None."""

    async def items(self, prefix: str) -> Mapping[str, str]:
        """Return the committed values whose keys start with `prefix`, sorted by key."""


@runtime_checkable
class Session(Protocol):
    """One connection to a device."""

    @property
    def session_id(self) -> str:
        """Name this connection; unique over all devices and restarts."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What the device said about itself: serial number, firmware and the like."""

    def observations(self) -> AsyncIterator[Observation]:
        """Yield what the device says, until `DeviceUnavailable` or `DeviceRefused` is raised.

        The caller takes the next one without waiting for the commit of the last one; it confirms each
        in the order in which they were yielded.
        """


@runtime_checkable
class ConfirmingSession(Session, Protocol):
    """A connection to a device that waits until its data are safe."""

    async def confirm(self, observation: Observation) -> None:
        """Tell the device that this observation is durable; called only after the commit."""


@runtime_checkable
class NetworkSession(Session, Protocol):
    """A connection over a network whose losses are known: they delay what the device says."""

    @property
    def lost_segments(self) -> int | None:
        """How many segments of this connection were lost so far, as far as our side knows; None once closed.

        It may fall by what was sent again for nothing.
        """


@runtime_checkable
class CommandingSession(Session, Protocol):
    """A connection through which a gate can be moved; used only where a gate is configured."""

    async def command(self, point: str | None, value: str) -> str | None:
        """Write a configured point and return what reading it back gives, in the same form.

        Without a point the tool itself is meant: `closed` locks it, `opened` unlocks it. Raises
        DeviceRefused if the device says no, DeviceUnavailable if the connection broke.
        """


class Driver(Protocol):
    """How to reach one device. Built from frozen options; holds no socket between connections."""

    @property
    def device(self) -> str:
        """The device's id in the YAML."""

    def connect(self, memory: Memory) -> AbstractAsyncContextManager[Session]:
        """Open a session.

        Raises `DeviceUnavailable` where retrying may help and `DeviceRefused` where it does not.
        """
