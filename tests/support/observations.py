"""Observations for tests."""

from typing import Any

from linewitness.base.clock import Stamp
from linewitness.devices.base import (
    Code,
    Gap,
    Measured,
    Notice,
    Quality,
    Reading,
    Readings,
    Result,
    Seen,
    When,
)

BASE_NS = 1_772_352_000_000_000_000
#: The machine had run for a minute then, as a `ManualClock` has.
BOOT_NS = 60_000_000_000
#: Before the first observation.
START = Stamp(BASE_NS, BOOT_NS)


def _common(device: str, at_ms: int, **more: Any) -> dict[str, Any]:
    stamp = Stamp(BASE_NS + at_ms * 1_000_000, BOOT_NS + at_ms * 1_000_000)
    when = When(occurred_ns=stamp.realtime_ns, occurred_from="device", unc_ms=1)
    return {"device": device, "session_id": "s1", "received": stamp, "when": when, **more}


def reading(
    value: dict[str, str] | str,
    *,
    device: str = "press-10",
    point: str = "holding",
    at_ms: int = 0,
    quality: Quality = Quality.GOOD,
    status: str = "Good",
    **more: Any,
) -> Reading:
    return Reading(point=point, value=value, quality=quality, status=status, **_common(device, at_ms, **more))


def together_of(*values: tuple[str, str], device: str = "press-10", at_ms: int = 0, **more: Any) -> Readings:
    points, told = zip(*values, strict=True)
    return Readings(points=points, values=told, **_common(device, at_ms, **more))


def code(text: str, *, device: str = "scan-10", at_ms: int = 0, **more: Any) -> Code:
    return Code(text=text, raw=text.encode(), **_common(device, at_ms, **more))


def tightening(
    number: int,
    *,
    identifier: str | None = None,
    ok: bool = True,
    device: str = "wrench-10",
    at_ms: int = 0,
    pset: int = 3,
    **more: Any,
) -> Result:
    common = _common(device, at_ms, **more)
    return Result(
        kind="tightening.result",
        source="ACT-1234/1",
        result_id=str(number),
        identifier=identifier,
        ok=ok,
        measured=(
            Measured(field="torque", value="12.30", unit="Nm", low="11.00", high="13.00", status="ok"),
        ),
        facts=(("pset", pset),),
        confirmable=True,
        **common,
    )


def gap(first: int, last: int, *, device: str = "wrench-10", at_ms: int = 0) -> Gap:
    return Gap(
        source="ACT-1234/1",
        first=str(first),
        last=str(last),
        reason="not in memory",
        **_common(device, at_ms),
    )


def notice(kind: str, *, device: str = "wrench-10", at_ms: int = 0, **what: Any) -> Notice:
    return Notice(
        kind=kind, resource_type="tool", resource_id="1", reason="said so", **what, **_common(device, at_ms)
    )


def seen(*, device: str = "wrench-10", at_ms: int = 0, **more: Any) -> Seen:
    return Seen(**_common(device, at_ms, **more))
