"""The problems of a line: what they are about, whether they are an alarm, and what to do."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from linewitness.base.certificates import WARN_DAYS, Expiry
from linewitness.base.clock import monotonic
from linewitness.base.log_limits import LogFigures
from linewitness.devices.refusals import some_of
from linewitness.journal.generations.ended import HAND_OVER, EndedRest
from linewitness.journal.pressure import Level
from linewitness.status.health import Health
from linewitness.status.rows import DeviceRow
from linewitness.timesources.judge import ClockVerdict

#: What happens to the uplink from time to time is shown for this long.
SHOWN_S: Final = 3600.0

ProblemCode = Literal[
    "device-refused",
    "device-lost",
    "points-refused",
    "unit-not-told",
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
    "notices-refused",
    "clock-unsure",
    "certificate-expiry",
    "log-unread",
    "ended-not-handed-over",
    "tpm",
]

_FROZEN: Final = "operator action required: see docs/keys-and-anchors.md, a frozen stream"
_READ_AGAIN: Final = "operator action required: correct what is named, then read the unit again"
_MAKE_ROOM: Final = "bring the audit store back, free the disk, or raise journal.max_size"


@dataclass(frozen=True, slots=True)
class LineProblem:
    """A problem: its code, what it is about, whether it is an alarm or a warning, and both in words.

    `subject` is the device, the setting of the certificate, the folder of an ended journal, `journal`,
    `uplink`, `clock`, `tpm` or `log`.
    """

    code: ProblemCode
    subject: str
    alarm: bool
    what: str
    hint: str


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
) -> tuple[LineProblem, ...]:
    """Return all problems of a line at one moment.

    `refusal` is what the disk said if it takes no commit, `frozen` why the stream is frozen, or nothing.
    """
    return (
        *_of_journal(health, level, refusal),
        *_of_stream(health, frozen),
        *_of_uplink(health),
        *_of_takeover(health),
        *_of_answers(health),
        *(problem for device in devices for problem in _of_device(device)),
        *_of_clock(verdict),
        *_of_certificates(expiries, now_ns),
        *_of_log(health.log()),
        *_of_ended(rests),
        *_of_tpm(health),
    )


def _of_device(device: DeviceRow) -> Iterator[LineProblem]:
    state, name, why = device.health.state, device.facts.id, device.health.why
    if state == "refused":
        yield LineProblem(
            "device-refused",
            name,
            alarm=True,
            what=f"{name} refuses the connection: {why}",
            hint="operator action required: see the reason; the connection is tried again each minute",
        )
    elif state == "lost":
        yield LineProblem(
            "device-lost",
            name,
            alarm=False,
            what=f"{name} is not connected: {why}",
            hint="the connection is tried again every few seconds",
        )
    if refused := device.health.refused_points:
        count = "a point" if len(refused) == 1 else f"{len(refused):,} points"
        yield LineProblem(
            "points-refused",
            name,
            alarm=True,
            what=f"{name} refuses {count}: {some_of(refused)}",
            hint="operator action required: nothing is recorded of them; correct the YAML or the device's "
            "program, see `linewitness browse` and `probe`; they are asked for again each minute",
        )
    if untold := device.health.untold:
        what = f"{name} was not told of the unit at its station: {untold}"
        yield LineProblem("unit-not-told", name, alarm=True, what=what, hint=_READ_AGAIN)
    if device.health.above_share:
        yield LineProblem(
            "device-share",
            name,
            alarm=device.health.losing,
            what=f"{name} sends more than its share: "
            + (
                f"{device.health.dropped:,} observations are not on record"
                if device.health.losing
                else "it is read more slowly, nothing is lost"
            ),
            hint="look at the device; if it is right, raise its share",
        )
    elif (overload := device.health.polls.overload) is not None:
        yield LineProblem("polls-missed", name, alarm=False, what=f"{name}: {overload}", hint=overload.hint)


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
