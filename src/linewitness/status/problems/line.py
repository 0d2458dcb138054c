"""The problems of a line: what they are about, whether they are an alarm, and what to do."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from linewitness.base.certificates import WARN_DAYS, Expiry
from linewitness.base.clock import monotonic
from linewitness.base.log_limits import LogFigures
from linewitness.journal.generations.ended import HAND_OVER, EndedRest
from linewitness.journal.pressure import Level
from linewitness.status.health import Health
from linewitness.status.list_rows import ListRow
from linewitness.status.problems.device import problems_of_device
from linewitness.status.problems.lists import problems_of_lists
from linewitness.status.problems.problem import SHOWN_S, LineProblem
from linewitness.status.rows import DeviceRow
from linewitness.timesources.judge import ClockVerdict

#: While the broker is connected, a receipt comes within a minute or two; after so long it is a problem.
NO_RECEIPT_S: Final = 180.0
#: After so long it is an alarm.
NO_RECEIPT_ALARM_S: Final = 900.0
_FROZEN: Final = "operator action required: see docs/keys-and-anchors.md, a frozen stream"
_MAKE_ROOM: Final = "bring the audit store back, free the disk, or raise journal.max_size"


def problems_of(
    health: Health,
    *,
    level: Level,
    refusal: str,
    devices: Iterable[DeviceRow],
    verdict: ClockVerdict | None,
    expiries: Sequence[Expiry],
    now_ns: int,
    rests: Iterable[EndedRest] = (),
    frozen: str = "",
    lists: Iterable[ListRow] = (),
) -> tuple[LineProblem, ...]:
    """Return all problems of a line at one moment.

    `refusal` is what the disk said if it takes no commit, `frozen` why the stream is frozen, or nothing.
    """
    return (
        *_of_journal(health, level, refusal),
        *_of_stream(health, frozen),
        *_of_uplink(health),
        *_of_receipts(health),
        *_of_takeover(health),
        *_of_answers(health),
        *(problem for device in devices for problem in problems_of_device(device)),
        *_of_clock(verdict),
        *_of_certificates(expiries, now_ns),
        *_of_log(health.log()),
        *_of_ended(rests),
        *_of_tpm(health),
        *problems_of_lists(lists, now_ns),
    )


def full_journal(refusal: str) -> LineProblem:
    """Return the alarm of a full journal; `refusal` is what the disk said if it takes no commit at all."""
    return LineProblem(
        "journal-full",
        "journal",
        alarm=True,
        what="the journal is full: devices are no longer confirmed, they keep their results"
        + (f" ({refusal})" if refusal else ""),
        hint="free the disk: it is tried again each second" if refusal else _MAKE_ROOM,
    )


def _of_journal(health: Health, level: Level, refusal: str) -> Iterator[LineProblem]:
    if health.damage:
        yield LineProblem(
            "journal-damaged",
            "journal",
            alarm=True,
            what=f"the journal is damaged: {health.damage}",
            hint="operator action required: export what is good, check the disk; capture continues",
        )
    if level is Level.FULL:
        yield full_journal(refusal)
    elif level > Level.NORMAL:
        yield LineProblem(
            "journal-fills",
            "journal",
            alarm=level is Level.CRITICAL,
            what="the journal fills up",
            hint="bring the audit store back, or give the journal more disk",
        )


def _of_stream(health: Health, frozen: str) -> Iterator[LineProblem]:
    """Say that the stream is frozen where the uplink does not say so: it is away, or there is none."""
    if frozen and health.uplink_state != "conflict":
        yield LineProblem("stream-frozen", "journal", alarm=True, what=frozen, hint=_FROZEN)


def _of_uplink(health: Health) -> Iterator[LineProblem]:
    why = health.uplink_why
    if health.uplink_state == "conflict":
        yield LineProblem(
            "store-conflict",
            "uplink",
            alarm=True,
            what=f"nothing is sent any more: {why}",
            hint=_FROZEN,
        )
    elif health.uplink_state == "refused":
        yield LineProblem(
            "uplink-refused",
            "uplink",
            alarm=True,
            what=f"the broker refuses the connection: {why}",
            hint="operator action required: see the reason; records wait in the journal",
        )
    elif health.uplink_state == "away":
        yield LineProblem(
            "uplink-away",
            "uplink",
            alarm=False,
            what=f"the broker is not connected: {why}",
            hint="records wait in the journal",
        )

    if health.notices.why:
        yield LineProblem(
            "notices-refused",
            "uplink",
            alarm=False,
            what=f"the broker takes no notices of alarms: {health.notices.why}",
            hint="allow the gateway to write …/notice; alarms reach the store with their records",
        )


def _of_receipts(health: Health) -> Iterator[LineProblem]:
    """Say that the broker takes the records and the store does not answer: a line makes some each minute."""
    if health.uplink_state != "up" or health.waiting_since is None:
        return
    for_s = monotonic() - max(health.waiting_since, health.receipted_at)
    if min(for_s, monotonic() - health.uplink_at) < NO_RECEIPT_S:
        return
    since = f"no receipt for {int(for_s // 60)} minutes" if health.receipted else "no receipt ever"
    yield LineProblem(
        "no-receipt",
        "uplink",
        alarm=for_s >= NO_RECEIPT_ALARM_S,
        what=f"the audit store gave {since}, although the broker is connected",
        hint="operator action required: see whether the store runs; "
        + ("its log says what it refuses" if health.receipted else "enrol this gateway there: docs/store.md")
        + "; records wait in the journal, nothing is pruned",
    )


def _of_tpm(health: Health) -> Iterator[LineProblem]:
    if health.tpm_failure:
        yield LineProblem("tpm", "tpm", alarm=True, what=health.tpm_failure, hint=health.tpm_hint)


def _of_takeover(health: Health) -> Iterator[LineProblem]:
    if health.takeover and monotonic() - health.takeover_at < SHOWN_S:
        yield LineProblem(
            "client-id-taken",
            "uplink",
            alarm=True,
            what=health.takeover,
            hint="operator action required: bind client ids to certificates at the broker, docs/brokers.md",
        )


def _of_answers(health: Health) -> Iterator[LineProblem]:
    if health.accusation:
        yield LineProblem(
            "store-accusation",
            "uplink",
            alarm=True,
            what=health.accusation,
            hint="operator action required: see docs/store.md, troubleshooting; sending goes on",
        )
    if health.answers_ignored and monotonic() - health.ignored_at < SHOWN_S:
        yield LineProblem(
            "answers-ignored",
            "uplink",
            alarm=False,
            what=f"{health.answers_ignored} answers not of the store were ignored: {health.ignored_why}",
            hint="check who may publish on the receipt's topic at the broker, and store.vkey",
        )


def _of_clock(verdict: ClockVerdict | None) -> Iterator[LineProblem]:
    if verdict is not None and (verdict.warning or verdict.state.sync == "unsynced"):
        yield LineProblem(
            "clock-unsure",
            "clock",
            alarm=False,
            what=f"the clock: {verdict.reason}",
            hint="records carry the state of the clock; see docs/time.md",
        )


def _of_certificates(expiries: Iterable[Expiry], now_ns: int) -> Iterator[LineProblem]:
    for expiry in expiries:
        days = expiry.days_left(now_ns)
        if days < WARN_DAYS:
            when = f"ends in {days} days" if days >= 0 else f"ended {-days} days ago"
            yield LineProblem(
                "certificate-expiry",
                expiry.setting,
                alarm=days < 0,
                what=f"the certificate {expiry.setting} {when}",
                hint=f"replace {expiry.file}",
            )


def _of_log(log: LogFigures) -> Iterator[LineProblem]:
    if log.losing:
        yield LineProblem(
            "log-unread",
            "log",
            alarm=False,
            what=f"the log cannot be written: {log.dropped} messages are dropped",
            hint="see whether the log service runs and its disk has room; capture goes on",
        )


def _of_ended(rests: Iterable[EndedRest]) -> Iterator[LineProblem]:
    for rest in rests:
        if rest.is_waiting:
            yield LineProblem(
                "ended-not-handed-over",
                rest.folder.name,
                alarm=False,
                what=rest.sentence,
                hint=HAND_OVER,
            )
