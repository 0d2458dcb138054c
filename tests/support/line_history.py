"""What happens at a line beside its results, as records: starts, stops, lost devices, gaps, units."""

from typing import Any

from linewitness.evidence.format.record import Change
from support.chain_builder import Stream

BOOTS = "6b6f7a0e-0000-4000-8000-00000000000{}"


def line() -> Stream:
    """Return a stream that was created 5 s before its gateway was started for the first time."""
    stream = Stream()
    stream.create()
    stream.tick(4_000)
    started(stream)
    return stream


def gateway(stream: Stream, kind: str, reason: str = "", *changes: Change) -> None:
    stream.add(kind, changes, reason=reason, context={"line_id": "line-02", "plant_id": "ber-01"})


def started(stream: Stream, *, boot: int | None = None) -> None:
    """Start the gateway, in another boot of its machine if one is given."""
    stream.step = 0
    if boot is not None:
        stream.boot_id, stream.boottime_us = BOOTS.format(boot), 30_000_000
    stream.rotate()
    gateway(stream, "gateway.started", "the gateway was started")


def stopped(stream: Stream) -> None:
    gateway(stream, "gateway.stopped", "the gateway was asked to stop")


def device(stream: Stream, kind: str, name: str, reason: str, *changes: Change, **context: str) -> None:
    where = {"device_id": name, "line_id": "line-02", "plant_id": "ber-01"} | context
    stream.add(kind, changes, reason=reason, resource={"type": "device", "id": name}, context=where)


def back(stream: Stream, name: str, *changes: Change, **context: str) -> None:
    device(stream, "device.back", name, "the device answers", *changes, **context)


def lost(stream: Stream, name: str, reason: str = "no answer for 5 s", **context: str) -> None:
    device(stream, "device.lost", name, reason, **context)


def gap(stream: Stream, source: str, reason: str, *changes: Change, signed: bool = True) -> None:
    where = {"device_id": "press-4", "line_id": "line-02", "plant_id": "ber-01"}
    about = {"type": "source", "id": source}
    stream.add("source.gap", changes, signed=signed, reason=reason, resource=about, context=where)


def at_station(stream: Stream, kind: str, unit: str, *changes: Change, **context: str) -> None:
    """Let a unit enter or leave the station bolting."""
    resource = {"type": "station", "id": "bolting", "parent": {"type": "unit", "id": unit}}
    where = {"station_id": "bolting", "line_id": "line-02", "plant_id": "ber-01"} | context
    stream.add(kind, changes, resource=resource, context=where)


def tightened(stream: Stream, unit: str, *, ok: bool = True, session: str = "s1", **members: Any) -> None:
    """Let the wrench make a result of a unit at the station bolting."""
    where = {"station_id": "bolting", "device_id": "wrench", "session_id": session}
    number = len(stream.records)
    resource = {"type": "tightening", "id": f"wrench/0/{number}", "parent": {"type": "unit", "id": unit}}
    said = "ok" if ok else "nok"
    changes = (Change("torque", None, "12.30", "Nm", status="ok"), Change("result", None, said, status=said))
    more = tuple(members.pop("more", ()))
    stream.add("tightening.result", (*changes, *more), resource=resource, context=where, **members)


def left(stream: Stream, unit: str, ok: int, not_ok: int = 0) -> None:
    counts = Change("results_ok", None, ok), Change("results_not_ok", None, not_ok)
    at_station(stream, "unit.left", unit, *counts)
