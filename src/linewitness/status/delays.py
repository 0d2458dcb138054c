"""How soon events are on record and in the store's custody: the delays of a stream, and what was late."""

from array import array
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from linewitness.base.clock import NS_PER_MS, NS_PER_S, from_rfc3339
from linewitness.status.lateness import Causes

#: Clusters and late events that are shown one by one.
SHOWN: Final = 10
#: So many equal stamps in a row of one device are a cluster.
CLUSTER: Final = 3
#: About a device, not from it: their time is the gateway's own.
ABOUT: Final = frozenset(("device.lost", "device.back", "source.gap"))


@dataclass(frozen=True, slots=True)
class Spread:
    """How long a delay is, in milliseconds: half of all are at most `p50_ms`, and so on."""

    count: int
    p50_ms: int
    p95_ms: int
    p99_ms: int
    worst_ms: int
    worst_at: int

    @classmethod
    def of(cls, delays: "array[int]", positions: "array[int]") -> "Spread | None":
        """Return the spread of delays of the records with these numbers, or None of none."""
        if not delays:
            return None
        ranked = sorted(delays)
        worst = ranked[-1]
        p50, p95, p99 = (ranked[(len(ranked) - 1) * percent // 100] for percent in (50, 95, 99))
        return cls(len(ranked), p50, p95, p99, worst, positions[delays.index(worst)])


@dataclass(frozen=True, slots=True)
class Late:
    """An event that was ingested longer than the limit after it happened, or before it happened."""

    sequence_no: int
    kind: str
    device: str
    occurred_at: str
    delay_ms: int
    cause: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """Records of one device in a row that name the very same time."""

    device: str
    occurred_at: str
    occurred_from: str
    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDelays:
    """One device: from the event to the journal, and from the journal into custody."""

    device: str
    to_journal: Spread | None
    to_custody: Spread | None
    late: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """The delays of a stream. `to_custody` is from the journal to the store, of all records.

    `custody` says how that is known: `accepted_at` of the store for each record, or the `receipt` that
    first covered it, which comes later and counts in seconds.
    """

    records: int
    late_s: int
    custody: str
    to_custody: Spread | None
    not_in_custody: int
    devices: tuple[DeviceDelays, ...]
    late: tuple[Late, ...]
    late_by_cause: dict[str, int]
    clusters: tuple[Cluster, ...]
    in_clusters: int

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return asdict(self)


@dataclass(slots=True)
class _Series:
    """Delays and the numbers of their records: 16 bytes a record, so that a year of records fits."""

    delays: "array[int]" = field(default_factory=lambda: array("q"))
    positions: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, delay_ns: int, position: int) -> None:
        self.delays.append(delay_ns // NS_PER_MS)
        self.positions.append(position)

    def spread(self) -> Spread | None:
        return Spread.of(self.delays, self.positions)


def measure_delays(
    records: Iterable[tuple[Mapping[str, Any], int | None]],
    *,
    late_s: int,
    custody: str = "receipt",
    receipts: Iterable[tuple[int, int]] = (),
) -> Delays:
    """Return the delays of parsed records in order, each with the store's `accepted_at` in ns or None.

    With `custody` "receipt" the time of the first receipt that covers a record is taken instead: of
    `receipts` (number of records, time in ns), and of those that records speak of.
    """
    measuring = _Measuring(late_s, by_receipt=custody == "receipt", receipts=receipts)
    for members, accepted_ns in records:
        measuring.take(members, accepted_ns)
    return measuring.result(custody)


class _Measuring:
    def __init__(self, late_s: int, *, by_receipt: bool, receipts: Iterable[tuple[int, int]]) -> None:
        self._late_s = late_s
        self._receipts = deque(sorted(receipts))
        self._by_receipt = by_receipt
        self._causes = Causes()
        self._records = 0
        self._to_journal: dict[str, _Series] = {}
        self._to_custody: dict[str, _Series] = {}
        self._all_to_custody = _Series()
        self._waiting: deque[tuple[int, int, str]] = deque()
        self._late_of: Counter[str] = Counter()
        self._by_cause: Counter[str] = Counter()
        self._late: list[Late] = []
        self._clusters = _Clusters()

    def take(self, members: Mapping[str, Any], accepted_ns: int | None) -> None:
        self._records += 1
        self._causes.note(members)
        ingested_ns = from_rfc3339(members["ingested_at"])
        position, device = members["sequence_no"], members["context"].get("device_id", "")
        if device and members["kind"] not in ABOUT:
            self._take_event(members, position, device, ingested_ns)
        if self._by_receipt:
            while self._receipts and self._receipts[0][0] <= position:
                self._receipts.popleft()
            if self._receipts:
                self._accept(position, ingested_ns, device, self._receipts[0][1])
                return
            self._waiting.append((position, ingested_ns, device))
            self._take_receipt(members)
        elif accepted_ns is not None:
            self._accept(position, ingested_ns, device, accepted_ns)
        else:
            self._waiting.append((position, ingested_ns, device))

    def _take_event(self, members: Mapping[str, Any], position: int, device: str, ingested_ns: int) -> None:
        occurred_ns = from_rfc3339(members["occurred_at"])
        delay_ns = ingested_ns - occurred_ns
        self._to_journal.setdefault(device, _Series()).add(delay_ns, position)
        self._clusters.take(members, position, device)
        clock = members["clock"]
        slack_ns = clock.get("bound_us", 0) * 1000 + clock.get("occurred_unc_ms", 0) * NS_PER_MS
        if delay_ns <= self._late_s * NS_PER_S and delay_ns >= -slack_ns - NS_PER_S:
            return
        cause = str(self._causes.of(members, occurred_ns, ingested_ns))
        self._late_of[device] += 1
        self._by_cause[cause] += 1
        self._late.append(
            Late(position, members["kind"], device, members["occurred_at"], delay_ns // NS_PER_MS, cause)
        )
        if len(self._late) > 2 * SHOWN:
            self._late = _most_late(self._late)

    def _take_receipt(self, members: Mapping[str, Any]) -> None:
        if members["kind"] != "custody.received":
            return
        fields = {change["field"]: change["after"] for change in members["changes"]}
        size, signed_at = fields.get("size"), fields.get("cosigned_at")
        if not isinstance(size, int) or not isinstance(signed_at, str):
            return
        while self._waiting and self._waiting[0][0] < size:
            self._accept(*self._waiting.popleft(), from_rfc3339(signed_at))

    def _accept(self, position: int, ingested_ns: int, device: str, accepted_ns: int) -> None:
        self._all_to_custody.add(accepted_ns - ingested_ns, position)
        if device:
            self._to_custody.setdefault(device, _Series()).add(accepted_ns - ingested_ns, position)

    def result(self, custody: str) -> Delays:
        names = sorted(self._to_journal.keys() | self._to_custody.keys())
        none = _Series()
        return Delays(
            records=self._records,
            late_s=self._late_s,
            custody=custody,
            to_custody=self._all_to_custody.spread(),
            not_in_custody=len(self._waiting),
            devices=tuple(
                DeviceDelays(
                    device=name,
                    to_journal=self._to_journal.get(name, none).spread(),
                    to_custody=self._to_custody.get(name, none).spread(),
                    late=self._late_of[name],
                )
                for name in names
            ),
            late=tuple(_most_late(self._late)),
            late_by_cause=dict(self._by_cause.most_common()),
            clusters=self._clusters.largest(),
            in_clusters=self._clusters.records,
        )


def _most_late(late: list[Late]) -> list[Late]:
    return sorted(late, key=lambda one: -abs(one.delay_ms))[:SHOWN]


class _Clusters:
    """Find equal stamps of one device in a row."""

    def __init__(self) -> None:
        self.records = 0
        self._running: dict[str, Cluster] = {}
        self._found: list[Cluster] = []

    def take(self, members: Mapping[str, Any], position: int, device: str) -> None:
        last = self._running.get(device)
        if last is not None and last.occurred_at == members["occurred_at"]:
            first, count = last.first, last.count + 1
        else:
            self._end(last)
            first, count = position, 1
        where = members["clock"]["occurred_from"]
        self._running[device] = Cluster(device, members["occurred_at"], where, first, position, count)

    def largest(self) -> tuple[Cluster, ...]:
        """End what runs and return the largest."""
        for last in self._running.values():
            self._end(last)
        self._running.clear()
        return tuple(sorted(self._found, key=lambda one: -one.count)[:SHOWN])

    def _end(self, last: Cluster | None) -> None:
        if last is not None and last.count >= CLUSTER:
            self.records += last.count
            self._found.append(last)
            if len(self._found) > 2 * SHOWN:
                self._found = sorted(self._found, key=lambda one: -one.count)[:SHOWN]
