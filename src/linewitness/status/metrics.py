"""The snapshot as Prometheus metrics."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from linewitness.base.clock import NS_PER_S
from linewitness.status import metric_names as names
from linewitness.status.metric_names import Metric
from linewitness.status.snapshot import Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_US_PER_S = 1_000_000


def exposition(snapshot: Snapshot) -> bytes:
    """Return the text that Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(_Figures(snapshot))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Figures(Collector):
    """One snapshot, as families of metrics."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Family]:
        """Yield every family once."""
        yield self._info()
        yield from self._devices()
        yield from self._journal()
        yield from self._clock()
        yield from self._lists()
        yield _counter(names.LOG_DROPPED, (((), self._snapshot.log.dropped),))
        yield _counter(names.LOG_SUPPRESSED, (((), self._snapshot.log.suppressed),))
        alarms = sum(problem.alarm for problem in self._snapshot.problems)
        warnings = len(self._snapshot.problems) - alarms
        yield _gauge(names.PROBLEMS, ((("alarm",), alarms), (("warning",), warnings)))
        yield _gauge(
            names.PROBLEM,
            (
                ((problem.code, problem.subject, "alarm" if problem.alarm else "warning"), 1)
                for problem in self._snapshot.problems
            ),
        )

    def _info(self) -> InfoMetricFamily:
        line = self._snapshot.line
        values = {name: str(getattr(line, name)) for name in names.INFO.labels}
        return InfoMetricFamily(names.INFO.name, names.INFO.help, value=values)

    def _devices(self) -> Iterator[Family]:
        devices = self._snapshot.devices
        up = (((row.facts.id, row.facts.driver), row.health.state == "up") for row in devices)
        yield _gauge(names.DEVICE_UP, up)
        yield _counter(names.OBSERVATIONS, (((row.facts.id,), row.health.observed) for row in devices))
        yield _counter(names.UNBOUND, (((row.facts.id,), row.health.unbound) for row in devices))
        conflicts = (((row.facts.id,), row.health.conflicts) for row in devices)
        yield _counter(names.BINDING_CONFLICTS, conflicts)
        yield _counter(names.REFUSALS, (((row.facts.id,), row.health.refusals) for row in devices))
        yield _counter(names.DROPPED, (((row.facts.id,), row.health.dropped) for row in devices))
        polled = [(row.facts.id, row.health.polls) for row in devices if row.health.polls.due]
        yield _counter(names.POLLS, (((device,), polls.due) for device, polls in polled))
        yield _counter(names.POLLS_MISSED, (((device,), polls.missed) for device, polls in polled))
        yield _counter(names.POLLS_CUT, (((device,), polls.cut) for device, polls in polled))
        refused = (((row.facts.id,), len(row.health.refused_points)) for row in devices)
        yield _gauge(names.POINTS_REFUSED, refused)
        lossy = [row for row in devices if row.health.lost_segments]
        yield _counter(names.LOST_SEGMENTS, (((row.facts.id,), row.health.lost_segments) for row in lossy))
        dropped = self._snapshot.dropped.items()
        yield _counter(names.TELEMETRY_DROPPED, (((device,), count) for device, count in dropped))

    def _journal(self) -> Iterator[Family]:
        snapshot, figures, room = self._snapshot, self._snapshot.figures, self._snapshot.room
        yield _counter(names.RECORDS, (((), figures.size),))
        yield _gauge(names.RECEIPTED, (((), figures.receipted),))
        yield _gauge(names.PENDING, (((), figures.pending),))
        if snapshot.signed is not None:
            yield _gauge(names.SIGNED, (((), snapshot.signed.size),))
        if snapshot.drain.per_s is not None and snapshot.drain.left_s is not None:
            yield _gauge(names.DRAIN_RATE, (((), snapshot.drain.per_s),))
            yield _gauge(names.DRAIN_LEFT, (((), snapshot.drain.left_s),))
        yield _counter(names.NOTICES_SENT, (((), snapshot.notices.sent),))
        yield _counter(names.NOTICES_DROPPED, (((), snapshot.notices.dropped),))
        yield _gauge(names.NOTICES_WAITING, (((), snapshot.notices.waiting),))
        yield _gauge(names.JOURNAL_BYTES, (((), figures.bytes_on_disk),))
        yield _gauge(names.JOURNAL_LEFT_BYTES, (((), max(0, room.left)),))
        if room.hours_left is not None:
            yield _gauge(names.JOURNAL_HOURS_LEFT, (((), room.hours_left),))
        yield _gauge(names.JOURNAL_LEVEL, (((), snapshot.level),))
        yield _gauge(names.UPLINK_UP, (((), snapshot.uplink_state == "up"),))
        yield _gauge(names.UPLINK_CONFLICT, (((), snapshot.uplink_state == "conflict"),))
        yield _counter(names.ANSWERS_IGNORED, (((), snapshot.answers_ignored),))

    def _lists(self) -> Iterator[Family]:
        lists, now_ns = self._snapshot.lists, self._snapshot.now_ns
        yield _gauge(names.LIST, (((row.name, row.short), 1) for row in lists))
        yield _gauge(names.LIST_ENTRIES, (((row.name,), row.entries) for row in lists))
        yield _gauge(names.LIST_AGE, (((row.name,), row.age_s(now_ns)) for row in lists))
        yield _gauge(names.LIST_STALE, (((row.name,), row.is_stale(now_ns)) for row in lists))
        yield _gauge(names.LIST_REFUSED, (((row.name,), bool(row.refusal)) for row in lists))

    def _clock(self) -> Iterator[Family]:
        snapshot, verdict = self._snapshot, self._snapshot.verdict
        if verdict is not None:
            yield _gauge(names.CLOCK_SYNCED, (((), verdict.state.sync != "unsynced"),))
            if verdict.state.bound_us is not None:
                yield _gauge(names.CLOCK_BOUND, (((), verdict.state.bound_us / _US_PER_S),))
            if verdict.offset_us is not None:
                yield _gauge(names.CLOCK_OFFSET, (((), verdict.offset_us / _US_PER_S),))
        ends = (((expiry.setting,), expiry.ends_ns / NS_PER_S) for expiry in snapshot.expiries)
        yield _gauge(names.CERTIFICATE_EXPIRY, ends)


def _gauge(metric: Metric, values: Iterable[tuple[tuple[str, ...], float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values:
        family.add_metric(labels, float(value))
    return family


def _counter(metric: Metric, values: Iterable[tuple[tuple[str, ...], float]]) -> CounterMetricFamily:
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values:
        family.add_metric(labels, float(value))
    return family
