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
UNBOUND: Final = Metric(
    "linewitness_results_without_unit",
    "Results since the start of which it is not known to which unit they belong",
    ("device",),
)
DROPPED: Final = Metric(
    "linewitness_device_observations_dropped",
    "Observations that are not on record since the start, because the device sent more than its share",
    ("device",),
)
POLLS: Final = Metric(
    "linewitness_device_polls",
    "Polls that were due since the start, where the gateway asks the device",
    ("device",),
)
POLLS_MISSED: Final = Metric(
    "linewitness_device_polls_missed", "Polls since the start that were due and not made", ("device",)
)
POLLS_CUT: Final = Metric(
    "linewitness_device_polls_cut",
    "Polls since the start that left out telemetry, so that evidence was read in time",
    ("device",),
)
POINTS_REFUSED: Final = Metric(
    "linewitness_device_points_refused", "Points that the device refuses to give now", ("device",)
)
BINDING_CONFLICTS: Final = Metric(
    "linewitness_device_binding_conflicts",
    "Results since the start whose own identifier is not the unit at the station, or no serial number",
    ("device",),
)
REFUSALS: Final = Metric(
    "linewitness_device_station_refusals",
    "Parts, results and signatures since the start that the station refused, and exceptions",
    ("device",),
)
LOST_SEGMENTS: Final = Metric(
    "linewitness_device_lost_segments",
    "Segments since the start that were lost on the way from or to the device, as far as the kernel knows",
    ("device",),
)
RECORDS: Final = Metric("linewitness_records", "Records of the stream, pruned ones included")
RECEIPTED: Final = Metric("linewitness_records_receipted", "Records that a receipt of the audit store covers")
PENDING: Final = Metric("linewitness_records_pending", "Records that no receipt covers")
SIGNED: Final = Metric(
    "linewitness_records_signed",
    "Records of the newest signed checkpoint, which /checkpoint shows; absent before the first",
)
DRAIN_RATE: Final = Metric(
    "linewitness_drain_records_per_second",
    "Records that receipts covered a second while a backlog drains; absent otherwise",
)
DRAIN_LEFT: Final = Metric(
    "linewitness_drain_seconds_left",
    "Seconds until all records of now have a receipt, at this rate; absent without a backlog",
)
NOTICES_SENT: Final = Metric(
    "linewitness_notices_sent", "Notices of alarms sent before their records since the start"
)
NOTICES_DROPPED: Final = Metric(
    "linewitness_notices_dropped", "Notices that gave way to newer ones since the start"
)
NOTICES_WAITING: Final = Metric("linewitness_notices_waiting", "Notices that wait for the broker")
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
    "linewitness_uplink_conflict",
    "1 if nothing is sent because another history exists: operator action required",
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
LOG_DROPPED: Final = Metric(
    "linewitness_log_dropped", "Log messages dropped since the start because they could not be written"
)
LOG_SUPPRESSED: Final = Metric(
    "linewitness_log_suppressed", "Log messages counted and not written since the start: too many alike"
)
LIST: Final = Metric(
    "linewitness_list",
    "1 for each list that counts, with the beginning of its file's digest",
    ("list", "digest"),
)
LIST_ENTRIES: Final = Metric("linewitness_list_entries", "Entries of a list that counts", ("list",))
LIST_AGE: Final = Metric(
    "linewitness_list_age_seconds", "Seconds since a list was issued, or its file was written", ("list",)
)
LIST_STALE: Final = Metric("linewitness_list_stale", "1 while a list is too old to count", ("list",))
LIST_REFUSED: Final = Metric(
    "linewitness_list_refused",
    "1 while the file of a list is wrong or gone, and the last good one counts",
    ("list",),
)
PROBLEMS: Final = Metric("linewitness_problems", "Problems that are present, by severity", ("severity",))
PROBLEM: Final = Metric(
    "linewitness_problem", "1 for each problem that is present", ("code", "subject", "severity")
)
