"""Histories of a small plant, as gateways write them: deeds by name, and many of them at random."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from linewitness.base.clock import to_rfc3339
from linewitness.evidence.format.record import Change
from support.fake_gateway import START_NS, FakeGateway

PEOPLE = ("B-17", "B-18")
STATIONS = ("bolting", "testing")


class LineHistory:
    """What happens at a line, in the words of who works there; `at`: seconds since the first record."""

    def __init__(self, gateway: FakeGateway) -> None:
        self.gateway = gateway
        self.at = 0.0
        self.loaded: dict[str, str] = {}

    def write(self, kind: str, *, late_s: float = 0, **members: Any) -> str:
        """Write a record one second after the last one, and return its event_id."""
        self.at += 1
        now = START_NS + int(self.at * 1e9)
        times = {
            "occurred_at": to_rfc3339(now - int(late_s * 1e9)),
            "ingested_at": to_rfc3339(now),
            "clock": {
                "sync": "locked",
                "bound_us": 250,
                "step": 0,
                "boot_id": "5f6a7c1e-0000-4000-8000-000000000000",
                "boottime_us": int(self.at * 1e6),
                "occurred_from": "device",
                **members.pop("clock", {}),
            },
        }
        data = self.gateway.append(kind, **{**times, **members})
        return str(data.partition(b'"event_id":"')[2][:26].decode())

    def wait(self, seconds: float) -> None:
        self.at += seconds

    def start(self) -> None:
        self.write("gateway.started", **_gateway(), reason="the gateway was started")

    def stop(self) -> None:
        self.write("gateway.stopped", **_gateway(), reason="asked to stop")

    def lose(self, device: str) -> None:
        self.write("device.lost", **_about("device", device), context=_context(device), reason="no answer")

    def back(self, device: str) -> None:
        self.write("device.back", **_about("device", device), context=_context(device), reason="it answers")

    def alarm(self, device: str, text: str) -> None:
        members = _about("alarm", f"{device}/E1")
        self.write("alarm.raised", **members, context=_context(device), reason=text)

    def enter(self, unit: str, station: str = "bolting") -> None:
        resource = _resource("station", station, unit)
        self.write("unit.entered", resource=resource, context=_context("scanner-1", station), reason="read")

    def leave(self, unit: str, station: str = "bolting", *, order: str = "PO-1", met: str = "") -> None:
        changes = [Change("attempt", None, 1), Change("order", None, order)]
        changes += [Change("complete", None, after=True), Change("seal", None, "done", status="ok")]
        changes += [Change("seal.kind", None, "component"), Change("seal.done", None, 1, low="1")]
        changes += [Change("seal.met_by", None, met)] if met else []
        resource = _resource("station", station, unit)
        context = _context("scanner-1", station)
        self.write("unit.left", resource=resource, changes=changes, context=context, reason="left")

    def tighten(
        self,
        unit: str | None,
        *,
        tool: str = "T-1",
        program: int = 7,
        ok: bool = True,
        by: str | None = None,
        station: str = "bolting",
        calibrated: str | None = None,
        late_s: float = 0,
        **members: Any,
    ) -> str:
        verdict = "ok" if ok else "low"
        changes = [
            Change("torque", None, "12.10" if ok else "9.10", "Nm", "11.00", "13.00", verdict),
            Change("pset", None, program),
            Change("tool_serial", None, tool),
            Change("result", None, "ok" if ok else "nok", status="ok" if ok else "nok"),
        ]
        changes += [Change("tool_last_calibration", None, calibrated)] if calibrated else []
        return self.write(
            "tightening.result",
            resource=_resource("tightening", f"torque-1/0/{self.gateway.size}", unit),
            changes=changes,
            actor=_actor(by, "torque-1"),
            context=_context("torque-1", station),
            reason="tightened",
            late_s=late_s,
            **members,
        )

    def calibrate(self, tool: str, day: str) -> None:
        self.write(
            "tool.changed",
            **_about("tool", tool),
            changes=[Change("last_calibration_date", None, day)],
            context=_context("torque-1"),
            reason="tool data as the controller states them",
        )

    def install(self, unit: str, part: str, *, serial: str | None = None, lot: str | None = None) -> None:
        self._component("component.installed", unit, part, serial, lot, after=True)

    def remove(self, unit: str, part: str, *, serial: str | None = None, lot: str | None = None) -> None:
        self._component("component.removed", unit, part, serial, lot, after=False)

    def load(self, part: str, lot: str, station: str = "bolting") -> str:
        before, self.loaded[part] = self.loaded.get(part), lot
        return self.write(
            "material.loaded",
            **_about("material", f"{station}/{part}"),
            changes=[Change("part", part if before else None, part), Change("lot", before, lot)],
            context=_context("scanner-1", station),
            reason="a lot was loaded",
        )

    def change(self, point: str, before: Any, after: Any, *, by: str | None = None, why: str = "set") -> None:
        self.write(
            "parameter.changed",
            **_about("parameter", f"press-4/{point}"),
            changes=[Change(point, before, after, "kN")],
            actor=_actor(by, "press-4"),
            context=_context("press-4", "bolting"),
            reason=why,
        )

    def order(self, before: str | None, after: str, station: str = "bolting") -> None:
        self.write(
            "order.changed",
            **_about("station", station),
            changes=[Change("order", before, after)],
            context=_context("scanner-1", station),
            reason="scanned",
        )

    def sign(self, person: str, deed: str, station: str = "bolting") -> None:
        self.write(
            f"operator.signed_{deed}",
            **_about("station", station),
            actor=_actor(person, ""),
            changes=[Change("also_signed_on_at", None, "")],
            context=_context("scanner-1", station),
            reason="badge",
        )

    def _component(
        self, kind: str, unit: str, part: str, serial: str | None, lot: str | None, *, after: bool
    ) -> None:
        known = [(name, value) for name, value in (("part", part), ("serial", serial), ("lot", lot)) if value]
        self.write(
            kind,
            resource=_resource("component", f"{part}/{serial or lot}", unit),
            changes=[
                Change(name, None if after else value, value if after else None) for name, value in known
            ],
            context=_context("scanner-1", "bolting"),
            actor=_actor("B-17", ""),
            reason="scanned" if after else "damaged",
        )


def at_random(gateway: FakeGateway, random: Random, count: int) -> None:
    """Let about so many things happen that may happen in a plant, in any order."""
    line = LineHistory(gateway)
    units = [f"SN-{number}" for number in range(1, 6)]
    glue: list[str] = []
    line.start()
    for _ in range(count):
        unit, tool, by = random.choice(units), f"T-{random.randint(1, 2)}", random.choice((None, *PEOPLE))
        station, lot, ok = random.choice(STATIONS), f"L-{random.randint(1, 3)}", random.random() < 0.8
        deeds: list[Callable[[], object]] = [
            partial(line.enter, unit, station),
            partial(line.leave, unit, station, met=" ".join(glue[-1:])),
            partial(line.calibrate, tool, f"2026-01-0{random.randint(1, 3)}"),
            partial(line.install, unit, "seal", lot=lot),
            partial(line.remove, unit, "seal", lot=lot),
            partial(line.change, "force", random.randint(1, 9), random.randint(1, 9), by=by),
            partial(line.order, "PO-1", f"PO-{random.randint(1, 3)}"),
            partial(line.sign, by or "B-17", random.choice(("on", "off")), station),
            partial(line.lose, f"torque-{tool}"),
            partial(line.back, f"torque-{tool}"),
            partial(line.alarm, "press-4", "pressure"),
            partial(line.wait, random.choice((5, 200))),
            line.stop,
            line.start,
            gateway.rotate,
        ]
        if random.random() < 0.5:
            of = random.choice((unit, unit, None))
            late = random.choice((0, 0, 0, 30))
            line.tighten(of, tool=tool, ok=ok, by=by, station=station, late_s=late)
        elif random.random() < 0.1:
            glue.append(line.load("glue", lot))
        else:
            random.choice(deeds)()


def _resource(kind: str, name: str, unit: str | None) -> dict[str, Any]:
    parent = {"parent": {"type": "unit", "id": unit}} if unit else {}
    return {"type": kind, "id": name, **parent}


def _about(kind: str, name: str) -> dict[str, Any]:
    return {"resource": _resource(kind, name, None)}


def _gateway() -> dict[str, Any]:
    return {**_about("gateway", "ber-01"), "context": {"line_id": "line-02"}, "actor": _actor(None, "gw")}


def _actor(person: str | None, device: str) -> dict[str, str]:
    if person is None:
        return {"type": "device", "id": device}
    return {"type": "user", "id": person, "auth_method": "badge"}


def _context(device: str, station: str | None = None) -> dict[str, str]:
    at = {"station_id": station} if station else {}
    return {"plant_id": "ber", "line_id": "line-02", "device_id": device, **at}
