"""What a controller's local time means in UTC, and how sure that is."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from typing import Final

from linewitness.base.clock import NS_PER_S, Stamp, from_datetime
from linewitness.devices.base import When

FORMAT: Final = "%Y-%m-%d:%H:%M:%S"
NS_PER_MS: Final = 1_000_000
#: A stamp has a resolution of one second, and so has the clock that it is compared with.
RESOLUTION_MS: Final = 1000
#: Offsets below this are the resolution, not a difference of clocks.
SIGNIFICANT_MS: Final = 2000
#: A live result further away than this from its reception did not carry the time that we think.
IMPLAUSIBLE_MS: Final = 120_000
#: A wireless tool may deliver late; a live result from before that, or from the future, has a wrong time.
LATEST_MS: Final = 24 * 3_600_000
#: Zones of the world lie on this grid.
ZONE_GRID_S: Final = 900
#: Nothing is known about the zone: any of the world's.
ANY_ZONE_MS: Final = 14 * 3_600_000
HOUR_MS: Final = 3_600_000


class TimeQuality(StrEnum):
    """How a controller's time became UTC."""

    MEASURED = "measured"
    ASSUMED = "assumed"
    AMBIGUOUS = "ambiguous-fold"
    NONEXISTENT = "nonexistent-hour"
    JUMP = "clock-jump"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far the controller's clock is ahead of ours, and the zone that it was found to keep.

    `setting_ns` is how our clock was set when they were compared, see `Stamp`.
    """

    offset_ms: int
    zone: tzinfo
    zone_measured: bool
    setting_ns: int

    def at(self, stamp: Stamp, zone: tzinfo | None) -> "ClockOffset":
        """Return the offset from our clock as it is set at `stamp`; `zone` is the configured one.

        The controller's clock did not move when ours was set.
        """
        stepped_ns = stamp.stepped_since(self.setting_ns)
        if stepped_ns == 0:
            return self
        offset_ns = self.offset_ms * NS_PER_MS - stepped_ns
        if zone is not None:
            return replace(self, offset_ms=_to_ms(offset_ns), setting_ns=stamp.setting_ns)
        kept = self.zone.utcoffset(None) or timedelta()
        return _without_zone(offset_ns + round(kept.total_seconds()) * NS_PER_S, stamp.setting_ns)


@dataclass(frozen=True, slots=True)
class ResolvedTime:
    """A moment and how it was found."""

    when: When
    quality: TimeQuality


def parse_time(text: str | None) -> datetime | None:
    """Return the local time that a stamp names, without a zone; None where it names none."""
    try:
        return datetime.strptime(text or "", FORMAT)  # noqa: DTZ007 - the protocol's times have no zone
    except ValueError:
        return None


def local_time(moment_ns: int, zone: tzinfo) -> str:
    """Return a moment as a controller's clock in this zone shows it."""
    return datetime.fromtimestamp(moment_ns // NS_PER_S, zone).strftime(FORMAT)


def measure(text: str | None, asked: Stamp, answered: Stamp, zone: tzinfo | None) -> ClockOffset | None:
    """Compare the controller's time with ours, half way between question and answer.

    Where no zone is configured, the zone is taken from the difference, on a grid of 15 minutes.
    """
    local = parse_time(text)
    if local is None:
        return None
    middle_ns = answered.realtime_ns - (answered.boottime_ns - asked.boottime_ns) // 2
    if zone is not None:
        candidates = (from_datetime(local.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
        offset_ns = min((found - middle_ns for found in candidates), key=abs)
        return ClockOffset(_to_ms(offset_ns), zone, zone_measured=False, setting_ns=answered.setting_ns)
    return _without_zone(from_datetime(local) - middle_ns, answered.setting_ns)


def _without_zone(ahead_ns: int, setting_ns: int) -> ClockOffset:
    """Divide how far a local time is ahead of UTC into a zone and an offset."""
    shift_s = round(ahead_ns / NS_PER_S / ZONE_GRID_S) * ZONE_GRID_S
    if abs(shift_s) > ANY_ZONE_MS // 1000:
        return ClockOffset(_to_ms(ahead_ns), UTC, zone_measured=False, setting_ns=setting_ns)
    return ClockOffset(
        _to_ms(ahead_ns - shift_s * NS_PER_S),
        timezone(timedelta(seconds=shift_s)),
        zone_measured=True,
        setting_ns=setting_ns,
    )


def resolve(
    text: str | None,
    *,
    received: Stamp,
    live: bool,
    zone: tzinfo | None,
    offset: ClockOffset | None,
    not_before_ns: int | None = None,
) -> ResolvedTime:
    """Return when something happened that the controller stamped with `text`.

    `zone` is the configured one. `not_before_ns` is when the result with the next lower id happened:
    in the repeated autumn hour the order of ids decides.
    """
    local = parse_time(text)
    offset = offset.at(received, zone) if offset is not None else None
    if local is None:
        return ResolvedTime(_as_received(text, received, offset), TimeQuality.ABSENT)
    used = zone or (offset.zone if offset is not None else None)
    shift_ms = offset.offset_ms if offset is not None and abs(offset.offset_ms) >= SIGNIFICANT_MS else 0
    moments = [found - shift_ms * NS_PER_MS for found in _moments(local, used or UTC)]
    chosen, quality = _choose(moments, received.realtime_ns, not_before_ns, live=live)
    if quality is None or (used is not None and not _exists(local, used)):
        quality = _plain_quality(local, zone, offset)
    late_ms = (received.realtime_ns - chosen) // NS_PER_MS
    if live and abs(late_ms) > IMPLAUSIBLE_MS and quality is not TimeQuality.NONEXISTENT:
        quality = TimeQuality.JUMP
        if not 0 <= late_ms <= LATEST_MS:
            return ResolvedTime(_as_received(text, received, offset), quality)
    doubt_ms = late_ms if quality is TimeQuality.JUMP else 0
    when = When(
        occurred_ns=min(chosen, received.realtime_ns) if live else chosen,
        occurred_from="device",
        # Delivered late by a wireless tool, or its clock was set back: nobody can tell from one result.
        unc_ms=doubt_ms + _uncertainty(quality, known_zone=used is not None, live=live, shift_ms=shift_ms),
        device_time=text,
        device_offset_ms=offset.offset_ms if offset is not None else None,
    )
    return ResolvedTime(when, quality)


def _as_received(text: str | None, received: Stamp, offset: ClockOffset | None) -> When:
    """Return the moment of reception, beside what the controller claims."""
    return When(
        occurred_ns=received.realtime_ns,
        occurred_from="gateway",
        device_time=text,
        device_offset_ms=offset.offset_ms if offset is not None else None,
    )


def _moments(local: datetime, zone: tzinfo) -> list[int]:
    return sorted({from_datetime(local.replace(tzinfo=zone, fold=fold)) for fold in (0, 1)})


def _choose(
    moments: list[int], received_ns: int, not_before_ns: int | None, *, live: bool
) -> tuple[int, TimeQuality | None]:
    if len(moments) == 1:
        return moments[0], None
    slack = IMPLAUSIBLE_MS * NS_PER_MS
    if live:
        return min(moments, key=lambda found: abs(found - received_ns)), None
    fitting = [found for found in moments if found <= received_ns + slack]
    if not_before_ns is not None:
        fitting = [found for found in fitting if found >= not_before_ns - NS_PER_S]
    if len(fitting) == 1:
        return fitting[0], None
    return (fitting or moments)[0], TimeQuality.AMBIGUOUS


def _plain_quality(local: datetime, zone: tzinfo | None, offset: ClockOffset | None) -> TimeQuality:
    if zone is not None and not _exists(local, zone):
        return TimeQuality.NONEXISTENT
    return TimeQuality.MEASURED if zone is not None and offset is not None else TimeQuality.ASSUMED


def _exists(local: datetime, zone: tzinfo) -> bool:
    there = local.replace(tzinfo=zone).astimezone(UTC)
    return there.astimezone(zone).replace(tzinfo=None) == local


def _uncertainty(quality: TimeQuality, *, known_zone: bool, live: bool, shift_ms: int) -> int:
    if not known_zone and not live:
        return ANY_ZONE_MS
    extra = HOUR_MS if quality in {TimeQuality.AMBIGUOUS, TimeQuality.NONEXISTENT} else 0
    # A stored result was stamped before the offset was measured: it may not have been there yet.
    return RESOLUTION_MS + extra + (0 if live else abs(shift_ms))


def _to_ms(nanoseconds: int) -> int:
    return nanoseconds // NS_PER_MS
