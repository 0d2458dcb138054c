"""Observations for tests."""

from linewitness.base.clock import Stamp
from linewitness.devices.base import Code, Gap, Measured, Notice, Quality, Reading, Result, Seen, When

BASE_NS = 1_772_352_000_000_000_000


def _common(device, at_ms, **more):
    stamp = Stamp(BASE_NS + at_ms * 1_000_000, at_ms * 1_000_000)
    when = When(occurred_ns=stamp.realtime_ns, occurred_from="device", unc_ms=1)
    return {"device": device, "session_id": "s1", "received": stamp, "when": when, **more}


def reading(
    value, *, device="press-10", point="holding", at_ms=0, quality=Quality.GOOD, status="Good", **more
):
    return Reading(point=point, value=value, quality=quality, status=status, **_common(device, at_ms, **more))


def code(text, *, device="scan-10", at_ms=0, **more):
    return Code(text=text, raw=text.encode(), **_common(device, at_ms, **more))


def tightening(number, *, identifier=None, ok=True, device="wrench-10", at_ms=0, pset=3, **more):
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


def gap(first, last, *, device="wrench-10", at_ms=0):
    return Gap(
        source="ACT-1234/1",
        first=str(first),
        last=str(last),
        reason="not in memory",
        **_common(device, at_ms),
    )


def notice(kind, *, device="wrench-10", at_ms=0, **what):
    return Notice(
        kind=kind, resource_type="tool", resource_id="1", reason="said so", **what, **_common(device, at_ms)
    )


def seen(*, device="wrench-10", at_ms=0, **more):
    return Seen(**_common(device, at_ms, **more))
