"""The names of all metrics, with what they mean: a dashboard depends on them, so they do not change."""

from typing import Final, NamedTuple


class Metric(NamedTuple):
    """A metric: its name, what it says, and its labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


INFO: Final = Metric(
    "linewitness", "What runs here", ("version", "tenant", "plant", "line", "gateway", "stream")
)
DEVICE_UP: Final = Metric("linewitness_device_up", "1 while the device is connected", ("device", "driver"))
OBSERVATIONS: Final = Metric(
    "linewitness_device_observations", "Observations made durable since the start", ("device",)
)
RECORDS: Final = Metric("linewitness_records", "Records of the stream, pruned ones included")
RECEIPTED: Final = Metric("linewitness_records_receipted", "Records that a receipt of the audit store covers")
PENDING: Final = Metric("linewitness_records_pending", "Records that no receipt covers")
JOURNAL_BYTES: Final = Metric("linewitness_journal_bytes", "Bytes of the journal on disk")
JOURNAL_LEFT_BYTES: Final = Metric(
    "linewitness_journal_left_bytes", "Bytes until devices are no longer confirmed"
)
JOURNAL_HOURS_LEFT: Final = Metric(
    "linewitness_journal_hours_left",
    "Hours until then at the rate of the last hour; absent while the journal does not grow",
)
JOURNAL_LEVEL: Final = Metric(
    "linewitness_journal_level", "0 normal, 1 high (80 %), 2 critical (95 %), 3 full"
)
UPLINK_UP: Final = Metric("linewitness_uplink_up", "1 while the broker is connected")
UPLINK_CONFLICT: Final = Metric(
    "linewitness_uplink_conflict", "1 if the store holds another history: operator action required"
)
ANSWERS_IGNORED: Final = Metric(
    "linewitness_uplink_answers_ignored", "Answers on the store's topic that it has not signed"
)
CLOCK_SYNCED: Final = Metric("linewitness_clock_synced", "1 while a time source confirms the clock")
CLOCK_BOUND: Final = Metric("linewitness_clock_bound_seconds", "Largest possible error of the clock")
CLOCK_OFFSET: Final = Metric("linewitness_clock_offset_seconds", "UTC minus the clock, as best known")
TELEMETRY_DROPPED: Final = Metric(
    "linewitness_telemetry_dropped_samples",
    "Signals dropped since the start because their buffer was full",
    ("device",),
)
CERTIFICATE_EXPIRY: Final = Metric(
    "linewitness_certificate_expiry_timestamp_seconds", "When a certificate ends, Unix time", ("certificate",)
)
PROBLEMS: Final = Metric("linewitness_problems", "Problems that are present, by severity", ("severity",))
PROBLEM: Final = Metric(
    "linewitness_problem", "1 for each problem that is present", ("code", "subject", "severity")
)
